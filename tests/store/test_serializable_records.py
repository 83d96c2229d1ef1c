"""Records in MariaDB, where transactions are told to be serializable: what acts at once is what differs."""

from collections.abc import Callable
from functools import partial

import pytest

from auth_server.store.records import Records
from auth_server.store.schema import RECORDS
from tests.servers.mariadb import MariaDB
from tests.store.conformance.contention import TestRecordsContention  # noqa: F401
from tests.store.conformance.grants import TestGrants, pair  # noqa: F401
from tests.store.conformance.outbox import TestOutbox  # noqa: F401
from tests.store.opening import migrated, sql_records


@pytest.fixture(scope="session")
def database(mariadb_server: MariaDB, worker_id: str) -> str:
    """The name of a migrated database for one test after the other."""
    name = f"serializable_{worker_id}"
    migrated(mariadb_server.create(name), RECORDS)
    return name


@pytest.fixture
def open_records(mariadb_server: MariaDB, database: str) -> Callable[[], Records]:
    mariadb_server.empty(database)
    return partial(sql_records, f"{mariadb_server.url(database)}&isolation_level=serializable")
