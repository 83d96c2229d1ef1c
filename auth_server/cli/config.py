"""`auth-server config`: the settings, with the source of each value."""

import os
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from auth_server.cli.output import Columns, Output, json_option, list_options
from auth_server.settings import Loaded, Settings, load

MASK = "********"
COLUMNS: Columns = {"Name": "name", "Value": "value", "Source": "source"}


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
    """Show every setting with its value and where that comes from; secrets are masked.

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
        {"name": name.upper(), "value": _shown(value), "source": loaded.sources[name]}
        for name, value in sorted({**values, "config": loaded.file}.items())
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    return str(value) if isinstance(value, Path) else value
