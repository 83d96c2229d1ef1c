"""A server that was silent a moment ago is asked by one thread at a time: the others would only wait with it.

A process has few threads. If each of them waited its five seconds for a store that says nothing, nobody would be left
to answer what needs no store: whether the process lives, and which keys count.
"""

import threading
import time

from auth_server.errors import Unavailable

SILENT = 2.0  # seconds without an answer, and then none
TURN = 10.0  # seconds after which somebody else may ask: longer than any answer is waited for


class Silence:
    """Whether a server is silent, as far as the threads of this process know.

    Args:
        name: what it is called in what is said to those who ask.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_on = False
        self.noticed_at = 0.0  # when somebody last had no answer: what was connected before may be cut off
        self._again_at, self._asks = 0.0, 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Return if this thread may ask; call `over` or `noticed` when it has.

        Raises:
            Unavailable: it is somebody else's turn.
        """
        if not self.is_on or self._asks == threading.get_ident():
            return
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                raise Unavailable(f"{self._name} was silent a moment ago")
            self._again_at, self._asks = now + TURN, threading.get_ident()

    def over(self) -> None:
        """It has answered."""
        if self.is_on:
            self.is_on, self._asks = False, 0

    def noticed(self, since: float) -> None:
        """It has not answered since that moment (time.monotonic), and the connection is closed."""
        with self._lock:
            now = self.noticed_at = time.monotonic()
            if now - since >= SILENT:
                self.is_on, self._again_at, self._asks = True, now, 0
            elif self._asks == threading.get_ident():  # it is away, and says so at once
                self.is_on, self._asks = False, 0
