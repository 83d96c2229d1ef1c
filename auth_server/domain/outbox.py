"""What clients must be told, kept until they were: at least once, with growing pauses, and not for ever."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from auth_server.clock import Clock
from auth_server.domain.audit import Audit
from auth_server.store.records import Delivery, Records

LEASE = 30  # seconds in which a try is over; then whoever made it has died, and another may
FIRST_PAUSE, LONGEST_PAUSE = 5, 3600  # seconds; each is twice the one before
GIVEN_UP_AFTER = 86400  # seconds
_NUMBERED = 32  # doublings, beyond which the pause has long been the longest


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that one client must be told."""

    client_id: str
    data: dict[str, Any]


class Outbox:
    """All that waits to be told.

    Args:
        event: what a failure is called in the audit.
    """

    def __init__(self, records: Records, audit: Audit, clock: Clock, event: str = "logout.delivery") -> None:
        self._records, self._audit, self._clock, self._event = records, audit, clock, event

    def add(self, messages: Sequence[Message]) -> None:
        """Keep messages; on return they outlive any crash."""
        now = self._clock()
        self._records.outbox.add(
            [Delivery(one.client_id, orjson.dumps(one.data), now, now, now + GIVEN_UP_AFTER) for one in messages]
        )

    def waiting(self, limit: int, *, without: Collection[str] = ()) -> Sequence[str]:
        """Return clients for which something is due, the longest waiting first."""
        return self._records.outbox.waiting(self._clock(), limit, without=without)

    def claim(self, client_id: str) -> Delivery | None:
        """Take the next message for a client, so that nobody else tries it at the same time; None if none is due."""
        now = self._clock()
        return self._records.outbox.claim(client_id, now, now + LEASE)

    def delivered(self, delivery: Delivery) -> None:
        """A client knows; after failures that is written down too."""
        if self._records.outbox.remove(delivery) and delivery.tries > 1:
            self._record(delivery, "ok")

    def drop(self, delivery: Delivery) -> None:
        """Nobody wants to know any more."""
        self._records.outbox.remove(delivery)

    def failed(self, delivery: Delivery, reason: str) -> None:
        """Try again later; or never, when it has been long enough. The first failure and the last are written down."""
        now = self._clock()
        pause = min(FIRST_PAUSE * 2 ** min(delivery.tries - 1, _NUMBERED), LONGEST_PAUSE)
        if now + pause < delivery.ends_at:
            if self._records.outbox.put_off(delivery, now + pause) and delivery.tries == 1:
                self._record(delivery, "failed", reason=reason, next_try_in=pause)
        elif self._records.outbox.remove(delivery):
            self._record(delivery, "given up", reason=reason)

    def _record(self, delivery: Delivery, outcome: str, **details: Any) -> None:
        uid = orjson.loads(delivery.data).get("uid", "")
        self._audit.record(
            self._event, outcome, actor="server", client_id=delivery.client_id, uid=uid, tries=delivery.tries, **details
        )
