"""The embedded State keeps what every State promises."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auth_server.store.sql_state import SqliteState
from auth_server.store.state import State
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403


@pytest.fixture
def open_state(sqlite_files: Path) -> Callable[[], State]:
    return partial(SqliteState, sqlite_files / "state.db")
