"""State far away, of which a thread may take for granted what it would ask for before it puts an entry (`guess.py`)."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from auth_server.errors import Unavailable
from auth_server.store.guess import Granted, Guess, WrongGuess
from auth_server.store.state import BATCH, Allowance, Entry, Index, Keep, Kind, OnceKey, Page, Rate, State, Taken

_ALLOWED = Allowance(True, 0)


class Conditional(State, Protocol):
    """A state that can put an entry on a condition."""

    def put_if(self, granted: Granted, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> bool:
        """Do what `put` does if *granted* is so, in one step; tell whether it is."""

    def holds(self, granted: Granted) -> bool:
        """Tell whether *granted* is so."""


class OptimisticState:
    """Passes everything on; what was taken for granted is checked before all else, or with a put.

    Args:
        state: that of many machines.
        guess: what its records use too.
    """

    is_far = True

    def __init__(self, state: Conditional, guess: Guess) -> None:
        self._state, self._guess = state, guess
        self.mark, self.settle = state.mark, state.settle

    # ---- the guess
    def guess(self) -> AbstractContextManager[None]:
        return self

    def __enter__(self) -> None:
        self._guess.granted = Granted()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None and issubclass(kind, (Unavailable, WrongGuess)):  # it says nothing of what was granted
            self._guess.granted = None
        else:
            self._settled()

    def _settled(self) -> Conditional:
        """Return the state when nothing is taken for granted any more.

        Raises:
            WrongGuess: something was that is not so.
        """
        granted, self._guess.granted = self._guess.granted, None
        if granted is not None and granted != Granted() and not self._state.holds(granted):
            raise WrongGuess
        return self._state

    # ---- the interface
    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        granted, self._guess.granted = self._guess.granted, None
        if granted is None:
            self._state.put(kind, entry, now, keep=keep)
        elif not self._state.put_if(granted, kind, entry, now, keep=keep):
            raise WrongGuess

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        granted = self._guess.granted
        if granted is not None and cost == 0 and not granted.bucket:
            granted.bucket, granted.full_by = bucket, now + (rate.burst - 1) * rate.refill
            return _ALLOWED
        return self._settled().draw(bucket, cost, rate, now)

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        return self._settled().get(kind, key, now)

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        return self._state.ahead(kind, key)

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        return self._settled().take(kind, key, client_id, now)

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        return self._settled().swap(kind, old, new, now)

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        return self._settled().spend(keys, now)

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        return self._settled().find(kind, index, value, page, now)

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        return self._settled().each(kind, now, index, value, batch=batch)

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        return self._settled().revoke(index, value, kind)

    def purge(self, now: int, limit: int) -> int:
        return self._state.purge(now, limit)

    def sync(self) -> None:
        self._state.sync()

    def check(self) -> None:
        self._state.check()

    def close(self) -> None:
        self._state.close()
