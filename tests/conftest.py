"""What every test may use: real servers, one of each for as long as the tests run."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.servers import mariadb, postgresql, redis
from tests.servers.auth_server import Pool
from tests.servers.visitors import Visitor
from tools.security_table import Collector

pytest.register_assert_rewrite("tests.store.conformance")
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]
COLLECTOR = Collector()
MEMORY, ROOM = Path("/dev/shm"), 2 << 30
LONG = (
    "documentation/test_pages.py",
    "documentation/test_site.py",
    "operations/test_cluster.py",
    "deploy/test_update.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(COLLECTOR)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:  # there nobody waits for a disk at each commit
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))  # of the folders of pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest: at the end one process would have them, and the others nothing."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))


@pytest.fixture(scope="session")
def collected() -> Sequence[pytest.Item]:
    """Every test that pytest has found, deselected ones too."""
    return COLLECTOR.items


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[postgresql.PostgreSQL]:
    """PostgreSQL, one server for all workers; each test makes its own database."""
    folder = tmp_path_factory.getbasetemp()
    with postgresql.shared(folder if worker_id == "master" else folder.parent) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[mariadb.MariaDB]:
    """MariaDB, one server for all workers; each test makes its own database, or empties one."""
    folder = tmp_path_factory.getbasetemp()
    with mariadb.shared(folder if worker_id == "master" else folder.parent) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """Redis, one server for each worker; each test takes its own prefix."""
    with redis.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def watched_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Watched]:
    """A Redis master, its replica and a sentinel, for tests that leave them as they are."""
    with redis.several(redis.Watched, tmp_path_factory.mktemp("watched")) as servers:
        yield servers


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Cluster]:
    """A Redis Cluster, for tests that leave it as it is."""
    with redis.several(redis.Cluster, tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(scope="session")
def auth_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Our own servers, one of each kind for each worker, started when first used."""
    pool = Pool(tmp_path_factory.mktemp("auth_servers"))
    yield pool
    pool.close()


@pytest.fixture(params=["gunicorn", "granian"])
def visitor(request: pytest.FixtureRequest, auth_servers: Pool) -> Visitor:
    """Somebody with an address of their own, at a server on each of the web servers."""
    return Visitor(auth_servers.get(request.param))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium of the system, which asks nobody for anything; Playwright bears only one of them in a process."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()
