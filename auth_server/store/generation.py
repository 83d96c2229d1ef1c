"""The generation of the records in a server database, asked for by the driver alone."""

import threading

from auth_server.store.raw_connections import Connections

_ASK = "SELECT value FROM generation"


class _Look(threading.local):
    """Whether this thread looks, and what it has learned since that began."""

    is_on = False
    learned: int | None = None


class Generation:
    """Asked for before copies of records are used; while a thread looks, once is enough.

    What is read from the same database meanwhile may bring it along, so that nobody has to ask.

    Args:
        connections: to the database of the records.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections, self._look = connections, _Look()

    def now(self) -> int:
        """Return it as it is, or was at some time since this thread's look began."""
        look = self._look
        if look.is_on and look.learned is not None:
            return look.learned
        value: int = self._connections.rows(_ASK)[0][0]
        return value

    def learn(self, value: int) -> None:
        """Remember what came along, if this thread looks."""
        if self._look.is_on:
            self._look.learned = value

    def close(self) -> None:
        """Let go of connections."""
        self._connections.close()

    def __enter__(self) -> None:
        self._look.is_on, self._look.learned = True, None

    def __exit__(self, *error: object) -> None:
        self._look.is_on = False
