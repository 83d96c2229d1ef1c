"""Short-lived state in Redis, of which nothing is lost or comes back that must not, whatever Redis' settings.

Redis may start again from an older snapshot, or a replica that lags may take over. Then what it holds is older than
what we have acknowledged. So:

- What takes rights away or must not be older is not in Redis at all, but in a state that lasts: LASTING kinds, and
  what is spent.
- Redis says who is first to redeem something, and that one must then be the first to claim it in the lasting state.
- What is to be revoked is written down in a journal first, and then revoked: whoever does not find it any more may
  say so. A Redis is used only after all of the journal has been done in it: each new connection looks at who it is,
  which is another one after a restart and after a failover, and no connection outlives a restart.

What is left to Redis may be lost, or be as it was a moment ago: see docs/decisions/0031-what-redis-may-lose.md.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from hashlib import sha256

from auth_server.clock import Clock
from auth_server.errors import Unavailable
from auth_server.store.generation import Generation
from auth_server.store.guess import Granted
from auth_server.store.redis_state import RedisState
from auth_server.store.revocation_journal import RevocationJournal
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
    State,
    Taken,
    is_part_of_key,
)

LASTING = frozenset((Kind.ENDED, Kind.BROWSER, Kind.TOLD))
PATIENCE = 5.0  # seconds that a thread waits for another to go through the journal
NEVER = 2**52  # expires_at of what does not


class RedisWithJournal:
    """State of many machines.

    Args:
        url, prefix: as RedisState has them.
        lasting: where nothing is lost.
        journal: of what was revoked in Redis.
        longest: seconds that an entry in Redis lives at most.
        generation: of the records, where a server database has it: it is then published in Redis, and asked for there.
    """

    is_far = True

    def __init__(
        self,
        url: str,
        lasting: State,
        journal: RevocationJournal,
        clock: Clock,
        longest: int,
        prefix: str = "",
        generation: Generation | None = None,
    ) -> None:
        self._redis = RedisState(url, prefix, self._admit, generation.learn if generation else None)
        self.mark, self.settle = self._redis.mark, self._redis.settle
        self._generation = generation
        if generation is not None:
            generation.bring_near(self._redis)
        self._lasting, self._journal, self._clock, self._longest = lasting, journal, clock, longest
        self._turn = threading.Lock()
        self._looked_at, self._in_force = 0, ""

    def _admit(self, identity: str) -> None:
        """Let nobody use a Redis in which what was revoked may be alive.

        Raises:
            Unavailable: somebody else is at it, and not done in time; or the database does not answer.
        """
        if self._journal.reconciled() != identity:
            self._reconcile(identity)
        self._notice(identity)

    def _reconcile(self, identity: str) -> None:
        if not self._turn.acquire(timeout=PATIENCE):
            raise Unavailable("Redis has started anew, and what was revoked is not yet revoked there")
        try:
            if self._journal.reconciled() != identity:
                with self._journal.reconciling(identity, self._clock()) as revocations:
                    self._redis.revoke_again(revocations)
                    if self._generation is not None:  # that in Redis may be an old one, which some have copies of
                        self._generation.publish()
        finally:
            self._turn.release()

    def _notice(self, identity: str) -> bool:
        """Let all threads ask anew who Redis is if it is another one than this process knew of; tell whether it is.

        Who still talks to the one before, because only others saw it go, knows nothing of what is revoked at the other.
        """
        before, self._in_force = self._in_force, identity
        if before in ("", identity):
            return False
        self._redis.reopen()
        return True

    def _of(self, kind: Kind) -> State:
        return self._lasting if kind in LASTING else self._redis

    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        self._of(kind).put(kind, entry, now, keep=keep)

    def put_if(self, granted: Granted, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> bool:
        if kind not in LASTING:
            return self._redis.put_if(granted, kind, entry, now, keep=keep)
        holds = self.holds(granted)
        if holds:
            self._lasting.put(kind, entry, now, keep=keep)
        return holds

    def holds(self, granted: Granted) -> bool:
        return self._redis.holds(granted)

    def guess(self) -> AbstractContextManager[None]:
        return nullcontext()

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        return self._of(kind).get(kind, key, now)

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        return self._of(kind).ahead(kind, key)

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        taken = self._of(kind).take(kind, key, client_id, now)
        if kind in LASTING or taken is None or not taken.first:
            return taken
        ends_at = NEVER if taken.entry.expires_at is None else taken.entry.expires_at
        claim = OnceKey(sha256(b"taken %d " % kind + key).digest(), ends_at)
        try:
            return replace(taken, first=self._lasting.spend([claim], now) is None)
        except Unavailable:  # who is told to come again must find it; should it be claimed after all, that still counts
            with suppress(Unavailable):
                self._redis.give_back(kind, taken.entry, now)
            raise

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        return self._of(kind).swap(kind, old, new, now)

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        return self._lasting.spend(keys, now)

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        return self._of(kind).find(kind, index, value, page, now)

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        return self._of(kind).each(kind, now, index, value, batch=batch)

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        if kind in LASTING:
            return self._lasting.revoke(index, value, kind)
        if is_part_of_key(index, value):
            return 0
        while True:
            revocation = self._redis.revocation(index, value, kind)
            if revocation.expires_at == 0:  # what is not here may be in a snapshot
                revocation = replace(revocation, expires_at=self._clock() + self._longest)
            if self._journal.add(revocation, self._redis.identity):
                break
            self._redis.leave()  # another Redis is in its place by now
        gone = self._redis.revoke_as(revocation)
        return gone if kind is not None else gone + self._lasting.revoke(index, value)

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        return self._redis.draw(bucket, cost, rate, now)

    def purge(self, now: int, limit: int) -> int:
        gone = self._lasting.purge(now, limit)
        gone += self._journal.purge(now, limit - gone)
        return gone + (self._redis.purge(now, limit - gone) if gone < limit else 0)

    def sync(self) -> None:
        """Sync what lasts, and look once a second whether another Redis has been taken into use."""
        self._lasting.sync()
        now = self._clock()
        if now != self._looked_at:
            self._looked_at = now
            identity = self._journal.reconciled()
            if self._notice(identity):
                self._journal.look_whether_it_comes_back(identity, now)

    def check(self) -> None:
        self._redis.check()
        self._lasting.check()

    def close(self) -> None:
        self._redis.close()
        self._lasting.close()
