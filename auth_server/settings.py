"""Settings: typed, from the environment, a file and defaults; every mistake is reported at once, by name.

`AUTH_SERVER_<NAME>`, or the content of the file that `AUTH_SERVER_<NAME>_FILE` names, wins over
`config/auth-server.toml` (or the file that `AUTH_SERVER_CONFIG` names), which wins over the defaults here.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auth_server.cores import usable
from auth_server.errors import AuthServerError
from auth_server.settings_mistakes import sentence
from auth_server.settings_sources import PREFIX, Given, read_environment, read_file, settings_file
from auth_server.settings_values import (
    SCHEMES,
    Algorithms,
    DatabaseUrl,
    Host,
    Issuer,
    Key,
    Lower,
    Network,
    Networks,
    OptionalPath,
    OptionalWhole,
    Password,
    RedisUrl,
    ScopeClaims,
    ScopeWords,
    Seconds,
    Switch,
    Whole,
    Words,
    is_loopback,
    split_url,
)

CHECKOUT = Path(__file__).resolve().parent.parent
MAX_TOKEN_TTL = 2678400  # seconds; how long a client's token may live at most (`--expires`)
MIN_SESSION_IDLE = 120  # seconds; twice the time in which a session's use is written at most once


def _in_checkout() -> bool:
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "auth_server").is_dir()


def _default_home() -> Path:
    if _in_checkout():
        return CHECKOUT / "data"
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(base) / "auth-server" if os.path.isabs(base) else Path()  # an account without a home: `load` asks


class Settings(BaseSettings):
    """All settings. Durations are seconds, sizes bytes; names are those of the environment, in lower case."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, enable_decoding=False)

    issuer: Issuer = Field("", description="exact `iss`; http://HOST:PORT where HOST is loopback, else required")
    home: Path = Field(default_factory=_default_home, description="SQLite files and anything else that is written")
    keys_dir: OptionalPath = Field(None, description="the key-encryption key and imported keys")
    key_encryption_key: Key = Field(None, description="32 bytes in base64; else the file KEYS_DIR/kek")
    database_url: DatabaseUrl = Field(None, description="URL of the database; a SQLite file in HOME where empty")
    redis_url: RedisUrl = Field(
        None, description="short-lived state in Redis: one server, behind sentinels or a cluster; embedded where empty"
    )
    admin_user: str = Field("admin", min_length=1, max_length=64, description="name of the first admin")
    admin_password: Password = Field(None, description="first admin's password; generated where empty")

    host: Host = Field("127.0.0.1", description="address to listen on")
    port: Whole = Field(2342, ge=1, le=65535, description="port to listen on")
    server: Annotated[Literal["gunicorn", "granian"], Lower] = Field("gunicorn", description="web server")
    workers: Whole = Field(default_factory=lambda: min(len(usable()), 4), ge=1, le=256, description="processes")
    threads: OptionalWhole = Field(
        None, ge=1, le=256, description="threads a process; the server's tuned number if empty"
    )
    pin_workers: Switch = Field(False, description="each process on a core of its own, as long as there are some")
    tls_cert: OptionalPath = Field(None, description="certificate chain (PEM) to serve https with")
    tls_key: OptionalPath = Field(None, description="its private key (PEM)")
    tls_client_ca: OptionalPath = Field(None, description="authorities whose client certificates are asked for")
    max_body: Whole = Field(65536, ge=1024, le=16777216, description="bytes of a request body")
    request_timeout: Seconds = Field(10, description="seconds for a request to arrive and be answered")
    graceful_timeout: Seconds = Field(30, description="seconds for requests in flight when the server stops")
    trusted_proxies: Networks = Field(
        default_factory=list, description="networks whose Forwarded and X-Forwarded-* headers count"
    )
    outbound_allow: Networks = Field(
        default_factory=list,
        description="private networks that clients' URLs may lead to, by http too; else only public hosts, by https",
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
    par_required: Switch = Field(
        False, description="whether every client must push its authorization requests; else those with --require-par"
    )
    par_ttl: Whole = Field(
        60, ge=5, le=599, description="seconds in which a pushed authorization request must be opened"
    )
    dpop_nonce_required: Switch = Field(
        False, description="whether DPoP proofs must hold a nonce of this server; then clients' clocks do not matter"
    )
    app_password_ttl: Whole = Field(
        31536000, ge=-1, le=315360000, description="an app password's life where none is asked for; 0 and -1: for ever"
    )

    key_rotation_interval: Seconds = Field(7776000, description="how long a key signs")
    key_overlap: Seconds = Field(
        2678400, description="how long a replaced key still verifies; at least as long as any signed token"
    )
    jwks_max_age: Seconds = Field(300, description="how long verifiers may keep the JWKS; a new key waits as long")
    signing_algs: Algorithms = Field(
        default_factory=lambda: ["ES256", "RS256", "EdDSA"], description="one active key each; JWTs take the first"
    )

    login_burst: Whole = Field(10, ge=3, le=100000, description="login tries of an address at once")
    login_refill: Seconds = Field(60, description="seconds until one more")
    auth_burst: Whole = Field(60, ge=3, le=100000, description="unknown tokens of an address at once")
    auth_refill: Seconds = Field(10, description="seconds until one more")
    photoprism_grants: Switch = Field(True, description="the token endpoint's `password` and `session` grants")

    registration: Annotated[Literal["off", "token", "open"], Lower] = Field(
        "off", description="dynamic registration: off, with an initial access token, or open to everybody"
    )
    registration_scopes: ScopeWords = Field(
        default_factory=lambda: ["openid", "profile", "email", "address", "phone", "offline_access"],
        description="what clients that register themselves may have",
    )
    registration_burst: Whole = Field(
        200, ge=1, le=100000, description="clients that an address may register at once where registration is open"
    )
    registration_refill: Seconds = Field(60, description="seconds until one more")
    registration_unused_ttl: Seconds = Field(
        2592000, description="the life of a client that was registered openly and that nobody uses"
    )

    scope_claims: ScopeClaims = Field(
        default_factory=dict, description="claims that scopes of one's own stand for, such as team=groups,department"
    )

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        "info", description="least level that is logged"
    )
    log_format: Annotated[Literal["auto", "text", "json"], Lower] = Field(
        "auto", description="text on a terminal, else json"
    )
    cors_origins: Words = Field(default_factory=list, description="origins beside those of registered public clients")

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
        scheme, _, rest = given.partition("://")
        return f"{SCHEMES[scheme.lower()]}://{rest}"

    @cached_property
    def is_far(self) -> bool:
        """Whether a store is a server of its own."""
        return self.redis_url is not None or not self.database.startswith("sqlite")

    @cached_property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of trusted proxies."""
        return tuple(ipaddress.ip_network(part, strict=False) for part in self.trusted_proxies)

    @cached_property
    def outbound_networks(self) -> tuple[Network, ...]:
        """The private networks that what clients register may be fetched from."""
        return tuple(ipaddress.ip_network(part, strict=False) for part in self.outbound_allow)

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
    """Settings, and where they come from.

    Args:
        sources: for each name `environment VARIABLE`, `file PATH`, `command line` or `default`.
        file: the settings file; its own source stands under `config`.
    """

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None


def load(environ: Mapping[str, str], **overrides: object) -> Loaded:
    """Read all settings.

    Args:
        environ: the environment; only `AUTH_SERVER_*` counts.
        overrides: values of command-line flags, by setting name; None counts as absent.

    Raises:
        WrongSettings: with every mistake at once.
    """
    path, found_by = settings_file(environ, CHECKOUT / "config/auth-server.toml")
    file = read_file(path) if path else Given({}, [])
    environment = read_environment(environ, Settings.model_fields)
    flags = {name: (value, "command line") for name, value in overrides.items() if value is not None}
    given = {**file.values, **environment.values, **flags}
    mistakes = [*file.mistakes, *environment.mistakes]
    values = {name: value for name, (value, _) in given.items()}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        mistakes += [_told(problem, given) for problem in error.errors()]
        settings = None
    mistakes += _together(settings or _good_part(values))
    if mistakes or settings is None:
        raise WrongSettings(mistakes)
    sources = {name: given.get(name, (None, "default"))[1] for name in Settings.model_fields}
    return Loaded(settings, {**sources, "config": found_by}, path)


def _told(problem: Any, given: Mapping[str, tuple[Any, str]]) -> str:
    """What is wrong with a value, and where it stands unless its own variable holds it."""
    name = str(problem["loc"][0])
    source = given[name][1]
    elsewhere = "" if source == f"environment {PREFIX}{name.upper()}" else f" ({source})"
    return sentence(problem, Settings.model_fields) + elsewhere


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
    found = [*_wrong_issuer(settings), *_wrong_files(settings), *_too_short(settings)]
    found += _too_open(settings)
    if settings.pin_workers and not hasattr(os, "sched_setaffinity"):
        found.append("PIN_WORKERS: needs Linux: this system does not bind a process to a core; leave it out")
    for origin in settings.cors_origins:
        parts = split_url(origin)
        if parts is None or parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            found.append(f"CORS_ORIGINS: {origin} is no origin; write it like https://app.example.org")
    return found


def _wrong_issuer(settings: Settings) -> Iterator[str]:
    if not settings.issuer and not is_loopback(settings.host):
        yield f"ISSUER: is required, for HOST {settings.host} is not loopback; write the public https URL"
    elif not settings.is_https and not is_loopback(urlsplit(settings.issuer_url).hostname or ""):  # RFC 9700 §2.6
        yield "ISSUER: must be https, for its host is not loopback"


def _wrong_files(settings: Settings) -> Iterator[str]:
    if settings.home == Path():
        yield "HOME: is required; name the folder for what is written"
    for name, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert"), ("tls_client_ca", "tls_cert")):
        path = getattr(settings, name)
        if path and not getattr(settings, other):
            yield f"{name.upper()}: needs {other.upper()}; give both or none"
        if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            yield f"{name.upper()}: there is no file {path} that can be read"
            return
    if settings.tls_cert and settings.tls_key:
        yield from _wrong_certificates(settings)


def _wrong_certificates(settings: Settings) -> Iterator[str]:
    """A web server would start, and then refuse every connection."""
    import ssl  # only where it is used: commands start faster

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            settings.tls_cert or "", settings.tls_key, password=bytes
        )  # none: it would ask on the terminal
    except (OSError, ValueError):
        yield "TLS_CERT: and TLS_KEY must be a certificate chain and its own key, in PEM and not encrypted"
    try:
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
    except OSError:
        yield f"TLS_CLIENT_CA: {settings.tls_client_ca} holds no certificates in PEM"


def _too_open(settings: Settings) -> Iterator[str]:
    for word in settings.registration_scopes:
        if settings.registration == "open" and (word.startswith("admin:") or word in ("*", "introspect")):  # S-158
            yield f"REGISTRATION_SCOPES: {word} would be everybody's with REGISTRATION=open; leave it out"


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
