"""Settings: typed, from the environment, a file and defaults; every mistake is reported at once, by name.

`AUTH_SERVER_<NAME>` wins over `AUTH_SERVER_<NAME>_FILE`, which wins over `config/auth-server.toml` (or the file
that `AUTH_SERVER_CONFIG` names), which wins over the defaults here.
"""

import base64
import binascii
import ipaddress
import os
import sys
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auth_server.errors import AuthServerError

PREFIX = "AUTH_SERVER_"
CHECKOUT = Path(__file__).resolve().parent.parent
ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA", "Ed25519", "ES384", "ES512", "RS384", "RS512", "PS384", "PS512")
MAX_TOKEN_TTL = 2678400  # seconds; how long a client's token may live at most (`--expires`)
MIN_SESSION_IDLE = 120  # seconds; twice the time in which a session's use is written at most once

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _in_checkout() -> bool:
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "auth_server").is_dir()


def _default_home() -> Path:
    if _in_checkout():
        return CHECKOUT / "data"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local/share")
    return Path(base) / "auth-server"


def _split(value: object) -> object:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


def _networks(value: list[str]) -> list[str]:
    for part in value:
        network = ipaddress.ip_network(part, strict=False)
        if network.prefixlen == 0:  # S-158
            raise ValueError(f"{part} trusts every address; name the proxies' own networks")
    return value


def _algorithms(value: list[str]) -> list[str]:
    for alg in value:
        if alg not in ALGORITHMS:
            raise ValueError(f"{alg} is not supported; choose among {', '.join(ALGORITHMS)}")
    if not value or len(set(value)) != len(value):
        raise ValueError("name at least one algorithm, and each only once")
    if {"EdDSA", "Ed25519"} <= set(value):
        raise ValueError("EdDSA and Ed25519 are two names of one algorithm; name one")
    return value


def _is_new_password(value: str) -> bool:
    """As passwords.check_new wants it, so that a first start does not fail half-way."""
    text = unicodedata.normalize("NFC", value)
    try:
        return 8 <= len(text) <= 256 and len(text.encode()) <= 1024
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False


Words = Annotated[list[str], BeforeValidator(_split)]
Seconds = Annotated[int, Field(ge=1, le=315360000)]


class Settings(BaseSettings):
    """All settings. Durations are seconds, sizes bytes; names are those of the environment, in lower case."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, enable_decoding=False)

    issuer: str = Field("", description="exact `iss`; http://HOST:PORT where HOST is loopback, else required")
    home: Path = Field(default_factory=_default_home, description="SQLite files and anything else that is written")
    keys_dir: Path | None = Field(None, description="the key-encryption key and imported keys")
    key_encryption_key: SecretStr | None = Field(None, description="32 bytes in base64; else the file KEYS_DIR/kek")
    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL; a SQLite file in HOME where empty")
    redis_url: SecretStr | None = Field(None, description="short-lived state in Redis; embedded where empty")
    admin_user: str = Field("admin", min_length=1, max_length=64, description="name of the first admin")
    admin_password: SecretStr | None = Field(None, description="first admin's password; generated where empty")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(2342, ge=1, le=65535, description="port to listen on")
    server: Literal["gunicorn", "granian"] = Field("gunicorn", description="web server")
    workers: int = Field(default_factory=lambda: min(os.cpu_count() or 1, 4), ge=1, le=256, description="processes")
    threads: int | None = Field(None, ge=1, le=256, description="threads a process; the server's tuned number if empty")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM) to serve https with")
    tls_key: Path | None = Field(None, description="its private key (PEM)")
    tls_client_ca: Path | None = Field(None, description="authorities whose client certificates are asked for")
    max_body: int = Field(65536, ge=1024, le=16777216, description="bytes of a request body")
    request_timeout: Seconds = Field(10, description="seconds for a request to arrive and be answered")
    graceful_timeout: Seconds = Field(30, description="seconds for requests in flight when the server stops")
    trusted_proxies: Annotated[Words, AfterValidator(_networks)] = Field(
        default_factory=list, description="networks whose Forwarded and X-Forwarded-* headers count"
    )

    session_ttl: Seconds = Field(1209600, description="a session's life")
    session_idle: Seconds = Field(604800, description="a session's life without use; at least 120")
    access_token_ttl: Seconds = Field(3600, description="the life of an access token that a person allowed")
    id_token_ttl: Seconds = Field(600, description="an ID token's life")
    code_ttl: Seconds = Field(60, description="an authorization code's life")
    refresh_token_ttl: Seconds = Field(1209600, description="a line of refresh tokens' life, from the first grant on")
    refresh_token_idle: Seconds = Field(604800, description="its life without use")
    refresh_token_grace: int = Field(
        10, ge=0, le=300, description="seconds in which a used refresh token still gives the same successor"
    )
    pkce_required: Literal["public", "all"] = Field("public", description="which clients must use PKCE")
    app_password_ttl: Seconds = Field(31536000, description="an app password's life where none is asked for")

    key_rotation_interval: Seconds = Field(7776000, description="how long a key signs")
    key_overlap: Seconds = Field(
        2678400, description="how long a replaced key still verifies; at least as long as any signed token"
    )
    jwks_max_age: Seconds = Field(300, description="how long verifiers may keep the JWKS; a new key waits as long")
    signing_algs: Annotated[Words, AfterValidator(_algorithms)] = Field(
        default_factory=lambda: ["ES256", "RS256", "EdDSA"], description="one active key each; JWTs take the first"
    )

    login_burst: int = Field(10, ge=3, le=100000, description="login tries of an address at once")
    login_refill: Seconds = Field(60, description="seconds until one more")
    auth_burst: int = Field(60, ge=3, le=100000, description="unknown tokens of an address at once")
    auth_refill: Seconds = Field(10, description="seconds until one more")
    photoprism_grants: bool = Field(True, description="the token endpoint's `password` and `session` grants")

    registration: Literal["off"] = Field("off", description="dynamic registration; this version has none")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["auto", "text", "json"] = Field("auto", description="text on a terminal, else json")
    cors_origins: Words = Field(default_factory=list, description="origins beside those of registered public clients")

    @field_validator("server", "log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("photoprism_grants", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        return {"on": True, "off": False}.get(value.lower(), value) if isinstance(value, str) else value

    @field_validator("key_encryption_key")
    @classmethod
    def _kek(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                length = len(base64.b64decode(value.get_secret_value(), validate=True))
            except (binascii.Error, ValueError):
                length = 0
            if length != 32:
                raise ValueError("must be 32 bytes in base64, for example from `openssl rand -base64 32`")
        return value

    @field_validator("database_url", "redis_url", "admin_password", "key_encryption_key", "keys_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        scheme = value.get_secret_value().partition(":")[0]
        if scheme not in ("sqlite", "postgresql", "postgresql+psycopg"):
            raise ValueError(f"{scheme}: is not supported; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")
        rest = value.get_secret_value().partition("://")[2]
        if scheme == "sqlite" and (not rest.startswith("/") or rest[1:].partition("?")[0] in ("", ":memory:")):
            raise ValueError("needs a file, for every process must see the same; write sqlite:///FILE")
        if scheme != "sqlite" and _split_url(f"//{rest.rpartition('@')[2]}") is None:
            raise ValueError("cannot be read; its host or port is wrong")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        if value.get_secret_value().partition(":")[0] not in ("redis", "rediss", "unix"):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        if _split_url(value.get_secret_value()) is None:
            raise ValueError("cannot be read; its host or port is wrong, or its password is not percent-encoded")
        return value

    @field_validator("admin_password")
    @classmethod
    def _admin_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_new_password(value.get_secret_value()):
            raise ValueError("must have 8 to 256 characters, and at most 1024 bytes")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` reads the sources, to know where each value comes from

    @cached_property
    def issuer_url(self) -> str:
        """The issuer as given, or http://HOST:PORT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.issuer or f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @cached_property
    def is_https(self) -> bool:
        """Whether the issuer's URL is https."""
        return self.issuer_url.startswith("https:")

    @cached_property
    def issuer_path(self) -> str:
        """The path under which everything is mounted; empty for the root."""
        return urlsplit(self.issuer_url).path

    @cached_property
    def keys_path(self) -> Path:
        """The folder of the key-encryption key."""
        return self.keys_dir or (CHECKOUT / "keys" if _in_checkout() else self.home / "keys")

    @cached_property
    def database(self) -> str:
        """The SQLAlchemy URL of the durable records."""
        given = self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.home}/records.db"
        return given.replace("postgresql:", "postgresql+psycopg:", 1)

    @cached_property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of trusted proxies."""
        return tuple(ipaddress.ip_network(part, strict=False) for part in self.trusted_proxies)

    @cached_property
    def logs_json(self) -> bool:
        """Whether log lines are JSON objects."""
        return self.log_format == "json" or (self.log_format == "auto" and not sys.stderr.isatty())


class WrongSettings(AuthServerError):
    """Settings that stop the start.

    Args:
        mistakes: one sentence each, beginning with the setting's name.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Loaded:
    """Settings, and for each name where its value comes from: `environment`, `file PATH` or `default`."""

    settings: Settings
    sources: Mapping[str, str]


def load(environ: Mapping[str, str], **overrides: object) -> Loaded:
    """Read all settings.

    Args:
        environ: the environment; only `AUTH_SERVER_*` counts.
        overrides: values of command-line flags, by setting name; None counts as absent.

    Raises:
        WrongSettings: with every mistake at once.
    """
    given, mistakes = _read_file(environ)
    from_environment, unreadable = _read_environment(environ)
    flags = {name: (value, "command line") for name, value in overrides.items() if value is not None}
    given = {**given, **from_environment, **flags}
    mistakes += unreadable
    values = {name: value for name, (value, _) in given.items()}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        mistakes += [_sentence(problem) for problem in error.errors()]
        settings = None
    mistakes += _together(settings or _good_part(values))
    if mistakes or settings is None:
        raise WrongSettings(mistakes)
    return Loaded(settings, {name: given.get(name, (None, "default"))[1] for name in Settings.model_fields})


_Given = dict[str, tuple[Any, str]]  # name to value and source


def _read_file(environ: Mapping[str, str]) -> tuple[_Given, list[str]]:
    """The values of the settings file, and what is wrong with it."""
    file = Path(environ.get(f"{PREFIX}CONFIG") or CHECKOUT / "config/auth-server.toml")
    if not file.is_file():
        return {}, [f"CONFIG: there is no file {file}"] if f"{PREFIX}CONFIG" in environ else []
    try:
        values = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        return {}, [f"CONFIG: {file} is not a readable TOML file: {error}"]
    return {name.lower(): (value, f"file {file}") for name, value in values.items()}, []


def _read_environment(environ: Mapping[str, str]) -> tuple[_Given, list[str]]:
    """The values of the environment, and which files it names that cannot be read; a value wins over a file."""
    given: _Given = {}
    mistakes = []
    for key, text in sorted(environ.items(), key=lambda item: not item[0].endswith("_FILE")):
        if not key.startswith(PREFIX) or key == f"{PREFIX}CONFIG":
            continue
        name = key.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields and name.endswith("_file"):
            name = name.removesuffix("_file")
            try:
                text = Path(text).read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                mistakes.append(f"{name.upper()}_FILE: cannot be read: {getattr(error, 'strerror', error)}")
                continue
        given[name] = text, f"environment {key}"
    return given, mistakes


def _sentence(problem: Any) -> str:
    name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
    if problem["type"] == "extra_forbidden":
        return f"{name}: is not a setting{_nearest(name)}"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), Settings.model_fields, 1)
    return f"; did you mean {near[0].upper()}?" if near else ""


def _good_part(values: Mapping[str, Any]) -> Settings:
    """The settings without those that are wrong by themselves, so that the others are checked in the same run."""
    good: dict[str, Any] = {}
    for name, value in values.items():
        try:
            Settings(**{name: value})
        except ValidationError:
            continue
        good[name] = value
    return Settings(**good)


def _together(settings: Settings) -> list[str]:
    """Mistakes that only show when settings are looked at together."""
    found = [*_wrong_issuer(settings), *_too_short(settings)]
    if bool(settings.tls_cert) != bool(settings.tls_key):
        found.append("TLS_CERT: and TLS_KEY belong together; give both or none")
    if settings.tls_client_ca and not settings.tls_cert:
        found.append("TLS_CLIENT_CA: needs TLS_CERT and TLS_KEY")
    for name in ("tls_cert", "tls_key", "tls_client_ca"):
        path = getattr(settings, name)
        if path and not path.is_file():
            found.append(f"{name.upper()}: there is no file {path}")
    for origin in settings.cors_origins:
        parts = _split_url(origin)
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            found.append(f"CORS_ORIGINS: {origin} is no origin; write it like https://app.example.org")
    return found


def _wrong_issuer(settings: Settings) -> Iterator[str]:
    if not settings.issuer and not is_loopback(settings.host):
        yield f"ISSUER: is required, for HOST {settings.host} is not loopback; write the public https URL"
    url = _split_url(settings.issuer_url)
    if url is None:
        yield "ISSUER: must be a URL such as https://auth.example.org; the host or port of this one is wrong"
        return
    if settings.issuer and (url.scheme not in ("http", "https") or not url.hostname or not settings.issuer.isascii()):
        yield "ISSUER: must be a URL such as https://auth.example.org"
    elif url.scheme == "http" and not is_loopback(url.hostname or ""):  # RFC 9700 §2.6
        yield "ISSUER: must be https, for its host is not loopback"
    if url.query or url.fragment or url.username or settings.issuer.endswith(("/", "?", "#")):
        yield "ISSUER: must have no trailing slash, query, fragment or user"


def _too_short(settings: Settings) -> Iterator[str]:
    longest = max(MAX_TOKEN_TTL, settings.access_token_ttl, settings.id_token_ttl)
    if settings.key_overlap < longest:
        yield (
            f"KEY_OVERLAP: must be at least {longest}: signed tokens may live as long, and a replaced key must verify"
            " them until they expire"
        )
    if settings.session_idle < MIN_SESSION_IDLE:
        yield (
            f"SESSION_IDLE: must be at least {MIN_SESSION_IDLE}: use is written once in 60 seconds, so a session in use"
            " would end"
        )


def _split_url(url: str) -> SplitResult | None:
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
