"""The statements on the durable records that hot paths make, by SQLite's raw driver: Core costs 100 µs each over it."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import orjson
from sqlalchemy import JSON, Boolean, Engine

from auth_server.errors import Unavailable
from auth_server.store import tables
from auth_server.store.engine import TIMEOUT, mark, turn
from auth_server.store.group_commit import GroupCommit
from auth_server.store.mark import UNSETTLED, Mark
from auth_server.store.records import AuditEvent, Consent, RefreshFamily, StoredToken, User
from auth_server.store.sqlite_readers import Readers

_GENERATION = "SELECT value FROM generation"
_TOKEN = f"SELECT {', '.join(field.name for field in fields(StoredToken))} FROM stored_tokens WHERE key = ?"
_USER = f"SELECT {', '.join(field.name for field in fields(User))} FROM users WHERE name = ?"
_FAMILY = f"SELECT {', '.join(field.name for field in fields(RefreshFamily))} FROM refresh_families WHERE family_id = ?"
_CONSENT = f"SELECT {', '.join(field.name for field in fields(Consent))} FROM consents WHERE uid = ? AND client_id = ?"
_ADVANCE = (
    "UPDATE refresh_families SET number = number + 1, used_at = ?, expires_at = ?, data = coalesce(?, data)"
    " WHERE family_id = ? AND number = ?"
)
_NOTE = "INSERT INTO audit_events (at, event, outcome, actor, client_id, address, details) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _from_driver(name: str) -> Callable[[Any], Any] | None:
    """What SQLAlchemy would make of a column's value; None where it is used as it is."""
    kind = tables.users.c[name].type
    if isinstance(kind, JSON):
        return orjson.loads
    return bool if isinstance(kind, Boolean) else None


_USER_COLUMNS = [(place, make) for place, field in enumerate(fields(User)) if (make := _from_driver(field.name))]


class SqliteShortcuts:
    """Raw connections to a SQLite store: some that read, one that writes; none crosses a fork.

    Args:
        engine: of the same store; its writers and ours take turns.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._path = engine.url.database or ""
        self._mark: Mark | None = None  # until it is needed: a mere question makes no files
        self._known = (UNSETTLED, -1)  # the generation, and the mark that stood when it was asked for
        self._readers = Readers(self._open)
        self._writers: dict[str, sqlite3.Connection] = {}  # by how safe what they write is
        self._writers_pid = 0
        self._noted = False
        self._synced = GroupCommit(lambda: turn(engine), lambda: self._writer("FULL"), self._close_writers)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=TIMEOUT, isolation_level=None, check_same_thread=False)

    def _one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        try:
            rows = self._readers.rows(query, values)
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        return rows[0] if rows else None

    # ---- reading
    def generation(self) -> int:
        """Return the store's generation, which is what it was while the mark stands."""
        if self._mark is None:
            self._mark = mark(self._engine)
        stands = self._mark.read()  # before the generation is: who commits meanwhile moves it
        known, generation = self._known
        if stands == known != UNSETTLED:
            return generation
        row = self._one(_GENERATION)
        generation = row[0] if row else -1
        self._known = (stands, generation)
        return generation

    def token(self, key: bytes) -> StoredToken | None:
        """Return what `StoredTokens.get` does."""
        row = self._one(_TOKEN, (key,))
        return StoredToken(*row) if row else None

    def family(self, family_id: str) -> RefreshFamily | None:
        """Return what `RefreshFamilies.get` does."""
        row = self._one(_FAMILY, (family_id,))
        return RefreshFamily(*row) if row else None

    def consent(self, uid: str, client_id: str) -> Consent | None:
        """Return what `Consents.get` does."""
        row = self._one(_CONSENT, (uid, client_id))
        if row is None:
            return None
        values = list(row)
        values[-1] = tuple(orjson.loads(values[-1]))
        return Consent(*values)

    def user_by_name(self, name: str) -> User | None:
        """Return what `Users.by_name` does, known or not in the same time."""
        row = self._one(_USER, (name.encode("utf-8", "surrogatepass").decode("utf-8", "replace"),))
        if row is None:
            return None
        values = list(row)
        for place, make in _USER_COLUMNS:
            values[place] = make(values[place])
        return User(*values)

    # ---- writing
    def note(self, event: AuditEvent) -> None:
        """Do what `Audit.note` does: the event survives the death of processes at once, power loss after `sync`."""
        details = orjson.dumps(dict(event.details)).decode()
        values = (event.at, event.event, event.outcome, event.actor, event.client_id, event.address, details)
        with turn(self._engine):
            try:
                self._writer("NORMAL").execute(_NOTE, values)
            except sqlite3.Error as error:
                self._close_writers()
                raise _unavailable(error) from error
        self._noted = True

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None) -> bool:
        """Do what `RefreshFamilies.advance` does."""
        values = (at, expires_at, data, family_id, number)
        try:
            return self._synced.run(lambda connection: connection.execute(_ADVANCE, values).rowcount) > 0
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    def _writer(self, synchronous: str) -> sqlite3.Connection:
        if self._writers_pid != os.getpid():
            self._writers, self._writers_pid = {}, os.getpid()
        writer = self._writers.get(synchronous)
        if writer is None:
            writer = self._writers[synchronous] = self._open()
            writer.execute(f"PRAGMA synchronous={synchronous}")
        return writer

    def sync(self) -> None:
        """Write what was noted to disk, without waiting for anybody; what is held back is tried the next time."""
        if not self._noted:
            return
        self._noted, done = False, False  # before: what is noted meanwhile counts for the next time
        try:
            busy, logged, copied = self._one("PRAGMA wal_checkpoint(PASSIVE)") or (1, 0, 0)
            done = not busy and copied >= logged
        finally:
            self._noted = self._noted or not done

    def close(self) -> None:
        """Close the connections; before a fork there must be none."""
        self._close_writers()
        self._readers.close()

    def _close_writers(self) -> None:
        if self._writers_pid == os.getpid():
            for writer in self._writers.values():
                writer.close()
        self._writers = {}


def _unavailable(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"the database does not answer ({error})")
