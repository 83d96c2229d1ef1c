"""What the short-lived state says to MariaDB and MySQL, which tell nothing of the rows that an UPDATE has touched."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeVar

from auth_server.errors import Unavailable
from auth_server.store.database_state import COLUMNS, DELETED, LIVES, Common
from auth_server.store.engine import TIMEOUT
from auth_server.store.guess import Granted
from auth_server.store.raw_connections import Connections, RawConnection
from auth_server.store.shortcuts import Row
from auth_server.store.state import Index, Keep, OnceKey

R = TypeVar("R")

_THIS = f"kind = $1 AND key = $2 AND client_id <=> $3 AND {LIVES.format(now='$4')}"
_TAKE = f"UPDATE state_entries SET taken_at = $4 WHERE {_THIS} AND taken_at IS NULL"
_TAKEN = f"SELECT {COLUMNS} FROM state_entries WHERE {_THIS}"
# Of the entries under a value those that are too many: the dead go first.
_DISPLACED = """
SELECT number FROM state_entries WHERE kind = $1 AND {column} = $2
ORDER BY (expires_at IS NOT NULL AND expires_at <= least($3, unix_timestamp())), number DESC LIMIT 1000 OFFSET $4
"""
_PURGE = "DELETE FROM {table} WHERE {over} <= least($1, unix_timestamp()) ORDER BY {over} LIMIT $2"
# As in postgresql_state.py: what a wrong clock has left in a bucket counts as empty, and no more.
_FULL = "greatest(least(full_at, $2 + $4), $2)"
_DRAW = f"UPDATE state_throttles SET full_at = {_FULL} + $3 WHERE bucket = $1 AND {_FULL} + $3 - $2 <= $4"
_FIRST_DRAW = "INSERT IGNORE INTO state_throttles (bucket, full_at) VALUES ($1, $2 + $3)"
_REVOKE = f"DELETE FROM state_entries WHERE {{where}} LIMIT {DELETED}"
_MARK = "UPDATE state_marks SET marks = insert(marks, $1, length($2), $2) WHERE number = 1"
_COLUMN = {Index.CLIENT: ("client_id", 3), Index.SUBJECT: ("subject", 4), Index.FAMILY: ("family", 5)}


class MariadbState(Common):
    """Their dialect (`database_state.Dialect`)."""

    put = f"REPLACE INTO state_entries (kind, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    purges: Sequence[str] = tuple(
        _PURGE.format(table=table, over=over)
        for table, over in (
            ("state_entries", "expires_at"),
            ("state_spent", "expires_at"),
            ("state_throttles", "full_at"),
        )
    )

    def put_if(
        self, connections: Connections, granted: Granted, kind: int, row: Row, keep: Keep | None, now: int
    ) -> bool:
        """In two steps: to insert what is selected, InnoDB would lock the rows that all others read."""
        if not self.holds(connections, granted):
            return False
        if keep is None:
            connections.count(self.put, (kind, *row))
        else:
            self.put_among(connections, kind, row, keep, now)
        return True

    def put_among(self, connections: Connections, kind: int, row: Row, keep: Keep, now: int) -> None:
        """Those that put under one value take turns, by a lock of the session's: a look at it begins when it is had."""
        column, place = _COLUMN[keep.index]
        lock = sha256(b"%d %s %s" % (kind, column.encode(), row[place])).hexdigest()

        def put(connection: RawConnection) -> None:
            if connection.rows("SELECT GET_LOCK($1, $2)", (lock, TIMEOUT))[0][0] != 1:
                raise Unavailable("too many make tokens for one client")
            try:
                connection.count("BEGIN")
                connection.count(self.put, (kind, *row))
                query = _DISPLACED.format(column=column)
                for (number,) in connection.rows(query, (kind, row[place], now, keep.newest)):
                    connection.count("DELETE FROM state_entries WHERE number = $1", (number,))
                connection.count("COMMIT")
            finally:
                if connection.is_open():  # else the server lets go of it
                    connection.rows("SELECT RELEASE_LOCK($1)", (lock,))

        connections.run(put)

    def take(self, connections: Connections, kind: int, key: bytes, client_id: bytes | None, now: int) -> Row | None:
        """In one transaction: whoever comes second may delete the entry before the first has read it."""
        values = (kind, key, client_id, now)
        first, rows = _together(connections, lambda one: (one.count(_TAKE, values) > 0, one.rows(_TAKEN, values)))
        return (*rows[0], first) if rows else None

    def spend(self, connection: RawConnection, once: OnceKey, now: int) -> bool:
        values = (once.key, once.expires_at, now)
        if connection.count("INSERT IGNORE INTO state_spent (key, expires_at) VALUES ($1, $2)", values):
            return True
        return (
            connection.count("UPDATE state_spent SET expires_at = $2 WHERE key = $1 AND expires_at <= $3", values) > 0
        )

    def draw(self, connections: Connections, bucket: bytes, now: int, cost: int, capacity: int) -> bool:
        values = (bucket, now, cost, capacity)
        return any(connections.count(statement, values) for statement in (_DRAW, _FIRST_DRAW, _DRAW))

    def revoke(self, connections: Connections, where: str, values: Sequence[object]) -> tuple[int, bool]:
        gone = connections.count(_REVOKE.format(where=where), values)
        return gone, gone < DELETED

    def revoke_and_mark(
        self, connections: Connections, where: str, values: Sequence[object], place: int, mark: bytes
    ) -> tuple[int, bool]:
        def both(connection: RawConnection) -> int:
            gone = connection.count(_REVOKE.format(where=where), values)
            if gone:
                connection.count(_MARK, (place + 1, mark))
            return gone

        gone = _together(connections, both)
        return gone, gone < DELETED


def _together(connections: Connections, use: Callable[[RawConnection], R]) -> R:
    """Return what *use* does with a connection, as one transaction."""

    def transaction(connection: RawConnection) -> R:
        connection.count("BEGIN")
        result = use(connection)
        connection.count("COMMIT")
        return result

    return connections.run(transaction)
