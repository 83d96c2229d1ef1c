"""State in MariaDB keeps what every State promises."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from auth_server.store import mariadb_state
from auth_server.store.engine import create
from auth_server.store.mariadb_connection import MariadbConnection
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.raw_connections import Row
from auth_server.store.schema import RECORDS, SHARED_STATE
from auth_server.store.server_database import server_database
from auth_server.store.state import Index, State
from tests import proves
from tests.servers.mariadb import MariaDB
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403
from tests.store.conformance.state import NOW, TOKEN, an_entry
from tests.store.opening import migrated


def opened(url: str) -> State:
    """Open the state at *url*."""
    database = server_database(create(url))
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


@proves("S-030")
def test_who_takes_an_entry_first_gets_it_though_another_deletes_it_then(
    open_state: Callable[[], State], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB marks it by one statement and reads it by another: whoever comes second waits for both."""
    mine, other = open_state(), open_state()
    entry = an_entry(expires_at=NOW + 60)
    mine.put(TOKEN, entry, NOW)
    deleting = threading.Thread(target=other.revoke, args=(Index.KEY, entry.key.hex()))
    rows = MariadbConnection.rows

    def slow(self: MariadbConnection, statement: str, values: Sequence[object] = ()) -> list[Row]:
        if statement == mariadb_state._TAKEN:
            deleting.start()
            deleting.join(0.3)  # it waits longer, for us
        return rows(self, statement, values)

    monkeypatch.setattr(MariadbConnection, "rows", slow)
    taken = mine.take(TOKEN, entry.key, entry.client_id, NOW)
    deleting.join()
    assert taken is not None
    assert taken.first
    assert mine.get(TOKEN, entry.key, NOW) is None
