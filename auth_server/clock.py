"""The time of day and the source of randomness, passed in and never fetched."""

import secrets
import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the current time in whole Unix seconds."""

Random = Callable[[int], bytes]
"""Returns that many bytes from a cryptographic generator."""


def system_clock() -> int:
    """Return the current time in Unix seconds."""
    return int(time.time())


def rfc3339(moment: int | None) -> str | None:
    """Return Unix seconds as text in UTC, for example `2027-01-31T23:59:00Z`; None, for never, stays None."""
    return None if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


system_random: Random = secrets.token_bytes
