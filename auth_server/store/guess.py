"""What a thread takes for granted of a store far away until it writes there; the store then checks it in the same step.

A token is issued on what was read just before: the client as it is, and that nobody guesses at its secret. To ask for
these takes a round trip, and the answer hardly ever is news.
"""

import threading
from dataclasses import dataclass


class WrongGuess(Exception):
    """What was taken for granted is not so; nothing was written. Do it again, and ask."""


@dataclass(slots=True)  # not frozen: one is made on every request, and that takes five times as long
class Granted:
    """What was taken for granted.

    Args:
        generation: of the records that copies were used of; None if none were.
        bucket: one that is to have a try left; empty if none was asked for.
        full_by: when it is full again at the latest, if it has (Unix seconds).
    """

    generation: int | None = None
    bucket: str = ""
    full_by: int = 0

    def is_right(self, generation: int | None, full_at: int | None) -> bool:
        """Tell whether it is, by what the store says now."""
        return self.generation in (None, generation) and (not self.bucket or (full_at or 0) <= self.full_by)


class Guess(threading.local):
    """That of a thread; None while it asks."""

    granted: Granted | None = None
