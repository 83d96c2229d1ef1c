"""What a store far away has said a moment ago. A process may answer by it: whoever ends something waits that moment.

To ask takes a round trip, and most questions are the same again: whether anything has been revoked, or changed in the
records. What was heard counts for `TERM`, reckoned from before the question was sent. Whoever has revoked a token or
changed a record acknowledges it no sooner than `TERM` after the store knows (`settle`): by then nobody goes by anything
older. Each process measures a span of its own; no two clocks have to agree, and nobody has to be told anything.

What has been read of an entry counts beyond that as long as its *mark* in the store stays the same: it is another one
after each revocation of that entry, or of one of the few that share the mark.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from auth_server.store.state import Kind

TERM = 0.02  # seconds
MARGIN = 1.25  # of TERM is waited: clocks that are being set right may go by a twelfth too fast or too slow
UNHEARD = 1.5  # seconds; what could not be published the others find out within a second (generation.py)
MOST = 10000  # names of buckets in memory
MARKED = frozenset((Kind.ACCESS_TOKEN, None))  # kinds that have marks; None: what is of every kind
MARK = 8  # bytes
MARKS = 64  # by the first byte of a key


@dataclass(frozen=True, slots=True)
class Heard:
    """What a store said at one time.

    Args:
        until: when it counts no more, by the monotonic clock.
        marks: those of all entries: one that they have in common, then MARKS, as far as there are any.
        generation: of the records, if the store knows it.
    """

    until: float
    marks: bytes
    generation: int | None


class _Unsettled(threading.local):
    """Until when this thread has to wait for what it has ended; 0 if there is nothing."""

    until = 0.0


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first goes on while the machine sleeps


def monotonic() -> float:
    """Return seconds by a clock that only goes on."""
    return time.clock_gettime(_CLOCK)


class Recent:
    """What this process has heard of one store.

    Args:
        monotonic: seconds by a clock that only goes on.
        sleep: waits for that many.
    """

    def __init__(self, monotonic: Callable[[], float] = monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self.monotonic, self._sleep = monotonic, sleep
        self._heard = Heard(0, b"", None)
        self._untouched: dict[str, tuple[float, float]] = {}
        self._unsettled = _Unsettled()

    # ---- to answer by it
    def hear(self, asked_at: float, marks: bytes, generation: int | None) -> None:
        """Remember an answer to a question that was sent after *asked_at*."""
        if asked_at + TERM > self._heard.until:
            self._heard = Heard(asked_at + TERM, marks, generation)

    def now(self) -> Heard | None:
        """Return what counts now; None if that has to be asked for."""
        heard = self._heard
        return heard if self.monotonic() < heard.until else None

    def mark(self, key: bytes) -> bytes | None:
        """Return the mark of an entry as it counts now; None if that has to be asked for."""
        heard = self._heard
        return mark_of(key, heard.marks) if self.monotonic() < heard.until else None

    # ---- throttles
    def hear_untouched(self, asked_at: float, bucket: str) -> None:
        """Remember that nothing is missing from a bucket."""
        if len(self._untouched) >= MOST:
            self._untouched = {}
        self._untouched[bucket] = (asked_at + TERM / 2, asked_at + TERM)

    def untouched(self, bucket: str) -> Heard | None:
        """Return what counts now if nothing is missing from a bucket; None if that has to be asked for.

        One thread is told to ask before the others have to: else they would all ask at the same time.
        """
        half, until = self._untouched.get(bucket, (0.0, 0.0))
        now = self.monotonic()
        if half <= now < until:
            self._untouched[bucket] = (until, until)
        return self.now() if now < half else None

    def knows(self, bucket: str, learn: Callable[[int], None] | None) -> bool:
        """Tell whether nothing was missing from a bucket a moment ago; *learn* is told the generation of then."""
        heard = self.untouched(bucket)
        if heard is not None and heard.generation is not None and learn is not None:
            learn(heard.generation)
        return heard is not None

    def touch(self, bucket: str) -> None:
        """Forget that nothing is missing from a bucket."""
        self._untouched.pop(bucket, None)

    # ---- to end something
    def end(self) -> None:
        """Note that the store knows of something that this thread has ended."""
        self._wait_for(TERM * MARGIN)

    def end_unheard(self) -> None:
        """Note that this thread has ended something, of which the store may have heard nothing."""
        self._wait_for(UNHEARD if TERM else 0)

    def _wait_for(self, seconds: float) -> None:
        self._unsettled.until = max(self._unsettled.until, self.monotonic() + seconds)

    def settle(self) -> None:
        """Wait until no process answers by what it heard before this thread has ended something."""
        if self._unsettled.until:
            left = self._unsettled.until - self.monotonic()
            self._unsettled.until = 0.0
            if left > 0:
                self._sleep(left)


def mark_of(key: bytes, marks: bytes) -> bytes:
    """Return the mark of the entries with that key."""
    place = place_of(key)
    return marks[:MARK] + marks[place : place + MARK]


def place_of(key: bytes) -> int:
    """Return where the mark of the entries with that key begins."""
    return MARK + key[0] % MARKS * MARK


def new_mark(number: int = 1) -> bytes:
    """Return one that there has never been, or several."""
    return os.urandom(MARK * number)
