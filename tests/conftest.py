"""What every test may use: real servers, one of each for as long as the tests run."""

from collections.abc import Iterator

import pytest

from tests.servers import postgresql, redis

pytest.register_assert_rewrite("tests.store.conformance")


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[postgresql.PostgreSQL]:
    """PostgreSQL, one server for all workers; each test makes its own database."""
    folder = tmp_path_factory.getbasetemp()
    with postgresql.shared(folder if worker_id == "master" else folder.parent) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """Redis, one server for each worker; each test takes its own prefix."""
    with redis.running(tmp_path_factory.mktemp("redis")) as server:
        yield server
