"""`auth-server config`: the settings, with the source of each value."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
from pydantic import SecretStr

from auth_server.cli.output import Columns, Output, json_option, list_options
from auth_server.settings import Loaded, Settings, load

MASK = "********"
COLUMNS: Columns = {"Name": "name", "Value": "value", "Source": "source"}
STORES = ("database_url", "redis_url")
# Stricter than those who read the URLs: where an @ may belong to a password that is not percent-encoded, none fits.
_STORE = re.compile(r"([a-z0-9+]+://)(?:([^:/?#@]*)(:[^/?#@]*)?@)?([^?#@]*)(?:\?([^#@]*))?", re.IGNORECASE).fullmatch
_OPTIONS = frozenset((
    "host", "hostaddr", "port", "db", "user", "username", "sentinel_username", "application_name", "client_name",
    "sslmode", "sslrootcert", "sslcert", "sslkey", "ssl_ca", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile",
    "ssl_keyfile", "ssl_check_hostname", "unix_socket", "charset", "isolation_level", "target_session_attrs",
    "connect_timeout", "socket_timeout", "socket_connect_timeout", "socket_keepalive",
))  # fmt: skip
"""What may follow the `?` and is no secret; whatever else does is masked."""


@click.group()
def config() -> None:
    """The settings: environment, file and defaults.

    \b
    Example:
      auth-server config show
    """


@config.command()
@list_options
def show(output: Output) -> None:
    """Show every setting with its value and where that comes from; secrets are masked, passwords in URLs too.

    \b
    Example:
      AUTH_SERVER_PORT=8080 auth-server config show
    """
    output.records(rows(load(os.environ)), COLUMNS)


@config.command()
@json_option
def check(output: Output) -> None:
    """Check the settings; all mistakes are listed at once.

    \b
    Example:
      auth-server config check
    """
    load(os.environ)
    output.done({"ok": True}, "The settings are right.")


def rows(loaded: Loaded) -> list[dict[str, Any]]:
    """Return each setting by name, and the file that was read: the value in force, and its source."""
    settings = loaded.settings
    derived = {"issuer": settings.issuer_url, "keys_dir": settings.keys_path}
    values = {name: derived.get(name, getattr(settings, name)) for name in Settings.model_fields}
    return [
        {"name": name.upper(), "value": _shown(name, value), "source": loaded.sources[name]}
        for name, value in sorted({**values, "config": loaded.file}.items())
    ]


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value()) if name in STORES else MASK
    return str(value) if isinstance(value, Path) else value


def masked(url: str) -> str:
    """Return where a store is, without the passwords of its URL; of a URL that cannot be told apart, nothing."""
    parts = _STORE(url)
    if parts is None:
        return MASK
    scheme, user, password, place, query = parts.groups()
    shown = scheme + ("" if user is None else f"{user}:{MASK}@" if password else f"{user}@") + place
    return shown if query is None else f"{shown}?{'&'.join(map(_option, query.split('&')))}"


def _option(pair: str) -> str:
    name, sign, _ = pair.partition("=")
    return pair if unquote(name) in _OPTIONS else f"{name}={MASK}" if sign else MASK
