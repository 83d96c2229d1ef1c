"""What was revoked in Redis, durably: a journal among the records, to be done again where Redis has older data.

One row says which Redis has all of it done, by RedisState's `identity`. To write a revocation down means to see at the
same moment that this is the Redis in which it was done; else another process might have gone through the journal
already, in a Redis that has restarted or taken over since, and would never hear of it.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, select, update

from auth_server.store import tables
from auth_server.store.engine import purge_expired, reading, writing
from auth_server.store.redis_state import Revocation
from auth_server.store.state import BATCH, Index, Kind

OFTEN = 4  # times that a Redis is gone through; more than a failover takes
PAUSE = 600  # seconds between two warnings
TWO_IN_USE = (
    "this server and another one use this database with two Redis servers in turn: tokens of one are unknown at the"
    " other, and what is revoked at one lives on at the other; give all replicas the same REDIS_URL"
)
log = logging.getLogger("auth_server.store")


class RevocationJournal:
    """The journal.

    Args:
        engine: of the durable records; its schema is up to date.
    """

    _rows = tables.revocations
    _identity = select(tables.reconciled_redis.c.identity)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._times: Counter[str] = Counter()
        self._warned_at = 0

    def reconciled(self) -> str:
        """Return the identity of the Redis in which everything has been done."""
        with reading(self._engine) as connection:
            return str(connection.execute(self._identity).scalar_one())

    def add(self, revocation: Revocation, identity: str) -> bool:
        """Write down what was revoked, durably, unless that Redis is not the reconciled one; tell whether it is."""
        with writing(self._engine) as connection:
            if connection.execute(self._identity.with_for_update(read=True)).scalar_one() != identity:
                return False
            values = {
                "by": int(revocation.index),
                "value": revocation.value.encode(),
                "kind": None if revocation.kind is None else int(revocation.kind),
                "arrival": revocation.arrival,
                "expires_at": revocation.expires_at,
            }
            connection.execute(insert(self._rows).values(**values))
        return True

    @contextmanager
    def reconciling(self, identity: str, now: int) -> Iterator[Iterator[Revocation]]:
        """What must be done in a Redis before it is used; afterwards that is noted. One at a time, on all replicas.

        Nothing is to be done if another process has done it meanwhile.
        """
        with writing(self._engine) as connection:
            if connection.execute(self._identity.with_for_update()).scalar_one() == identity:
                yield iter(())
                return
            yield self._each(connection, now)
            connection.execute(update(tables.reconciled_redis).values(identity=identity))
        self.look_whether_it_comes_back(identity, now)

    def look_whether_it_comes_back(self, identity: str, now: int) -> None:
        """Warn, now and then, of a Redis that is in force again and again, for others use another one in between.

        Who revokes something or opens a connection brings its own Redis back. A restart and a failover give a Redis
        another identity; while a failover is under way, the one of before may come back once or twice.
        """
        self._times[identity] += 1
        if self._times[identity] >= OFTEN and now - self._warned_at >= PAUSE:
            self._warned_at = now
            log.warning("%s", TWO_IN_USE)

    def _each(self, connection: Connection, now: int) -> Iterator[Revocation]:
        c, above, more = self._rows.c, 0, True
        query = select(self._rows).where(c.expires_at > now).order_by(c.number).limit(BATCH)
        while more:
            rows = connection.execute(query.where(c.number > above)).all()
            for row in rows:
                kind = None if row.kind is None else Kind(row.kind)
                yield Revocation(Index(row.by), row.value.decode(), kind, row.arrival, row.expires_at)
            more = len(rows) == BATCH
            above = rows[-1].number if rows else 0

    def purge(self, now: int, limit: int) -> int:
        """Delete at most *limit* of those whose entries would have expired by now; return how many it were."""
        return purge_expired(self._engine, self._rows, "number", now, limit) if limit > 0 else 0
