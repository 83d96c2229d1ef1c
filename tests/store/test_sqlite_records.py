"""Records in a SQLite file keep what all Records promise."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auth_server.store.records import Records
from tests.store.conformance.contention import TestRecordsContention  # noqa: F401
from tests.store.conformance.grants import TestGrants, pair  # noqa: F401
from tests.store.conformance.outbox import TestOutbox  # noqa: F401
from tests.store.conformance.passcodes import TestPasscodes, jane  # noqa: F401
from tests.store.conformance.records import *  # noqa: F403
from tests.store.conformance.registrations import TestRegistrations  # noqa: F401
from tests.store.opening import sql_records


@pytest.fixture
def open_records(sqlite_files: Path) -> Callable[[], Records]:
    return partial(sql_records, f"sqlite:///{sqlite_files / 'records.db'}")
