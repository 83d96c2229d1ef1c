"""Connections to a server database by its driver alone, for hot paths: SQLAlchemy costs 100 µs a statement."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth_server.errors import Unavailable
from auth_server.store.engine import TIMEOUT, TRIES, on_change, pause, silence
from auth_server.store.shortcuts import Row

R = TypeVar("R")

MOST = 32  # connections of a process at the same time; a thread holds one only while it waits for an answer
UNUSED = 0.5  # seconds after which one looks whether the server has hung up meanwhile


class TryAgain(Exception):
    """Nothing was done, because of what others did at the same moment; SERIALIZABLE transactions end so (S-133)."""


class RawConnection(Protocol):
    """One connection of a driver; each statement is a transaction unless BEGIN was said.

    Parameters stand as `$1`, `$2`, … in the statements. All methods raise `Unavailable`, or `TryAgain`.
    """

    used_at: float

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement gives."""

    def count(self, statement: str, values: Sequence[object] = ()) -> int:
        """Return how many rows a statement touched."""

    def is_alive(self) -> bool:
        """Tell whether the server has not hung up, without asking it."""

    def is_open(self) -> bool:
        """Tell whether nobody has hung up, as far as is known here."""

    def rollback(self) -> None:
        """End a transaction that has failed, if there is one."""

    def close(self) -> None:
        """Hang up."""


class _Pool:
    """The connections of one process that nobody uses, and the places for those in use."""

    def __init__(self) -> None:
        self.idle: deque[RawConnection] = deque()
        self.places = threading.BoundedSemaphore(MOST)


class Connections:
    """Those of one process, opened when they are needed; whoever's answer is waited for has one. None crosses a fork.

    Args:
        engine: of the database: its URL, its limits and its way to connect are these connections' too.
        wrap: makes one of what the driver opened.
    """

    def __init__(self, engine: Engine, wrap: Callable[[Any], RawConnection]) -> None:
        self._engine, self._wrap = engine, wrap
        self._silence = silence(engine)
        self._pools: dict[int, _Pool] = {}  # by process: after a fork the parent's are still known here, and not used

    def on_change(self, listener: Callable[[int], None]) -> None:
        """Have *listener* told of each generation that a transaction of this process has made."""
        on_change(self._engine, listener)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement gives, as a transaction of its own."""
        return self.run(lambda connection: connection.rows(statement, values))

    def count(self, statement: str, values: Sequence[object] = ()) -> int:
        """Return how many rows a statement touched, as a transaction of its own."""
        return self.run(lambda connection: connection.count(statement, values))

    def run(self, use: Callable[[RawConnection], R]) -> R:
        """Return what *use* does with a connection; if it has to be tried again, all of it is.

        Raises:
            Unavailable: the database does not answer, or was too busy for too long.
        """
        pid = os.getpid()
        pool = self._pools.get(pid) or self._pools.setdefault(pid, _Pool())  # one step: the first threads get the same
        if not pool.places.acquire(timeout=TIMEOUT):
            raise Unavailable("too many wait for the database")
        try:
            self._silence.check()  # after the wait: whose turn it is to find out, does
            for tried in range(TRIES):
                connection = self._connection(pool)
                try:
                    result = use(connection)
                except TryAgain:
                    self._silence.over()
                    if connection.is_open():
                        connection.rollback()
                        pool.idle.append(connection)
                    pause(tried)
                except BaseException:  # nothing is swallowed: a connection that failed is not used again (S-135)
                    if not connection.is_open():
                        self._silence.noticed(connection.used_at)
                        self.close()  # the others are hardly better
                    else:
                        self._silence.over()
                    connection.close()
                    raise
                else:
                    self._silence.over()
                    pool.idle.append(connection)
                    return result
            raise Unavailable("others were in the way in the database, again and again")
        finally:
            pool.places.release()

    def _connection(self, pool: _Pool) -> RawConnection:
        now = time.monotonic()
        unseen = max(now - UNUSED, self._silence.noticed_at)
        while True:
            try:
                connection = pool.idle.pop()  # the one that was used last: the others may rest
            except IndexError:
                break
            if connection.used_at > unseen or connection.is_alive():
                connection.used_at = now
                return connection
            connection.close()
        try:
            opened = self._engine.raw_connection()
        except (self._engine.dialect.loaded_dbapi.Error, DBAPIError, PoolTimeout) as error:
            self._silence.noticed(now)
            told = str(error).partition("\n")[0][:200]  # of the way to the database: no statement was made yet
            raise Unavailable(f"the database does not answer ({told or type(error).__name__})") from error
        driver = opened.driver_connection
        opened.detach()
        connection = self._wrap(driver)
        connection.used_at = now
        return connection

    def close(self) -> None:
        """Hang up where nobody waits; before a fork there must be no connection."""
        pool = self._pools.get(os.getpid())
        while pool:
            try:
                pool.idle.pop().close()
            except IndexError:
                return
