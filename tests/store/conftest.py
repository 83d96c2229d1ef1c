"""What the suites of the stores use: an opened store, and a crowd of processes."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auth_server.store.records import Records
from auth_server.store.schema import RECORDS, STATE
from auth_server.store.state import State
from tests import sites  # noqa: F401  # with it nobody waits in this process (recent.py)
from tests.store.conformance.crowd import Crowd
from tests.store.opening import migrated


@pytest.fixture
def state(open_state: Callable[[], State]) -> Iterator[State]:
    """The State under test, empty."""
    state = open_state()
    yield state
    state.close()


@pytest.fixture
def records(open_records: Callable[[], Records]) -> Iterator[Records]:
    """The Records under test, empty."""
    records = open_records()
    yield records
    records.close()


@pytest.fixture(scope="session")
def crowd() -> Iterator[Crowd]:
    """Eight processes that act at once."""
    with Crowd(8) as crowd:
        yield crowd


@pytest.fixture(scope="session")
def empty_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty, migrated SQLite files."""
    folder = tmp_path_factory.mktemp("empty")
    migrated(f"sqlite:///{folder / 'state.db'}", STATE)
    migrated(f"sqlite:///{folder / 'records.db'}", RECORDS)
    return folder


@pytest.fixture
def sqlite_files(empty_files: Path, tmp_path: Path) -> Path:
    """A folder with migrated SQLite files of this test's own."""
    return Path(shutil.copytree(empty_files, tmp_path / "store"))
