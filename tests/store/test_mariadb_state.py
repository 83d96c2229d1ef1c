"""State in MariaDB keeps what every State promises."""

from collections.abc import Callable
from functools import partial

import pytest

from auth_server import assembly
from auth_server.store.engine import create
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.schema import RECORDS, SHARED_STATE
from auth_server.store.state import State
from tests.servers.mariadb import MariaDB
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403
from tests.store.opening import migrated


def opened(url: str) -> State:
    """Open the state at *url*."""
    database = assembly.database(create(url))
    assert database is not None
    return OptimisticState(database.state(), database.generation.guess)


@pytest.fixture(scope="session")
def database(mariadb_server: MariaDB, worker_id: str) -> str:
    """The name of a migrated database for one test after the other."""
    name = f"state_{worker_id}"
    migrated(migrated(mariadb_server.create(name), RECORDS), SHARED_STATE)
    return name


@pytest.fixture
def open_state(mariadb_server: MariaDB, database: str) -> Callable[[], State]:
    mariadb_server.empty(database)
    return partial(opened, mariadb_server.url(database))
