"""Short-lived state in the database that holds the durable records too: shared by all replicas, without Redis.

By the driver alone, for issuing and checking tokens are the hot path: one statement each, which is one round trip and
one transaction. What is acknowledged has been committed as the database commits by default: it survives the death of
any process, the database's included, and power loss.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from auth_server.store.ahead import Ahead
from auth_server.store.generation import Generation
from auth_server.store.guess import Granted
from auth_server.store.raw_connections import Connections, RawConnection
from auth_server.store.recent import MARKED, Recent, mark_of, new_mark, place_of
from auth_server.store.shortcuts import Row
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

COLUMNS = "key, expires_at, data, client_id, subject, family"  # of an entry, as `Row`s of it have them
DELETED = 10000  # entries by one statement of `revoke`, so that it ends in time
_ABOVE = 2**63 - 1  # no entry has this number
LIVES = "(expires_at IS NULL OR expires_at > {now})"
_FULL_AT = (
    "(SELECT full_at FROM state_throttles WHERE bucket = $1), value, (SELECT marks FROM state_marks WHERE number = 1)"
)
_COLUMN = {Index.SUBJECT: "subject", Index.CLIENT: "client_id", Index.FAMILY: "family"}


class Dialect(Protocol):
    """What is said to one kind of database. Values stand in the order in which the comments name them."""

    get: str  # kind, key, now
    put: str  # kind, then COLUMNS
    swap: str  # kind, then COLUMNS; the old data, now
    listed: str  # kind, now, number below which to begin, limit, offset; then those of {where}
    full_at: str  # bucket; gives the generation of the records and the marks too
    full_at_and_get: str  # bucket, kind, key, now; as both, in one row
    give_back: str  # bucket, seconds, now
    heal: str  # bucket, when it is full at the latest
    check: str
    purges: Sequence[str]  # each: now, limit

    def holds(self, connections: Connections, granted: Granted) -> bool:
        """Tell whether what was taken for granted is so."""

    def put_if(
        self, connections: Connections, granted: Granted, kind: int, row: Row, keep: Keep | None, now: int
    ) -> bool:
        """Put an entry as `put` or `put_among` if *granted* is so; tell whether it is."""

    def put_among(self, connections: Connections, kind: int, row: Row, keep: Keep, now: int) -> None:
        """Put an entry and drop what it displaces; nobody sees more than may live."""

    def take(self, connections: Connections, kind: int, key: bytes, client_id: bytes | None, now: int) -> Row | None:
        """Mark an entry; return its columns, and whether this call was the one that did."""

    def spend(self, connection: RawConnection, once: OnceKey, now: int) -> bool:
        """Remember a value; tell whether it was not known."""

    def draw(self, connections: Connections, bucket: bytes, now: int, cost: int, capacity: int) -> bool:
        """Take *cost* seconds from a bucket of *capacity* seconds; tell whether it had them."""

    def revoke(self, connections: Connections, where: str, values: Sequence[object]) -> tuple[int, bool]:
        """Delete entries, DELETED at most; return how many went, and whether none is left."""

    def revoke_and_mark(
        self, connections: Connections, where: str, values: Sequence[object], place: int, mark: bytes
    ) -> tuple[int, bool]:
        """Do what `revoke` does and, if any went, write *mark* over the one that begins at *place*, in one step."""


class Common:
    """What all kinds of database are told alike."""

    get = (
        f"SELECT {COLUMNS} FROM state_entries"
        f" WHERE kind = $1 AND key = $2 AND {LIVES.format(now='$3')} AND taken_at IS NULL"
    )
    swap = (
        "UPDATE state_entries SET expires_at = $3, data = $4, client_id = $5, subject = $6, family = $7"
        f" WHERE kind = $1 AND key = $2 AND data = $8 AND {LIVES.format(now='$9')} AND taken_at IS NULL"
    )
    listed = (
        f"SELECT {COLUMNS}, number FROM state_entries WHERE {{where}} AND kind = $1 AND {LIVES.format(now='$2')}"
        " AND taken_at IS NULL AND number < $3 ORDER BY number DESC LIMIT $4 OFFSET $5"
    )
    full_at = f"SELECT {_FULL_AT} FROM generation"
    full_at_and_get = (
        f"SELECT {_FULL_AT}, {COLUMNS} FROM generation LEFT JOIN state_entries"
        f" ON kind = $2 AND key = $3 AND {LIVES.format(now='$4')} AND taken_at IS NULL"
    )
    give_back = "UPDATE state_throttles SET full_at = greatest(full_at + $2, $3) WHERE bucket = $1"
    heal = "UPDATE state_throttles SET full_at = least(full_at, $2) WHERE bucket = $1"
    check = "SELECT 1 FROM state_spent LIMIT 1"

    def holds(self, connections: Connections, granted: Granted) -> bool:
        """Tell whether what was taken for granted is so."""
        ((full_at, generation, _),) = connections.rows(self.full_at, (granted.bucket.encode(),))
        return granted.is_right(generation, full_at)


class DatabaseState:
    """State of many machines.

    Args:
        connections: to a database whose schema is up to date; `close` ends them.
        dialect: of that database.
        generation: of the records in it.
        recent: what was heard of it; None if nobody goes by that.
    """

    is_far = True

    def __init__(
        self, connections: Connections, dialect: Dialect, generation: Generation, recent: Recent | None = None
    ) -> None:
        self._connections, self._sql, self._generation, self._recent = connections, dialect, generation, recent
        self._ahead = Ahead()
        if recent is not None:
            connections.on_change(lambda _: recent.end())

    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        row = _row(entry)
        if keep is None or _value(entry, keep.index) is None:
            self._connections.count(self._sql.put, (int(kind), *row))
        else:
            self._sql.put_among(self._connections, int(kind), row, keep, now)

    def put_if(self, granted: Granted, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> bool:
        keep = None if keep is None or _value(entry, keep.index) is None else keep
        return self._sql.put_if(self._connections, granted, int(kind), _row(entry), keep, now)

    def holds(self, granted: Granted) -> bool:
        return self._sql.holds(self._connections, granted)

    def guess(self) -> AbstractContextManager[None]:
        return nullcontext()

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        row = self._ahead.taken(_id(kind, key))
        if row is None:
            rows = self._connections.rows(self._sql.get, (int(kind), key, now))
            return _entry(rows[0]) if rows else None
        if row[0] is None:
            return None
        entry = _entry(row)
        if kind in MARKED and self._ahead.marks:
            entry.mark = mark_of(key, self._ahead.marks)
        return entry

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        self._ahead.id = _id(kind, key)
        return self._ahead

    def mark(self, key: bytes) -> bytes | None:
        return self._recent.mark(key) if self._recent is not None else None

    def settle(self) -> None:
        if self._recent is not None:
            self._recent.settle()

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        row = self._sql.take(self._connections, int(kind), key, _encoded(client_id), now)
        return Taken(_entry(row), first=bool(row[-1])) if row else None

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        return self._connections.count(self._sql.swap, (int(kind), *_row(new), old.data, now)) > 0

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        if not keys:
            return None
        if len(keys) == 1:
            return None if self._connections.run(lambda one: self._sql.spend(one, keys[0], now)) else keys[0]

        def all_or_none(connection: RawConnection) -> OnceKey | None:
            connection.count("BEGIN")
            for once in sorted(keys, key=lambda one: one.key):  # all in one order: nobody waits for each other
                if not self._sql.spend(connection, once, now):
                    connection.count("ROLLBACK")
                    return once
            connection.count("COMMIT")
            return None

        return self._connections.run(all_or_none)

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        return [_entry(row) for row in self._listed(kind, index, value, now, _ABOVE, page)]

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        below, more = _ABOVE, True
        while more:
            rows = self._listed(kind, index, value, now, below, Page(batch))
            yield from map(_entry, rows)
            more = len(rows) == batch
            below = rows[-1][-1] if rows else 0

    def _listed(self, kind: Kind, index: Index, value: str, now: int, below: int, page: Page) -> Sequence[Row]:
        where, values = _condition(index, value, 6)
        statement = self._sql.listed.format(where=where)
        return self._connections.rows(statement, (int(kind), now, below, page.limit, page.offset, *values))

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        if is_part_of_key(index, value):
            return 0
        where, condition = _condition(index, value, 1)
        values: tuple[object, ...] = condition
        if index is Index.KEY and kind is None:  # their index begins with the kind
            where += f" AND kind IN ({', '.join(str(int(one)) for one in Kind)})"
        elif kind is not None:
            where, values = f"{where} AND kind = ${len(values) + 1}", (*values, int(kind))
        number, done, recent = 0, False, self._recent if kind in MARKED else None
        place = place_of(bytes.fromhex(value)) if index is Index.KEY else 0
        while not done:
            if recent is None:
                gone, done = self._sql.revoke(self._connections, where, values)
            else:
                gone, done = self._sql.revoke_and_mark(self._connections, where, values, place, new_mark())
            number += gone
        if recent is not None:  # also if there was nothing: somebody else may have ended it a moment ago
            recent.end()
        return number

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        name, capacity = bucket.encode(), rate.burst * rate.refill
        recent = self._recent
        if recent is not None:
            if cost == 0 and self._ahead.id is None and recent.knows(bucket, self._generation.learn):
                return Allowance(True, 0)
            recent.touch(bucket)
        if cost < 0:
            self._connections.count(self._sql.give_back, (name, cost * rate.refill, now))
            return Allowance(True, 0)
        if 0 < cost <= rate.burst and self._sql.draw(self._connections, name, now, cost * rate.refill, capacity):
            return Allowance(True, 0)
        asked_at = 0.0 if recent is None else recent.monotonic()
        found = self._full_at(name, now, asked_at)
        full_at = max(found or now, now)
        if full_at == now and recent is not None:
            recent.hear_untouched(asked_at, bucket)
        if full_at > now + capacity:  # emptier than empty: by a replica whose clock is wrong (S-137)
            full_at = now + capacity
            self._connections.count(self._sql.heal, (name, full_at))
        wait = full_at + max(cost, 1) * rate.refill - capacity - now
        return Allowance(cost == 0 and wait <= 0, max(wait, 0 if cost == 0 else 1))

    def _full_at(self, bucket: bytes, now: int, asked_at: float) -> int | None:
        """Return when a bucket is full; asked before most looks at a client, so what these need comes along."""
        ahead = self._ahead
        if ahead.id is None:
            (found,) = self._connections.rows(self._sql.full_at, (bucket,))
        else:
            kind, key = ahead.id[0], ahead.id[1:]
            (found,) = self._connections.rows(self._sql.full_at_and_get, (bucket, kind, key, now))
            ahead.row = found[3:]
        full_at: int | None
        full_at, generation, marks = found[:3]
        ahead.marks = marks or b""
        self._generation.learn(generation)
        if marks and self._recent is not None:
            self._recent.hear(asked_at, marks, generation)
        return full_at

    def purge(self, now: int, limit: int) -> int:
        gone = 0
        for statement in self._sql.purges:
            gone += self._connections.count(statement, (now, limit - gone))
            if gone >= limit:
                break
        return gone

    def sync(self) -> None:
        """Do nothing: what is acknowledged has been committed."""

    def check(self) -> None:
        self._connections.rows(self._sql.check)

    def close(self) -> None:
        self._connections.close()


def _id(kind: Kind, key: bytes) -> bytes:
    return b"%c" % kind + key


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _decoded(text: bytes | None) -> str | None:
    return None if text is None else text.decode()


def _row(entry: Entry) -> Row:
    """An entry as COLUMNS."""
    return (
        entry.key,
        entry.expires_at,
        entry.data,
        _encoded(entry.client_id),
        _encoded(entry.subject),
        entry.family,
    )


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], row[2], _decoded(row[3]), _decoded(row[4]), row[5])


def _value(entry: Entry, index: Index) -> str | bytes | None:
    """Under what an entry stands in an index."""
    if index is Index.CLIENT:
        return entry.client_id
    return entry.subject if index is Index.SUBJECT else entry.family


def _condition(index: Index, value: str, first: int) -> tuple[str, tuple[bytes, ...]]:
    """What entries under a value have in common; *first* is the number of the first parameter of it."""
    if index is Index.ALL:
        return "TRUE", ()
    if index is Index.KEY:
        return f"key BETWEEN ${first} AND ${first + 1}", key_range(value)
    return f"{_COLUMN[index]} = ${first}", (bytes.fromhex(value) if index is Index.FAMILY else value.encode(),)
