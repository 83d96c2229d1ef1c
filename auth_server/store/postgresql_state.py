"""What the short-lived state says to PostgreSQL."""

from collections.abc import Sequence

from auth_server.store.database_state import COLUMNS, DELETED, LIVES, Common
from auth_server.store.guess import Granted
from auth_server.store.postgresql_connection import PostgresqlConnection
from auth_server.store.raw_connections import Connections, RawConnection
from auth_server.store.shortcuts import Row
from auth_server.store.state import Index, Keep, OnceKey

_ENTRY = ", ".join(f"state_entries.{column}" for column in COLUMNS.split(", "))
# A plain UPDATE would tell of the first redemption only, and who comes second would have to ask again: whether it is a
# replay, or the entry was revoked at that moment. So the row is locked first, which shows how others have left it.
_TAKE = f"""
UPDATE state_entries SET taken_at = coalesce(found.taken_at, $4)
FROM (
    SELECT number, taken_at FROM state_entries
    WHERE kind = $1 AND key = $2 AND client_id IS NOT DISTINCT FROM $3 AND {LIVES.format(now="$4")} FOR UPDATE
) AS found
WHERE state_entries.number = found.number
RETURNING {_ENTRY}, found.taken_at IS NULL
"""
_SPEND = """
INSERT INTO state_spent (key, expires_at) VALUES ($1, $2)
ON CONFLICT (key) DO UPDATE SET expires_at = EXCLUDED.expires_at WHERE state_spent.expires_at <= $3
"""
# A bucket that is emptier than empty was drawn from by a replica whose clock is wrong: it must not stay so for a day.
_DRAW = """
INSERT INTO state_throttles (bucket, full_at) VALUES ($1, $2::bigint + $3::bigint)
ON CONFLICT (bucket) DO UPDATE SET full_at = greatest(least(state_throttles.full_at, $2 + $4), $2) + $3
WHERE greatest(least(state_throttles.full_at, $2 + $4), $2) + $3 - $2 <= $4
"""
# Whoever finds that others have just deleted the same has not found less: so it is counted before.
_REVOKE = f"""
WITH found AS MATERIALIZED (SELECT number FROM state_entries WHERE {{where}} LIMIT {DELETED}),
    gone AS (DELETE FROM state_entries USING found WHERE state_entries.number = found.number RETURNING 1)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM found)
"""
# All who revoke write marks, so nobody has that row while the disk is waited for; and all have it after the entries.
_REVOKE_AND_MARK = f"""
WITH unhurried AS (SELECT set_config('synchronous_commit', 'off', TRUE)),
    found AS MATERIALIZED (SELECT number FROM state_entries, unhurried WHERE {{where}} LIMIT {DELETED}),
    gone AS (DELETE FROM state_entries USING found WHERE state_entries.number = found.number RETURNING 1),
    counted AS MATERIALIZED (SELECT count(*) AS number FROM gone),
    marked AS (
        UPDATE state_marks SET marks = overlay(marks PLACING ${{mark}}::bytea FROM ${{place}}::integer)
        FROM counted WHERE state_marks.number = 1 AND counted.number > 0
    )
SELECT (SELECT number FROM counted), (SELECT count(*) FROM found)
"""
# By the earlier of the two clocks: what only ours takes for expired may live for others (S-137).
_PURGE = """
DELETE FROM {table} WHERE {name} IN (
    SELECT {name} FROM {table} WHERE {over} <= least($1::bigint, floor(extract(epoch FROM clock_timestamp()))::bigint)
    ORDER BY {over} LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""
_AMONG = {
    index: "SELECT set_config('synchronous_commit', 'off', TRUE),"
    f" state_put_among_{column}($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    for index, column in ((Index.CLIENT, "client_id"), (Index.SUBJECT, "subject"), (Index.FAMILY, "family"))
}
_IF = (  # what was granted is so, as parameters from {0} on: the generation, a bucket, by when it is full again
    " FROM generation WHERE coalesce(value = ${0}::bigint, TRUE)"
    " AND NOT EXISTS (SELECT FROM state_throttles WHERE bucket = ${1}::bytea AND full_at > ${2}::bigint)"
)
_AMONG_IF = {index: put + _IF.format(10, 11, 12) for index, put in _AMONG.items()}
_PUT = f"INSERT INTO state_entries (kind, {COLUMNS}) "
_PUT_VALUES = "$1::integer, $2::bytea, $3::bigint, $4::bytea, $5::bytea, $6::bytea, $7::bytea"
_IN_PLACE = " ON CONFLICT (kind, key) DO UPDATE SET number = EXCLUDED.number, taken_at = NULL, " + ", ".join(
    f"{column} = EXCLUDED.{column}" for column in COLUMNS.split(", ")[1:]
)
_PUT_IF = f"{_PUT}SELECT {_PUT_VALUES}{_IF.format(8, 9, 10)}{_IN_PLACE}"


class PostgresqlState(Common):
    """Its dialect (`database_state.Dialect`)."""

    put = f"{_PUT}VALUES ({_PUT_VALUES}){_IN_PLACE}"
    purges: Sequence[str] = tuple(
        _PURGE.format(table=table, name=name, over=over)
        for table, name, over in (
            ("state_entries", "number", "expires_at"),
            ("state_spent", "key", "expires_at"),
            ("state_throttles", "bucket", "full_at"),
        )
    )

    def put_if(
        self, connections: Connections, granted: Granted, kind: int, row: Row, keep: Keep | None, now: int
    ) -> bool:
        condition = (granted.generation, granted.bucket.encode(), granted.full_by)
        if keep is None:
            return connections.count(_PUT_IF, (kind, *row, *condition)) > 0
        return bool(_flushed(connections, _AMONG_IF[keep.index], (kind, *row, keep.newest, now, *condition)))

    def put_among(self, connections: Connections, kind: int, row: Row, keep: Keep, now: int) -> None:
        _flushed(connections, _AMONG[keep.index], (kind, *row, keep.newest, now))

    def take(self, connections: Connections, kind: int, key: bytes, client_id: bytes | None, now: int) -> Row | None:
        rows = connections.rows(_TAKE, (kind, key, client_id, now))
        return rows[0] if rows else None

    def spend(self, connection: RawConnection, once: OnceKey, now: int) -> bool:
        return connection.count(_SPEND, (once.key, once.expires_at, now)) > 0

    def draw(self, connections: Connections, bucket: bytes, now: int, cost: int, capacity: int) -> bool:
        return connections.count(_DRAW, (bucket, now, cost, capacity)) > 0

    def revoke(self, connections: Connections, where: str, values: Sequence[object]) -> tuple[int, bool]:
        gone, found = connections.rows(_REVOKE.format(where=where), values)[0]
        return gone, found < DELETED

    def revoke_and_mark(
        self, connections: Connections, where: str, values: Sequence[object], place: int, mark: bytes
    ) -> tuple[int, bool]:
        statement = _REVOKE_AND_MARK.format(where=where, place=len(values) + 1, mark=len(values) + 2)
        gone, found = _flushed(connections, statement, (*values, place + 1, mark))[0]
        return gone, found < DELETED


def _flushed(connections: Connections, statement: str, values: Sequence[object]) -> list[Row]:
    """Those that put under one value, or mark, take turns; nobody's turn is to wait for the disk."""

    def use(connection: RawConnection) -> list[Row]:
        assert isinstance(connection, PostgresqlConnection)
        return connection.rows_flushed(statement, values)

    return connections.run(use)
