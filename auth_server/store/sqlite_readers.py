"""The connections that read a SQLite file. Threads share them: how many there are has nothing to do with threads."""

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from auth_server.errors import Unavailable

MOST = 16  # of a process; a thread has one only while it reads, which takes microseconds
PATIENCE = 5.0  # seconds that a thread waits for one
Values = Sequence[object] | Mapping[str, object]


class _Shared:
    """What the threads of one process share: connections that nobody uses, and None for each that broke."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection | None] = []
        self._number, self._waiting = 0, 0
        self._handed: SimpleQueue[sqlite3.Connection | None] = SimpleQueue()  # to those who wait, in their order

    def take(self) -> sqlite3.Connection | None:
        """Return what is this thread's until it is given back; None if a connection may be opened."""
        with self._lock:
            if self._idle:
                return self._idle.pop()  # the one that was used last: the others need no memory for pages meanwhile
            if self._number < MOST:
                self._number += 1
                return None
            self._waiting += 1
        try:
            return self._handed.get(timeout=PATIENCE)
        except Empty:
            with self._lock:
                try:
                    return self._handed.get_nowait()  # at the last moment
                except Empty:
                    self._waiting -= 1
            raise Unavailable("too many read the database") from None

    def give(self, connection: sqlite3.Connection | None) -> None:
        """Let the next one have it."""
        with self._lock:
            if self._waiting:
                self._waiting -= 1
                self._handed.put(connection)
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._number -= len(idle)
        for connection in idle:
            if connection is not None:
                connection.close()


class Readers:
    """As many connections as were ever needed at the same time; none crosses a fork.

    A thread's own would outlive it: driver and connection hold each other, so that memory and files go when cycles are
    collected, which is seldom where few objects are made. Granian ends threads that had nothing to do for 30 s.

    Args:
        open_: returns a new connection, which any thread may use.
    """

    def __init__(self, open_: Callable[[], sqlite3.Connection]) -> None:
        self._open, self._shared = open_, _Shared()

    def rows(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Return what a query gives.

        Raises:
            sqlite3.Error: it failed, and its connection is closed.
            Unavailable: all connections were in use for too long.
        """
        shared = self._shared
        if shared.pid != os.getpid():
            shared = self._shared = _Shared()
        connection = shared.take()
        try:
            if connection is None:
                connection = self._open()
            rows = connection.execute(query, values).fetchall()
        except BaseException:  # nothing is swallowed: the next one opens a connection in place of this
            if connection is not None:
                connection.close()
            shared.give(None)
            raise
        shared.give(connection)
        return rows

    def close(self) -> None:
        """Close what nobody uses; before a fork there must be none."""
        if self._shared.pid == os.getpid():
            self._shared.close()
