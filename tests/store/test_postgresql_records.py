"""Records in PostgreSQL keep what all Records promise."""

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

import pytest

from auth_server.store.records import Records
from auth_server.store.schema import RECORDS
from tests.servers.postgresql import PostgreSQL
from tests.store.conformance.contention import TestRecordsContention  # noqa: F401
from tests.store.conformance.grants import TestGrants, pair  # noqa: F401
from tests.store.conformance.outbox import TestOutbox  # noqa: F401
from tests.store.conformance.passcodes import TestPasscodes, jane  # noqa: F401
from tests.store.conformance.records import *  # noqa: F403
from tests.store.conformance.registrations import TestRegistrations  # noqa: F401
from tests.store.opening import migrated, sql_records


@pytest.fixture(scope="session")
def database(postgresql_server: PostgreSQL, worker_id: str) -> str:
    """The name of a migrated database for one test after the other."""
    name = f"records_{worker_id}"
    migrated(postgresql_server.create(name), RECORDS)
    return name


@pytest.fixture(params=["read committed", "serializable"])
def open_records(postgresql_server: PostgreSQL, database: str, request: pytest.FixtureRequest) -> Callable[[], Records]:
    """With either isolation; distributed engines have the second one only."""
    postgresql_server.empty(database)
    isolation = request.param.replace(" ", r"\ ")
    options = quote(f"-c default_transaction_isolation={isolation}")
    return partial(sql_records, f"{postgresql_server.url(database)}&options={options}")
