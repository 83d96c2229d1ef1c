"""What every command needs: the assembled server, answers to questions, secrets from standard input."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auth_server import settings
from auth_server.domain.audit import Actor
from auth_server.errors import AuthServerError

if TYPE_CHECKING:
    from auth_server.assembly import Stores
    from auth_server.protocol.server import Server
    from auth_server.settings import Settings

CLI = Actor("cli")
FILE = click.Path(readable=False, path_type=Path)  # whoever opens it says what is wrong with it


def load_settings() -> "Settings":
    """Return the settings of the environment and the file.

    Raises:
        WrongSettings: with every mistake.
    """
    return settings.load(os.environ).settings


@contextmanager
def opened_stores() -> Iterator[tuple["Settings", "Stores"]]:
    """The stores as they are, whatever their schema."""
    from auth_server import assembly  # loads the whole server: not for --help

    loaded = load_settings()
    stores = assembly.stores(loaded)
    try:
        yield loaded, stores
    finally:
        stores.close()


@contextmanager
def opened() -> Iterator["Server"]:
    """The server of the settings, also while others serve from the same store.

    Raises:
        AuthServerError: wrong settings, a store of another version, or no fitting key-encryption key.
    """
    from auth_server import assembly

    with opened_stores() as (loaded, stores):
        server = assembly.assemble(loaded, stores)
        try:
            yield server
        finally:
            server.state.settle()
            server.close()


def record(server: "Server", event: str, *, client_id: str = "", **details: Any) -> None:
    """Write an audit event of the command line."""
    server.audit.change(event, CLI, client_id=client_id, **details)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is deleted.

    Raises:
        AuthServerError: the answer is no, or nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise AuthServerError("this asks first, and there is no terminal; nothing was done, say so with --yes")
    if not click.confirm(question, err=True):
        raise AuthServerError("nothing was done")


def secret(value: str | None, *, what: str, ask: bool = False) -> str | None:
    """Return a secret from the command line: `-` reads one line of standard input.

    Args:
        ask: whether a missing one, a password, is asked for, twice, where there is a terminal.
    """
    if value == "-":
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise click.UsageError(f"there is no {what} on standard input")
        return line
    if value is None and ask and sys.stdin.isatty():
        typed: str = click.prompt(what.title(), hide_input=True, confirmation_prompt="Retype Password", err=True)
        return typed
    return value


def answer(what: str, default: str) -> str:
    """Return what is typed where there is a terminal; elsewhere, or if nothing is, the default."""
    if not sys.stdin.isatty():
        return default
    typed: str = click.prompt(what, default=default, show_default=bool(default), err=True)
    return typed


def read_file(path: Path, most: int = 1 << 20) -> bytes:
    """Return a file's content.

    Raises:
        AuthServerError: it cannot be read, or is larger than *most* bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise AuthServerError(f"{str(path)!r} cannot be read ({error.strerror}); name another file") from None
    if len(content) > most:
        raise AuthServerError(f"{str(path)!r} has more than {most} bytes; name another file")
    return content
