"""Whose turn it is to write to a SQLite file: the threads of a process queue here, for its busy handler sleeps."""

import threading

from auth_server.errors import Unavailable


class Turn:
    """A lock, for which nobody waits for long: whoever has it may be waiting for another process.

    Args:
        what: the file, as an error calls it.
        timeout: seconds to wait.
    """

    def __init__(self, what: str, timeout: float) -> None:
        self._what, self._timeout = what, timeout
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Take the turn.

        Raises:
            Unavailable: others had it for too long.
        """
        if not self._lock.acquire(timeout=self._timeout):
            raise Unavailable(f"too many writers wait for {self._what}")

    def __exit__(self, *error: object) -> None:
        self._lock.release()
