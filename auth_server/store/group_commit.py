"""Writes of several threads in one transaction: they share one sync to the disk, which takes longer than the writes."""

import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class _Write(Generic[R]):
    """What one thread wants to have written, and what came of it."""

    result: R
    error: sqlite3.Error | None = None

    def __init__(self, write: Callable[[sqlite3.Connection], R]) -> None:
        self.write = write
        self.is_wanted = True
        self.is_done = False


class GroupCommit:
    """A queue of writes; whoever's turn it is writes for all who wait.

    Args:
        turn: lets one thread of this process at a time write.
        connection: returns the connection that writes; its transactions reach the disk before they return.
        broken: told when it has failed.
    """

    def __init__(
        self,
        turn: Callable[[], AbstractContextManager[object]],
        connection: Callable[[], sqlite3.Connection],
        broken: Callable[[], None],
    ) -> None:
        self._turn, self._connection, self._broken = turn, connection, broken
        self._waiting: deque[_Write[Any]] = deque()

    def run(self, write: Callable[[sqlite3.Connection], R]) -> R:
        """Let *write* make its statements, and return what it does when they are on the disk.

        It must raise nothing but what SQLite does: then none of those that were written together has been.

        Raises:
            sqlite3.Error: it was not written.
        """
        mine = _Write(write)
        self._waiting.append(mine)
        try:
            with self._turn():
                if not mine.is_done:  # nobody has written it with his own
                    self._write_all()
        finally:
            mine.is_wanted = False
        if mine.error is not None:
            raise mine.error
        return mine.result

    def _write_all(self) -> None:
        together = []
        while self._waiting:
            one = self._waiting.popleft()
            if one.is_wanted:
                together.append(one)
        error: sqlite3.Error | None = sqlite3.OperationalError("the writer was interrupted")
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            for one in together:
                one.result = one.write(connection)
            connection.execute("COMMIT")
            error = None
        except sqlite3.Error as raised:
            error = raised
        finally:
            if error is not None:
                self._broken()  # and so rolled back
            for one in together:
                one.error, one.is_done = error, True
