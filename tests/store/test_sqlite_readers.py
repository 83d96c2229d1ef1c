"""The connections that read a SQLite file serve any number of threads, and outlive none of them."""

import gc
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from auth_server.errors import Unavailable
from auth_server.store import sqlite_readers
from auth_server.store.sql_state import SqliteState
from auth_server.store.sqlite_readers import MOST, Readers
from tests.store.conformance.state import NOW, TOKEN
from tests.store.opening import cached_records

OVERFLOW = "SELECT CASE WHEN meet() THEN abs(-9223372036854775808) END"


class File:
    """A SQLite file, the connections to it, and how many were opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.opened: list[sqlite3.Connection] = []
        self.readers = Readers(self.open)

    def open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.create_function("meet", 0, lambda: self.meeting.wait() >= 0)
        self.opened.append(connection)
        return connection

    def together(self, number: int) -> None:
        """Read in as many threads, none of which goes on before all are there."""
        self.meeting = threading.Barrier(number)
        with ThreadPoolExecutor(number) as pool:
            for future in [pool.submit(self.readers.rows, "SELECT meet()") for _ in range(number)]:
                assert future.result(10) == [(1,)]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    file = File(tmp_path / "file.db")
    yield file
    file.readers.close()


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "question",
    [
        lambda folder: partial(SqliteState(folder / "state.db").get, TOKEN, bytes(32), NOW),
        lambda folder: partial(cached_records(folder / "records.db").tokens.get, bytes(32)),
    ],
    ids=["state", "records"],
)
def test_threads_that_end_leave_no_files_open(
    sqlite_files: Path, question: Callable[[Path], Callable[[], object]]
) -> None:
    """Nor does that wait for the collector of cycles: it may not come for as long as the server runs."""
    ask = question(sqlite_files)
    gc.disable()
    try:
        seen = []
        for _ in range(20):
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(lambda _: ask(), range(40))) == [None] * 40
            seen.append(files())
    finally:
        gc.enable()
    assert max(seen) - seen[0] < 4 * 4  # four threads may read at once later than in the first round


def test_threads_take_turns_with_one(file: File) -> None:
    """Only who reads at the same time needs another one."""
    for _ in range(5):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(file.readers.rows, "SELECT ?", ("one",)).result() == [("one",)]
    assert len(file.opened) == 1
    file.together(3)
    file.together(3)
    assert len(file.opened) == 3


def test_the_one_that_was_used_last_is_used_next(file: File) -> None:
    """The others rest, so that a long read fills the memory of one with pages, and not of each."""
    file.together(3)
    used: list[str] = []
    for connection in file.opened:
        connection.set_trace_callback(partial(lambda name, _: used.append(name), str(id(connection))))
    for _ in range(6):
        file.readers.rows("SELECT 1")
    assert len(set(used)) == 1


def test_there_are_no_more_than_so_many(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is one too many waits, and not for ever."""
    file.meeting = threading.Barrier(MOST + 1)
    with ThreadPoolExecutor(MOST + 1) as pool:
        reading = [pool.submit(file.readers.rows, "SELECT meet()") for _ in range(MOST)]
        while file.meeting.n_waiting < MOST:
            pass
        with monkeypatch.context() as patch:
            patch.setattr(sqlite_readers, "PATIENCE", 0.01)
            with pytest.raises(Unavailable):
                file.readers.rows("SELECT 1")
        patient = pool.submit(file.readers.rows, "SELECT 1")
        file.meeting.wait()
        assert patient.result(10) == [(1,)]
        assert [future.result(10) for future in reading] == [[(1,)]] * MOST
    assert len(file.opened) == MOST


def test_one_that_fails_is_replaced(file: File) -> None:
    """Also when all do at the same time."""
    file.together(MOST)
    file.meeting = threading.Barrier(MOST)
    with ThreadPoolExecutor(MOST) as pool:
        for future in [pool.submit(file.readers.rows, OVERFLOW) for _ in range(MOST)]:
            with pytest.raises(sqlite3.OperationalError):
                future.result(10)
    file.together(MOST)
    for connection in file.opened[:MOST]:
        with pytest.raises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")


def test_a_file_that_cannot_be_opened_costs_no_place(tmp_path: Path) -> None:
    """When it is there at last, it is read."""
    folder = tmp_path / "later"
    file = File(folder / "file.db")
    for _ in range(MOST + 1):
        with pytest.raises(sqlite3.OperationalError):
            file.readers.rows("SELECT 1")
    folder.mkdir()
    assert file.readers.rows("SELECT 1") == [(1,)]
    file.readers.close()


def test_closed_ones_are_opened_anew(file: File) -> None:
    """None is left open, and all places are free."""
    file.together(MOST)
    file.readers.close()
    for connection in file.opened:
        with pytest.raises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")
    file.together(MOST)
    assert len(file.opened) == 2 * MOST


def test_none_crosses_a_fork(file: File) -> None:
    """A child opens its own."""
    file.readers.rows("SELECT 1")
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()

    def child() -> None:
        file.readers.rows("SELECT 1")
        told.put(len(file.opened))

    process = context.Process(target=child)
    process.start()
    assert told.get() == 2
    process.join()
    assert len(file.opened) == 1
