"""Writes that wait for each other reach the disk together."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from auth_server.store.group_commit import GroupCommit

MANY = 6


class Queue:
    """A database, and threads that write to it when they are let."""

    def __init__(self, path: Path) -> None:
        self.turn = threading.Lock()
        self.statements: list[str] = []
        self._path = path
        self._open: sqlite3.Connection | None = None
        self.commit = GroupCommit(lambda: self.turn, self.connection, self.drop)
        self.connection().execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")

    def connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._open.set_trace_callback(self.statements.append)
        return self._open

    def drop(self) -> None:
        assert self._open is not None
        self._open.close()
        self._open = None

    def together(self, *writes: Callable[[sqlite3.Connection], Any]) -> list[Future[Any]]:
        """Let all of them wait for their turn, and then have it."""
        with ThreadPoolExecutor(len(writes)) as pool, self.turn:
            futures = [pool.submit(self.commit.run, write) for write in writes]
            while len(self.commit._waiting) < len(writes):
                pass
        return futures

    def numbers(self) -> list[int]:
        return [number for (number,) in self.connection().execute("SELECT number FROM numbers ORDER BY number")]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "numbers.db")


def put(number: int) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,)).lastrowid or 0


def test_those_who_wait_share_a_transaction(queue: Queue):
    """And each gets its own answer."""
    futures = queue.together(*(put(number) for number in range(1, MANY + 1)))
    assert [future.result() for future in futures] == queue.numbers() == list(range(1, MANY + 1))
    assert sum(one.startswith("BEGIN") for one in queue.statements) == 1


def test_what_fails_fails_together_and_is_not_written(queue: Queue):
    """Nobody is told that something was written which was not; the next ones are."""
    futures = queue.together(put(1), put(2), put(1))
    assert all(isinstance(future.exception(), sqlite3.IntegrityError) for future in futures)
    assert queue.numbers() == []
    assert queue.commit.run(put(3)) == 3
    assert queue.numbers() == [3]


def test_who_gives_up_is_not_written_for(queue: Queue):
    """A turn that does not come ends the wish."""

    class Never:
        def __enter__(self) -> None:
            raise TimeoutError

        def __exit__(self, *error: object) -> None: ...

    turn = queue.commit._turn
    queue.commit._turn = Never
    with pytest.raises(TimeoutError):
        queue.commit.run(put(1))
    queue.commit._turn = turn
    queue.commit.run(put(2))
    assert queue.numbers() == [2]
