"""Copies of the embedded records, made while others read and write, and putting one back (SQLite's backup API)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, text

from auth_server.errors import AuthServerError, Conflict
from auth_server.store.engine import is_missing, mark, reading, writing

_TOOLS = {
    "postgresql": "pg_dump and pg_restore",
    "mysql": "mariadb-dump and mariadb",
}


class NotADatabase(AuthServerError):
    """A file that SQLite does not know as one of its own."""


def file_of(engine: Engine) -> Path:
    """Return the file of an embedded database.

    Raises:
        AuthServerError: it is none; the text names the tools of the database's own.
    """
    kind = engine.dialect.name
    if kind != "sqlite" or not engine.url.database:
        raise AuthServerError(f"the store is not embedded; use {_TOOLS.get(kind, 'the tools of the database')} instead")
    return Path(engine.url.database)


def integrity(engine: Engine) -> list[str]:
    """Return what SQLite finds wrong with its file; other databases check themselves."""
    if engine.dialect.name != "sqlite" or is_missing(engine):
        return []
    with reading(engine) as connection:
        rows = connection.execute(text("PRAGMA integrity_check")).scalars().all()
        foreign = connection.execute(text("PRAGMA foreign_key_check")).all()
    broken = [f"{row[0]}: row {row[1]} names one of {row[2]} that is not there" for row in foreign]
    return [str(row) for row in rows if row != "ok"] + broken


def copy_out(source: Path, target: Path) -> None:
    """Write a consistent copy of a database, in one file of mode 0600.

    Raises:
        Conflict: the target exists.
        NotADatabase: the source is none.
        AuthServerError: the copy could not be made; nothing is left behind.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise AuthServerError(f"{target} cannot be written ({error.strerror}); name another file") from None
    try:
        _copy(source, partial, "PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.link(partial, target)  # fails where a file of that name is, unlike rename
    except FileExistsError:
        raise Conflict(f"{target} is there already; name another file") from None
    finally:
        partial.unlink()


def copy_in(source: Path, target: Engine) -> None:
    """Replace all that a database holds by what *source* holds, in one transaction.

    Raises:
        AuthServerError: *source* is no such database, or the target is in use; the target is as it was.
    """
    moves = mark(target)
    moves.unsettle()
    try:
        _copy(source, file_of(target))
    finally:
        moves.move()


def _copy(source: Path, target: Path, *pragmas: str) -> None:
    try:
        with closing(sqlite3.connect(source.absolute(), timeout=5)) as held:
            held.execute("SELECT 1 FROM sqlite_master").fetchone()
            with closing(sqlite3.connect(target, timeout=5)) as copy:
                held.backup(copy)
                if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                    raise AuthServerError(f"the copy of {source} is damaged; try again, or use another file")
                for pragma in pragmas:
                    copy.execute(pragma)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise NotADatabase(f"{source} is no SQLite database") from None
        raise AuthServerError(f"{source} cannot be copied to {target} ({error})") from None


def raise_generation(engine: Engine, above: int) -> None:
    """Move the generation past *above*, so that no process takes what it remembers for what is stored now."""
    with writing(engine) as connection:
        connection.execute(
            text("UPDATE generation SET value = :above + 1 WHERE value <= :above"),
            {"above": above},
        )
