"""The shortcuts of SQLite."""

import os
import sqlite3
from collections.abc import Sequence

from sqlalchemy import Engine

from auth_server.errors import Unavailable
from auth_server.store.engine import TIMEOUT, mark, turn
from auth_server.store.group_commit import GroupCommit
from auth_server.store.mark import UNSETTLED, Mark
from auth_server.store.records import AuditEvent, Consent, RefreshFamily, StoredToken, User
from auth_server.store.shortcuts import NOTED, Row, consent, noted, select, storable, user
from auth_server.store.sqlite_readers import Readers

_GENERATION = "SELECT value FROM generation"
_TOKEN = f"{select(StoredToken, 'stored_tokens')} WHERE key = ?"
_USER = f"{select(User, 'users')} WHERE name = ?"
_FAMILY = f"{select(RefreshFamily, 'refresh_families')} WHERE family_id = ?"
_CONSENT = f"{select(Consent, 'consents')} WHERE uid = ? AND client_id = ?"
_ADVANCE = (
    "UPDATE refresh_families SET number = number + 1, used_at = ?, expires_at = ?, data = coalesce(?, data)"
    " WHERE family_id = ? AND number = ?"
)
_NOTE = f"INSERT INTO audit_events ({', '.join(NOTED)}) VALUES (?, ?, ?, ?, ?, ?, ?)"


class SqliteShortcuts:
    """Raw connections (`shortcuts.Shortcuts`): some that read, some that write; none crosses a fork.

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

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        try:
            return self._readers.rows(query, values)
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    # ---- reading
    def generation(self) -> int:
        """Return the store's generation, which is what it was while the mark stands."""
        if self._mark is None:
            self._mark = mark(self._engine)
        stands = self._mark.read()  # before the generation is: who commits meanwhile moves it
        known, generation = self._known
        if stands == known != UNSETTLED:
            return generation
        rows = self._rows(_GENERATION)
        generation = rows[0][0] if rows else -1
        self._known = (stands, generation)
        return generation

    def token(self, key: bytes) -> StoredToken | None:
        rows = self._rows(_TOKEN, (key,))
        return StoredToken(*rows[0]) if rows else None

    def family(self, family_id: str) -> RefreshFamily | None:
        rows = self._rows(_FAMILY, (family_id,))
        return RefreshFamily(*rows[0]) if rows else None

    def consent(self, uid: str, client_id: str) -> Consent | None:
        return consent(self._rows(_CONSENT, (uid, client_id)))

    def user_by_name(self, name: str) -> User | None:
        return user(self._rows(_USER, (storable(name),)), name)

    # ---- writing
    def note(self, event: AuditEvent) -> None:
        """Do what `Audit.note` does: the event survives the death of processes at once, power loss after `sync`."""
        with turn(self._engine):
            try:
                self._writer("NORMAL").execute(_NOTE, noted(event))
            except sqlite3.Error as error:
                self._close_writers()
                raise _unavailable(error) from error
        self._noted = True

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None) -> bool:
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
            busy, logged, copied = (self._rows("PRAGMA wal_checkpoint(PASSIVE)") or [(1, 0, 0)])[0]
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
