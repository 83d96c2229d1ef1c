"""State in PostgreSQL keeps what every State promises, also where its transactions are SERIALIZABLE."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from auth_server.errors import Unavailable
from auth_server.store.engine import create, silence, writing
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.postgresql_connection import PostgresqlConnection
from auth_server.store.raw_connections import Connections
from auth_server.store.schema import RECORDS, SHARED_STATE
from auth_server.store.server_database import server_database
from auth_server.store.state import State
from tests import proves
from tests.servers.postgresql import PostgreSQL
from tests.store.conformance.contention import TestStateContention
from tests.store.conformance.state import *  # noqa: F403
from tests.store.opening import migrated

SERIALIZABLE = "&options=-c%20default_transaction_isolation%3Dserializable"


def opened(url: str) -> State:
    """Open the state at *url*."""
    database = server_database(create(url))
    assert database is not None
    return OptimisticState(database.state(), database.generation.guess)


@pytest.fixture(scope="session")
def database(postgresql_server: PostgreSQL, worker_id: str) -> str:
    """The URL of a migrated database."""
    return migrated(migrated(postgresql_server.create(f"state_{worker_id}"), RECORDS), SHARED_STATE)


@pytest.fixture
def empty(database: str) -> str:
    """The URL of the same, emptied for this test: that takes less time than a new one."""
    engine = create(database)
    with writing(engine) as connection:
        connection.execute(text("TRUNCATE state_entries, state_spent, state_throttles"))
    engine.dispose()
    return database


@pytest.fixture
def open_state(empty: str) -> Callable[[], State]:
    return partial(opened, empty)


class TestSerializableContention(TestStateContention):
    """The same where each transaction must look as if it had been alone: those that do not are tried again (S-133)."""

    @pytest.fixture
    def open_state(self, empty: str) -> Callable[[], State]:
        return partial(opened, empty + SERIALIZABLE)


@proves("S-134")
def test_what_fails_at_the_commit_is_not_acknowledged(empty: str) -> None:
    """The answer to the statement has come by then; at SERIALIZABLE a conflict is told of so."""
    engine = create(empty)
    connections = Connections(engine, PostgresqlConnection)
    connections.count("CREATE TABLE twice (number integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    insert = "INSERT INTO twice VALUES (1), (1) RETURNING number"
    with pytest.raises(Unavailable):
        connections.count(insert)
    with pytest.raises(Unavailable):
        connections.run(lambda connection: connection.rows_flushed(insert))  # type: ignore[attr-defined]
    assert connections.rows("SELECT * FROM twice") == []
    connections.rows("DROP TABLE twice")
    connections.close()
    engine.dispose()


@pytest.mark.parametrize("column", ["client_id", "subject", "family"])
def test_limits_are_kept_by_one_plan_whatever_the_statistics_say(column: str, empty: str) -> None:
    """Where others have most of the tokens PostgreSQL would plan each time; and what it plans early must do later."""
    engine = create(empty)
    limited = {"client_id": None, "subject": None, "family": None, column: b"limited"}
    put = (
        f"SELECT state_put_among_{column}("
        "1, :key, NULL, 'x', CAST(:client_id AS bytea), CAST(:subject AS bytea), CAST(:family AS bytea), 2, 0)"
    )
    others = "SELECT 1, sha256(n::text::bytea), 'x', 'o', 'o', 'o' FROM generate_series(1, 20000) AS n"
    scans = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'state_entries'"
    functions = "SELECT proconfig FROM pg_proc WHERE proname LIKE 'state_put_among_%'"

    with writing(engine) as connection:
        connection.execute(text("TRUNCATE state_entries"))
        connection.execute(text("ANALYZE state_entries"))
        connection.execute(text(put), {"key": b"planned while it is empty"} | limited)
        connection.execute(text(f"INSERT INTO state_entries (kind, key, data, client_id, subject, family) {others}"))
        for number in range(10):
            connection.execute(text(put), {"key": b"%d" % number} | limited)
        read, fetched = connection.execute(text(scans)).one()
        kept = connection.execute(text(f"SELECT count(*) FROM state_entries WHERE {column} = 'limited'")).scalar_one()
        settings = connection.execute(text(functions)).all()
    engine.dispose()
    assert (read, kept) == (0, 2)
    assert fetched < 100
    assert len(settings) == 3
    assert all("plan_cache_mode=force_generic_plan" in found for (found,) in settings)


def test_the_first_two_threads_of_a_process_share_one_pool(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes it, as none is there; who comes second has not taken away the first one's place."""
    engine = create(empty)
    connections = Connections(engine, PostgresqlConnection)
    made: list[object] = []
    second_makes_one, first_has_a_place = threading.Event(), threading.Event()
    both_have_one = threading.Barrier(2, timeout=10)

    class Places(threading.BoundedSemaphore):
        def __init__(self, value: int) -> None:
            super().__init__(value)
            made.append(self)
            if len(made) == 1:
                second.append(pool.submit(connections.run, use))
                second_makes_one.wait(10)
            else:
                second_makes_one.set()
                first_has_a_place.wait(10)

    def use(connection: Any) -> int:
        first_has_a_place.set()
        both_have_one.wait()
        return int(connection.rows("SELECT 1")[0][0])

    monkeypatch.setattr("auth_server.store.raw_connections.threading.BoundedSemaphore", Places)
    second: list[Any] = []
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(connections.run, use).result(20) == 1
        assert second[0].result(20) == 1
    connections.close()
    engine.dispose()


def test_who_finds_no_place_leaves_it_to_others_to_ask(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was silent is asked by one at a time, and that one must be able to."""
    monkeypatch.setattr("auth_server.store.raw_connections.MOST", 1)
    monkeypatch.setattr("auth_server.store.raw_connections.TIMEOUT", 0.01)
    engine = create(empty)
    connections = Connections(engine, PostgresqlConnection)
    taken, over = threading.Event(), threading.Event()

    def hold(connection: Any) -> bool:
        taken.set()
        return over.wait(10)

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(connections.run, hold)
        assert taken.wait(10)
        silence(engine).noticed(time.monotonic() - 60)
        with pytest.raises(Unavailable, match="too many"):
            connections.rows("SELECT 1")
        pool.submit(silence(engine).check).result()
        over.set()
        assert holder.result()
    connections.close()
    engine.dispose()


def test_a_text_is_never_cut_at_a_nul(empty: str) -> None:
    """The driver's library would read half of it."""
    engine = create(empty)
    connections = Connections(engine, PostgresqlConnection)
    with pytest.raises(ValueError, match="NUL"):
        connections.rows("SELECT $1::text", ("admin\0",))
    assert connections.rows("SELECT $1::text", ("admin",)) == [("admin",)]
    connections.close()
    engine.dispose()
