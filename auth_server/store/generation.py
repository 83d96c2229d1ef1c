"""The generation of the records in a server database, asked for by the driver alone."""

import threading
from contextlib import suppress
from typing import Protocol

from auth_server.errors import Unavailable
from auth_server.store.guess import Guess
from auth_server.store.raw_connections import Connections

_ASK = "SELECT value FROM generation"


class Near(Protocol):
    """A store that answers sooner, and brings the generation along with other answers."""

    def generation(self) -> int | None:
        """Return what was published; None if that is lost."""

    def publish_generation(self, value: int, in_place_of: int | None = None) -> None:
        """Remember the number, unless a higher one is known; or if *in_place_of* is."""


class _Look(threading.local):
    """Whether this thread looks, and what it has learned since that began."""

    is_on = False
    learned: int | None = None


class Generation:
    """Asked for before copies of records are used; while a thread looks, once is enough.

    What is read from the same database meanwhile may bring it along, so that nobody has to ask.

    Args:
        connections: to the database of the records.

    Attributes:
        guess: what a thread takes for granted; while it does, that includes the number that was learned last.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections, self._look = connections, _Look()
        self.guess = Guess()
        self._known: int | None = None
        self._near: Near | None = None
        self._is_trusted = True  # that what is published there is what the database says, or will be within a second

    def bring_near(self, near: Near) -> None:
        """Have the number in *near* too, and ask there: each change of records is published before it is acknowledged.

        Whoever changes records may die between the two, so `publish` is called once a second as well.
        """
        self._near = near
        self._connections.on_change(near.publish_generation)

    def now(self) -> int:
        """Return it as it is, or was at some time since this thread's look began."""
        look = self._look
        if look.is_on and look.learned is not None:
            return look.learned
        granted, known = self.guess.granted, self._known
        if granted is not None and known is not None and self._is_trusted:
            granted.generation = known
            return known
        value = self._known = self._asked()
        return value

    def _asked(self) -> int:
        if self._near is not None and self._is_trusted:
            with suppress(Unavailable):
                known = self._near.generation()
                if known is not None:
                    return known
        return self.stored()

    def stored(self) -> int:
        """Return what the database says."""
        value: int = self._connections.rows(_ASK)[0][0]
        return value

    def publish(self) -> None:
        """Let those who ask elsewhere know what the database says.

        What is published is never ahead of the database, so a higher number is that of another database, or of this one
        before a backup was restored: it goes.

        Raises:
            Unavailable: one of the two does not answer, or takes nothing; if it is the other, it is not asked any more
                until it does.
        """
        if self._near is None:
            return
        known = self._near.generation()  # first: what is stored may move on meanwhile
        stored = self.stored()
        if known != stored:
            try:
                self._near.publish_generation(stored, known if known is not None and known > stored else None)
            except Unavailable:
                self._is_trusted = False
                raise
        self._is_trusted = True

    def learn(self, value: int) -> None:
        """Remember what came along."""
        self._known = value
        if self._look.is_on and self._is_trusted:
            self._look.learned = value

    def close(self) -> None:
        """Let go of connections."""
        self._connections.close()

    def __enter__(self) -> None:
        self._look.is_on, self._look.learned = True, None

    def __exit__(self, *error: object) -> None:
        self._look.is_on = False
