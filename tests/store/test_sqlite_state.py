"""The embedded State keeps what every State promises."""

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auth_server.store.sql_state import SqliteState
from auth_server.store.state import Entry, State
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403
from tests.store.conformance.state import NOW, TOKEN, an_entry


@pytest.fixture
def open_state(sqlite_files: Path) -> Callable[[], State]:
    return partial(SqliteState, sqlite_files / "state.db")


def after_power_loss(sqlite_files: Path, entry: Entry) -> bool:
    """Tell whether the database file has *entry* without the log beside it, which need not be on the disk."""
    alone = shutil.copy(sqlite_files / "state.db", sqlite_files / "alone.db")
    with sqlite3.connect(alone) as connection:
        return bool(connection.execute("SELECT 1 FROM entries WHERE key = ?", (entry.key,)).fetchone())


def test_sync_is_tried_until_it_is_done(sqlite_files: Path, state: State) -> None:
    """What a reader holds back reaches the disk with the first sync after it, without a write in between."""
    first, second = an_entry(), an_entry()
    state.put(TOKEN, first, NOW)
    with sqlite3.connect(sqlite_files / "state.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        state.put(TOKEN, second, NOW)
        state.sync()
        reader.execute("COMMIT")
    assert not after_power_loss(sqlite_files, second)
    state.sync()
    assert after_power_loss(sqlite_files, first)
    assert after_power_loss(sqlite_files, second)
