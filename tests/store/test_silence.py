"""A store that says nothing is asked by one thread at a time; the others do not wait with it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import make_url, text

from auth_server.errors import Unavailable
from auth_server.store import impatient, mariadb, postgresql_connection, silence
from auth_server.store.engine import create, reading
from auth_server.store.redis_state import RedisState
from auth_server.store.server_database import server_database
from tests import proves
from tests.servers import proxy
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis

THREADS = 8
PATIENCE = 0.5  # seconds

Ask = Callable[[], object]


@pytest.fixture
def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What leads to a store, with patience that fits a test."""
    monkeypatch.setattr(silence, "SILENT", PATIENCE / 2)
    monkeypatch.setattr(impatient.ImpatientConnection, "patience", PATIENCE)
    monkeypatch.setattr(postgresql_connection, "PATIENCE", PATIENCE)
    monkeypatch.setattr(mariadb, "PATIENCE", PATIENCE)
    asked = request.node.callspec.params["ask"]
    if asked == "redis":
        redis: Redis = request.getfixturevalue("redis_server")
        target = redis.socket
    elif asked == "mariadb":
        target = request.getfixturevalue("mariadb_server").socket
    else:
        postgresql: PostgreSQL = request.getfixturevalue("postgresql_server")
        target = postgresql.socket
    with proxy.before(target) as between:
        yield between


@pytest.fixture(params=["redis", "postgresql", "mariadb", "records"])
def ask(request: pytest.FixtureRequest, slow: Proxy) -> Iterator[Ask]:
    """Asks a store of each kind for anything."""
    if request.param == "redis":
        state = RedisState(f"redis://127.0.0.1:{slow.port}/0?socket_timeout={PATIENCE}")
        yield state.check
        state.close()
        return
    if request.param == "mariadb":
        engine = create(f"mysql+pymysql://root@127.0.0.1:{slow.port}/mysql?ssl_disabled=true&connect_timeout=1")
    else:
        postgresql: PostgreSQL = request.getfixturevalue("postgresql_server")
        url = make_url(postgresql.url("postgres")).set(host="127.0.0.1", port=slow.port)
        engine = create(
            url.update_query_dict({"host": "127.0.0.1", "connect_timeout": "1"}).render_as_string(hide_password=False)
        )
    if request.param != "records":
        database = server_database(engine)
        assert database is not None
        yield lambda: database.connections.rows("SELECT 1")
        database.connections.close()
    else:

        def read() -> None:
            with reading(engine) as connection:
                connection.execute(text("SELECT 1"))

        yield read
    engine.dispose()


@proves("S-132", "S-134")
def test_only_one_waits_for_a_store_that_says_nothing(ask: Ask, slow: Proxy) -> None:
    """Once that is known; and as soon as it speaks again, everybody is answered."""
    with ThreadPoolExecutor(THREADS) as pool:

        def all_ask() -> list[str]:
            start = threading.Barrier(THREADS)

            def once(_: int) -> str:
                start.wait()
                try:
                    ask()
                except Unavailable as error:
                    return str(error)
                return ""

            return list(pool.map(once, range(THREADS)))

        assert all_ask() == [""] * THREADS
        slow.hold(0)
        assert "" not in all_ask()
        told = all_ask()
        assert "" not in told
        assert sum("silent a moment ago" in one for one in told) >= THREADS - 2
        slow.release()

        def works() -> bool:
            with suppress(Unavailable):
                ask()
                return True
            return False

        until(works)
        assert all_ask() == [""] * THREADS
