"""What single settings may be: their types, and the checks that need no other setting."""

import base64
import binascii
import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from auth_server import redis_url

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA", "Ed25519", "ES384", "ES512", "RS384", "RS512", "PS384", "PS512")

_SCOPE_WORD = re.compile(r"[a-z0-9.@+_#*:-]+", re.ASCII).fullmatch  # as domain/scopes.py writes them
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OPENID_SCOPES = frozenset(("openid", "profile", "email", "address", "phone", "offline_access"))
_CLAIM = re.compile(r"[A-Za-z][A-Za-z0-9_:./-]{0,127}").fullmatch
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*").fullmatch
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+"
_ISSUER = re.compile(
    rf"https?://(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/{_SEGMENT})*"
).fullmatch


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL; None if it has no form, or a port that is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether *host* is localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split(value: object) -> object:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value.lower(), value) if isinstance(value, str) else value


def _no_switch(value: object) -> object:
    if isinstance(value, bool):  # Python takes it for 0 or 1
        raise ValueError(f"must be a whole number, not {value}")
    return value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _host(value: str) -> str:
    if not _HOST(value) and not _is_address(value):
        raise ValueError(
            f"{value!r} is no address; write one like 127.0.0.1, ::1 or 0.0.0.0, without port and brackets"
        )
    return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _issuer(value: str) -> str:
    """An `iss` that every client reads as we do: nothing to decode, to fold or to leave out."""
    url = split_url(value)
    parts = url and url.netloc and (url.query, url.fragment, "@" in url.netloc, value[-1:] in ("/", "?", "#"))
    if parts and any(parts):
        raise ValueError("must have no trailing slash, query, fragment or user")
    if value and (url is None or url.port == 0 or not _ISSUER(value)):
        raise ValueError("must be a URL such as https://auth.example.org or https://example.org/auth")
    return value


def _networks(value: list[str]) -> list[str]:
    for part in value:
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError(f"{part!r} is no network; write it like 10.0.0.0/8, or 10.0.0.5 for one host") from None
    for whole in _everything([ipaddress.ip_network(part, strict=False) for part in value]):  # S-158
        raise ValueError(f"{' '.join(value)} trusts every address of {whole}; name only the networks that are meant")
    return value


def _everything(networks: list[Network]) -> Iterator[Network]:
    """Yield 0.0.0.0/0 and ::/0 if they are there, or what together is the same."""
    four = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    six = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    yield from (whole for whole in ipaddress.collapse_addresses(four) if whole.prefixlen == 0)
    yield from (whole for whole in ipaddress.collapse_addresses(six) if whole.prefixlen == 0)


def _algorithms(value: list[str]) -> list[str]:
    for alg in value:
        if alg not in ALGORITHMS:
            raise ValueError(f"{alg} is not supported; choose among {', '.join(ALGORITHMS)}")
    if not value or len(set(value)) != len(value):
        raise ValueError("name at least one algorithm, and each only once")
    if {"EdDSA", "Ed25519"} <= set(value):
        raise ValueError("EdDSA and Ed25519 are two names of one algorithm; name one")
    return value


def _password(value: SecretStr | None) -> SecretStr | None:
    """As passwords.check_new wants it, so that a first start does not fail half-way."""
    if value is None:
        return value
    text = unicodedata.normalize("NFC", value.get_secret_value())
    try:
        right = 8 <= len(text) <= 256 and len(text.encode()) <= 1024
    except UnicodeEncodeError:  # bytes that are no UTF-8
        right = False
    if not right:
        raise ValueError("must have 8 to 256 characters, and at most 1024 bytes")
    return value


def _scope(value: list[str]) -> list[str]:
    odd = [word for word in value if not _SCOPE_WORD(word)]
    if odd or not value:
        raise ValueError(f"must be words of a scope, not {odd[0]!r}" if odd else "must name one word at least")
    return value


def _pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split()]
    if any(not claims for _, _, claims in parts):
        raise ValueError("must be words with their claims; write team=groups,department")
    return {word: claims.split(",") for word, _, claims in parts}


def _scope_claims(value: dict[str, list[str]]) -> dict[str, list[str]]:
    for word, claims in value.items():
        if not _SCOPE_WORD(word) or word in OPENID_SCOPES:
            raise ValueError(f"{word!r} is no word of a scope, or has claims of its own; name another one")
        odd = [claim for claim in claims if not _CLAIM(claim)]
        if odd or not claims:
            raise ValueError(
                f"{word} must stand for names of claims, such as groups" + (f", not {odd[0]!r}" if odd else "")
            )
    return value


def _key(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return value
    try:
        length = len(base64.b64decode(value.get_secret_value(), validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != 32:
        raise ValueError("must be 32 bytes in base64, for example from `openssl rand -base64 32`")
    return value


_DATABASES = "sqlite:///FILE, postgresql+psycopg://USER@HOST/NAME or mysql+pymysql://USER@HOST/NAME"
SCHEMES = {  # and what SQLAlchemy calls them; hosting services write the first
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql+pymysql": "mysql+pymysql",
    "sqlite": "sqlite",
}
_ISOLATION = re.compile(r"read committed|repeatable read|serializable", re.IGNORECASE).fullmatch
_SERVER = re.compile(r"(?:[^:/@]*(?::[^@]*)?@)?([^@/?]*)([^@]*)").fullmatch  # parted as SQLAlchemy does


def _database(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return value
    scheme, sign, rest = value.get_secret_value().partition("://")
    if not sign:  # it may be a password that is in the wrong place
        raise ValueError(f"must be a URL; write {_DATABASES}")
    kind = SCHEMES.get(scheme.lower())
    if kind is None:
        raise ValueError(f"{scheme} is not supported; write {_DATABASES}")
    if kind == "sqlite" and (not rest.startswith("/") or rest[1:].partition("?")[0] in ("", ":memory:")):
        raise ValueError("needs a file, for every process must see the same; write sqlite:///FILE")
    if kind == "sqlite" and rest.startswith("/file:"):
        raise ValueError("needs the plain path of a file, not a URI; write sqlite:///FILE")
    if kind != "sqlite":
        _server(kind, rest)
    return value


def _server(kind: str, rest: str) -> None:
    """Check where a server database is: no part of a password is taken for a host, which errors and logs name."""
    parts = _SERVER(rest)
    if parts is None:
        raise ValueError(
            "has an @ too many, or a / in its user; write what is special in user, password and options in percent:"
            " @ is %40, / is %2F, ? is %3F, # is %23, % is %25"
        )
    if "," in parts[1] and kind != "postgresql+psycopg":
        raise ValueError("names several hosts, and the driver takes one; write the one that leads to who takes writes")
    if re.search(":.*,", re.sub(r"\[.*?\]", "", parts[1])):
        raise ValueError(
            "names several hosts with ports; write postgresql+psycopg://USER@/NAME?host=HOST,HOST&port=5432,5432"
        )
    url = split_url(f"//{parts[1]}{parts[2]}")
    if url is None:
        raise ValueError("cannot be read; its host or port is wrong")
    query = parse_qs(url.query)
    for level in query.get("isolation_level", ()):
        if not _ISOLATION(level):
            raise ValueError(f"has isolation_level={level}; write read%20committed, repeatable%20read or serializable")
    if not all(re.fullmatch("[0-9]+(,[0-9]+)*", port) for port in query.get("port", ())):
        raise ValueError("has a port in its query that is no number; write port=5432, or port=5432,5432 for two hosts")
    if kind == "mysql+pymysql" and not url.path.strip("/"):
        raise ValueError("must name a database; write mysql+pymysql://USER@HOST/NAME")
    if kind == "mysql+pymysql" and find_spec("pymysql") is None:
        raise ValueError("needs the package PyMySQL; run: pip install 'auth-server[mysql]'")


def _redis(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return value
    redis_url.read(value.get_secret_value())
    return value


Lower = BeforeValidator(_lower)
Switch = Annotated[bool, BeforeValidator(_switch)]
Whole = Annotated[int, BeforeValidator(_no_switch)]
OptionalWhole = Annotated[Whole | None, BeforeValidator(_empty_is_none)]
Host = Annotated[str, AfterValidator(_host)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Seconds = Annotated[Whole, Field(ge=1, le=315360000)]
Words = Annotated[list[str], BeforeValidator(_split)]
ScopeClaims = Annotated[dict[str, list[str]], BeforeValidator(_pairs), AfterValidator(_scope_claims)]
ScopeWords = Annotated[Words, AfterValidator(_scope)]
Networks = Annotated[Words, AfterValidator(_networks)]
Algorithms = Annotated[Words, AfterValidator(_algorithms)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
Password = Annotated[OptionalSecret, AfterValidator(_password)]
Key = Annotated[OptionalSecret, AfterValidator(_key)]
DatabaseUrl = Annotated[OptionalSecret, AfterValidator(_database)]
RedisUrl = Annotated[OptionalSecret, AfterValidator(_redis)]
