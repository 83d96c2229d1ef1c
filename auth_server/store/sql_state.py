"""Short-lived state in a SQLite file of its own, by the raw driver.

Why not SQLAlchemy: issuing and checking tokens are the hot path, and Core costs 100 µs a statement over the driver.
Why a file of its own: tokens come and go by the thousand, and records neither wait for them nor share their durability.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from auth_server.errors import Unavailable
from auth_server.store.group_commit import GroupCommit
from auth_server.store.mark import Mark
from auth_server.store.sqlite_readers import Readers, Values
from auth_server.store.state import (
    BATCH,
    Allowance,
    Entry,
    Index,
    Keep,
    Kind,
    OnceKey,
    Page,
    Rate,
    Taken,
    is_part_of_key,
    key_range,
)
from auth_server.store.turn import Turn

R = TypeVar("R")

STRIDE = 2000  # rows that `purge` looks at by one statement
MANY = 20000  # names of buckets in memory at most
BUSY_TIMEOUT = 5.0  # seconds that a writer waits for those of other processes
_COLUMNS = "key, expires_at, data, client_id, subject, family"
_BY = {Index.KEY: "key", Index.SUBJECT: "subject", Index.CLIENT: "client_id", Index.FAMILY: "family"}
_LIVES = "(expires_at IS NULL OR expires_at > ?)"
_KINDS = f"kind IN ({', '.join(str(int(kind)) for kind in Kind)})"
_GET = f"SELECT {_COLUMNS} FROM entries WHERE kind = ? AND key = ? AND {_LIVES} AND taken_at IS NULL"
_PUT = f"INSERT OR REPLACE INTO entries ({_COLUMNS}, kind) VALUES (?, ?, ?, ?, ?, ?, ?)"
_TAKE = (
    f"UPDATE entries SET taken_at = ? WHERE kind = ? AND key = ? AND {_LIVES} AND client_id IS ? AND taken_at IS NULL"
)
_TAKEN = f"SELECT {_COLUMNS} FROM entries WHERE kind = ? AND key = ? AND {_LIVES} AND client_id IS ?"
_SWAP = (
    "UPDATE entries SET expires_at = ?, data = ?, client_id = ?, subject = ?, family = ?"
    f" WHERE kind = ? AND key = ? AND data = ? AND {_LIVES} AND taken_at IS NULL"
)
# By the index of the column that is asked for, or the row ids, which are in this order; the plus keeps SQLite from
# taking another index.
_EACH = (
    f"SELECT {_COLUMNS}, number FROM entries WHERE {{where}} AND number < ? AND +kind = ? AND {_LIVES}"
    " AND taken_at IS NULL ORDER BY number DESC LIMIT ?"
)
_INTO_KEPT = f"({_COLUMNS}, kind, newest, now) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KEPT = {
    index: f"INSERT INTO kept_by_{index.name.lower()} {_INTO_KEPT}"
    for index in (Index.CLIENT, Index.SUBJECT, Index.FAMILY)
}
# Putting an entry and dropping what it displaces as one statement: each gives other threads the interpreter, and to get
# it back takes longer than the statement. The index of clients knows when their entries expire.
_KEEP = f"""
CREATE TEMP VIEW kept_by_{{index}} AS SELECT {_COLUMNS}, kind, 0 AS newest, 0 AS now FROM entries;
CREATE TEMP TRIGGER keep_by_{{index}} INSTEAD OF INSERT ON kept_by_{{index}} BEGIN
    INSERT OR REPLACE INTO entries ({_COLUMNS}, kind) VALUES
        (NEW.key, NEW.expires_at, NEW.data, NEW.client_id, NEW.subject, NEW.family, NEW.kind);
    DELETE FROM entries WHERE {{these}} AND number <=
        (SELECT number FROM entries WHERE {{these}} AND (expires_at IS NULL OR expires_at > NEW.now)
        ORDER BY number DESC LIMIT 1 OFFSET NEW.newest);
END;
"""
_KEEPS = "".join(
    _KEEP.format(index=index.name.lower(), these=these)
    for index, these in {  # indexes of subjects and families do not know kinds: the plus keeps SQLite from reading one
        Index.CLIENT: "kind = NEW.kind AND client_id = NEW.client_id",
        Index.SUBJECT: "+kind = NEW.kind AND subject = NEW.subject",
        Index.FAMILY: "+kind = NEW.kind AND family = NEW.family",
    }.items()
)
_WALK = (
    "SELECT max(number), sum(expires_at <= ?)"
    " FROM (SELECT number, expires_at FROM entries WHERE number > ? ORDER BY number LIMIT ?)"
)
_BURY = (
    "DELETE FROM entries WHERE number IN"
    " (SELECT number FROM entries WHERE number > ? AND number <= ? AND expires_at <= ? ORDER BY number LIMIT ?)"
)
_DRAW = (
    "INSERT INTO throttles (bucket, full_at) VALUES (:bucket, :now + :cost) ON CONFLICT (bucket) DO UPDATE"
    " SET full_at = max(full_at, :now) + :cost WHERE max(full_at, :now) + :cost - :now <= :capacity"
)
_GIVE_BACK = "UPDATE throttles SET full_at = max(full_at + ?, ?) WHERE bucket = ?"
_HEAL = "UPDATE throttles SET full_at = min(full_at, ?) WHERE bucket = ?"
_FULL_AT = "SELECT full_at FROM throttles WHERE bucket = ?"


class _Untouched:
    """Buckets that nothing has been drawn from: asked for by every client that authenticates, and hardly ever touched.

    Exact for all processes: who draws moves the mark when the row has been committed. What was read while another mark
    stood there does not count.
    """

    def __init__(self) -> None:
        self._known: tuple[bytes, set[str]] = (b"", set())

    def has(self, bucket: str, mark: bytes) -> bool:
        """Tell whether the bucket is known to be untouched as long as *mark* stands there."""
        since, buckets = self._known
        return since == mark and bucket in buckets

    def add(self, bucket: str, mark: bytes) -> None:
        """Remember that the bucket was seen untouched after *mark* was read."""
        since, buckets = self._known
        if since != mark or len(buckets) >= MANY:
            self._known = (mark, {bucket})
        else:
            buckets.add(bucket)


class SqliteState:
    """State of one machine: any number of processes share the file.

    Args:
        path: the database file; its schema is up to date.
    """

    is_far = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers = Readers(lambda: self._open("NORMAL"))
        self._writing = Turn("the state file", BUSY_TIMEOUT)
        self._synced = GroupCommit(lambda: self._writing, lambda: self._writer("FULL"), lambda: self._drop("FULL"))
        self._writers: dict[str, sqlite3.Connection] = {}
        self._pid = 0
        self._dirty = False
        self._purged = 0  # the number of the last entry that `purge` has looked at
        self._mark, self._untouched = Mark(path.with_name(f"{path.name}-untouched")), _Untouched()

    # ---- connections: readers, and two writers a process; none crosses a fork
    def _open(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint=20000")  # pages; the background thread checkpoints long before
        return connection

    def _read(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        try:
            return self._readers.rows(query, values)
        except sqlite3.Error as error:
            raise _unavailable(error) from error

    def _writer(self, synchronous: str) -> sqlite3.Connection:
        if self._pid != os.getpid():
            self._writers, self._pid = {}, os.getpid()
        writer = self._writers.get(synchronous)
        if writer is None:
            writer = self._writers[synchronous] = self._open(synchronous)
            writer.executescript(_KEEPS)
        return writer

    def _drop(self, synchronous: str) -> None:
        broken = self._writers.pop(synchronous, None)
        if broken:
            broken.close()

    def _execute(self, statement: str, values: Values) -> int:
        """Write by one statement, which is a transaction by itself; return how many rows it touched.

        It survives the death of processes; power loss only when the background thread has written it to disk.
        """
        with self._writing:
            try:
                count = self._writer("NORMAL").execute(statement, values).rowcount
            except sqlite3.Error as error:
                self._drop("NORMAL")
                raise _unavailable(error) from error
            self._dirty = True
            return count

    def _write(self, write: Callable[[sqlite3.Connection], R]) -> R:
        """Let *write* make its statements in one transaction; it survives power loss too."""
        try:
            result = self._synced.run(write)
        except sqlite3.Error as error:
            raise _unavailable(error) from error
        self._dirty = True
        return result

    # ---- the interface
    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        row = (entry.key, entry.expires_at, entry.data, entry.client_id, entry.subject, entry.family, int(kind))
        if keep is None:
            self._execute(_PUT, row)
        else:
            self._execute(_KEPT[keep.index], (*row, keep.newest, now))

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        rows = self._read(_GET, (int(kind), key, now))
        return Entry(*rows[0]) if rows else None

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        return nullcontext()

    def mark(self, key: bytes) -> bytes | None:
        return None

    def settle(self) -> None:
        """Do nothing: nobody goes by anything older than the file."""

    def guess(self) -> AbstractContextManager[None]:
        return nullcontext()

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        these = (int(kind), key, now, client_id)

        def write(connection: sqlite3.Connection) -> tuple[bool, tuple[Any, ...] | None]:
            first = connection.execute(_TAKE, (now, *these)).rowcount > 0
            return first, connection.execute(_TAKEN, these).fetchone()

        first, row = self._write(write)
        return Taken(Entry(*row), first) if row else None

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        row = (new.expires_at, new.data, new.client_id, new.subject, new.family, int(kind), old.key, old.data, now)
        return self._execute(_SWAP, row) > 0

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        def write(connection: sqlite3.Connection) -> OnceKey | None:
            for once in keys:
                known = connection.execute("SELECT expires_at FROM spent WHERE key = ?", (once.key,)).fetchone()
                if known and known[0] > now:
                    return once
            connection.executemany(
                "INSERT OR REPLACE INTO spent (key, expires_at) VALUES (?, ?)",
                [(once.key, once.expires_at) for once in keys],
            )
            return None

        return self._write(write)

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        where, arguments = self._condition(index, value)
        query = (
            f"SELECT {_COLUMNS} FROM entries WHERE kind = ? AND {where} AND {_LIVES} AND taken_at IS NULL"
            " ORDER BY number DESC LIMIT ? OFFSET ?"
        )
        everything = (int(kind), *arguments, now, page.limit, page.offset)
        return [Entry(*row) for row in self._read(query, everything)]

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        where, arguments = self._condition(index, value)
        if index is Index.CLIENT:
            where, arguments = f"kind = ? AND {where}", (int(kind), *arguments)
        query, below, more = _EACH.format(where=where), 1 << 62, True
        while more:
            rows = self._read(query, (*arguments, below, int(kind), now, batch))
            yield from (Entry(*row[:-1]) for row in rows)
            more = len(rows) == batch
            below = rows[-1][-1] if rows else 0

    @staticmethod
    def _condition(index: Index, value: str) -> tuple[str, tuple[str | bytes | int, ...]]:
        if index is Index.ALL:
            return "1", ()
        if index is Index.KEY:
            return "key BETWEEN ? AND ?", key_range(value)
        if index is Index.FAMILY:
            return "family = ?", (bytes.fromhex(value),)
        return f"{_BY[index]} = ?", (value,)

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        where, arguments = self._condition(index, value)
        if is_part_of_key(index, value):
            return 0
        by_kind = index in (Index.KEY, Index.CLIENT)
        if kind is not None:
            where, arguments = f"{'' if by_kind else '+'}kind = ? AND {where}", (int(kind), *arguments)
        elif by_kind:
            where = f"{_KINDS} AND {where}"
        return self._write(
            lambda connection: connection.execute(f"DELETE FROM entries WHERE {where}", arguments).rowcount
        )

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        capacity = rate.burst * rate.refill
        if cost > 0:
            arguments = {"bucket": bucket, "now": now, "cost": cost * rate.refill, "capacity": capacity}
            if cost <= rate.burst and self._execute(_DRAW, arguments):
                self._mark.move()
                return Allowance(True, 0)
        elif cost < 0:
            self._execute(_GIVE_BACK, (cost * rate.refill, now, bucket))
            return Allowance(True, 0)
        mark = self._mark.read()
        if cost == 0 and self._untouched.has(bucket, mark):
            return Allowance(True, 0)
        rows = self._read(_FULL_AT, (bucket,))
        if not rows:
            self._untouched.add(bucket, mark)
        full_at = max(rows[0][0], now) if rows else now
        if full_at > now + capacity:  # emptier than empty: the clock was ahead
            full_at = now + capacity
            self._execute(_HEAL, (full_at, bucket))
        wait = full_at + max(cost, 1) * rate.refill - capacity - now
        return Allowance(cost == 0 and wait <= 0, max(wait, 0 if cost == 0 else 1))

    def purge(self, now: int, limit: int) -> int:
        gone = self._purge_entries(now, limit)
        for table, column in (("spent", "expires_at"), ("throttles", "full_at")):
            if gone >= limit:
                break
            gone += self._execute(
                f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {column} <= ? LIMIT ?)",
                (now, limit - gone),
            )
        return gone

    def _purge_entries(self, now: int, limit: int) -> int:
        """Walk through the entries from where the last call stopped to the end, or until *limit* have gone.

        An index of expiry would find them sooner, and take a sixth of the time of each put. Looking keeps nobody from
        writing; only where something is dead that takes a turn.
        """
        gone = 0
        while gone < limit:
            last, dead = self._read(_WALK, (now, self._purged, STRIDE))[0]
            if last is None:
                self._purged = 0
                break
            if dead:
                gone += self._execute(_BURY, (self._purged, last, now, limit - gone))
            if gone < limit:
                self._purged = last
        return gone

    def sync(self) -> None:
        """Checkpoint without waiting for anybody: that writes the log to disk, and keeps it short.

        What a reader or another checkpoint holds back is tried again the next time.
        """
        if not self._dirty:
            return
        self._dirty, done = False, False  # before: what is written meanwhile counts for the next time
        try:
            busy, logged, copied = self._read("PRAGMA wal_checkpoint(PASSIVE)")[0]
            done = not busy and copied >= logged
        finally:
            self._dirty = self._dirty or not done

    def check(self) -> None:
        self._read("SELECT 1 FROM spent LIMIT 1")

    def close(self) -> None:
        with self._writing:
            for connection in self._writers.values():
                connection.close()
            self._writers = {}
        self._readers.close()


def _unavailable(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"the state file does not answer ({error})")
