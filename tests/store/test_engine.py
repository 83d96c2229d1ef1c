"""Databases that are slow, silent or refuse: nobody waits for ever, and each refusal is told for what it is."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, make_url, text

from auth_server.errors import Conflict, NotFound, Unavailable
from auth_server.store import tables
from auth_server.store.engine import create, lock, reading, unhurried, writing
from auth_server.store.schema import RECORDS, upgrade
from auth_server.store.sql_records import SqlRecords
from tests import proves
from tests.servers import proxy
from tests.servers.postgresql import PostgreSQL
from tests.store.conformance.records import a_client, a_user
from tests.store.late_answers import check_late_answer

PATIENCE = 15  # seconds in which whoever asks must have an answer, or know that there is none


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty, migrated database of each kind."""
    url = f"sqlite:///{tmp_path}/records.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_server").create(f"engine_{tmp_path.name}")
    engine = create(url)
    upgrade(engine, RECORDS)
    yield engine
    engine.dispose()


@pytest.fixture
def database(tmp_path: Path, postgresql_server: PostgreSQL) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgresql_server.create(f"engine_{tmp_path.name}")


def through(before: proxy.Proxy, database: str) -> Engine:
    """The database at the URL *database* through a proxy."""
    return create(f"postgresql+psycopg://test@127.0.0.1:{before.port}/{make_url(database).database}")


def ping(engine: Engine) -> None:
    """Ask for something."""
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))


class TestRefusals:
    """What a database refuses."""

    def test_name_that_is_taken_is_a_conflict(self, store: Engine) -> None:
        """A unique column, and a primary key."""
        records = SqlRecords(store)
        records.users.add(a_user("u1", name="jane"))
        with pytest.raises(Conflict, match="taken"):
            records.users.add(a_user("u2", name="jane"))
        records.clients.add(a_client("c1"))
        with pytest.raises(Conflict, match="taken"):
            records.clients.add(a_client("c1"))

    def test_owner_that_is_gone_is_not_found(self, store: Engine) -> None:
        """Nothing is taken where what is named is missing."""
        records = SqlRecords(store)
        with pytest.raises(NotFound, match="is not there"):
            records.clients.add(a_client("c1", owner_uid="u404"))
        records.clients.add(a_client("c2"))
        with pytest.raises(NotFound, match="is not there"):
            records.clients.change("c2", lambda client: replace(client, owner_uid="u404"))

    def test_any_other_broken_rule_is_a_bug(self, store: Engine) -> None:
        """It is not told as if somebody had chosen a wrong name."""
        with pytest.raises(Exception, match=r"(?i)not.(be.)?null") as caught, writing(store) as connection:
            connection.execute(insert(tables.leases).values(name="work", holder=None, expires_at=1))
        assert not isinstance(caught.value, Conflict | NotFound | Unavailable)


class TestPatience:
    """PostgreSQL that is slow or silent."""

    @proves("S-134")
    def test_silent_server_holds_nobody_for_long(self, database: str, postgresql_server: PostgreSQL) -> None:
        """Neither those with a connection nor those without; as soon as it speaks again, all is well."""
        with proxy.before(postgresql_server.socket) as silent:
            engine = through(silent, database)
            ping(engine)
            silent.hold(0)
            begun = time.monotonic()

            def ask(_: int) -> float:
                with pytest.raises(Unavailable):
                    ping(engine)
                return time.monotonic() - begun

            with ThreadPoolExecutor(3) as pool:
                assert max(pool.map(ask, range(3))) < PATIENCE
            silent.release()
            ping(engine)
            engine.dispose()

    @proves("S-135")
    def test_answer_that_comes_too_late_meets_no_other_question(
        self, database: str, postgresql_server: PostgreSQL
    ) -> None:
        """The connection whose answer was not awaited is not used again."""
        with proxy.before(postgresql_server.socket) as slow:
            engine = through(slow, database)

            check_late_answer(engine, slow)
            engine.dispose()

    def test_server_ends_slow_statements_itself(self, database: str) -> None:
        """Each connection asks it to; what the URL says counts more."""
        for url, limit in ((database, "5s"), (f"{database}&options=-c%20statement_timeout%3D100", "100ms")):
            engine = create(url)
            with reading(engine) as connection:
                assert connection.execute(text("SHOW statement_timeout")).scalar_one() == limit
            if limit == "100ms":
                with pytest.raises(Unavailable), reading(engine) as connection:
                    connection.execute(text("SELECT pg_sleep(30)"))
            ping(engine)
            engine.dispose()

    def test_transactions_are_as_isolated_as_the_url_says(self, database: str) -> None:
        """Those of every connection; limits that the URL does not speak of stay."""
        engine = create(f"{database}&isolation_level=repeatable%20read&options=-c%20lock_timeout%3D7s")
        with reading(engine) as connection:
            names = ("transaction_isolation", "statement_timeout", "lock_timeout")
            shown = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
        assert shown == ["repeatable read", "5s", "7s"]
        engine.dispose()

    def test_migrations_take_their_time(self, database: str) -> None:
        """They outlast the limits on statements and locks, which count again afterwards."""
        engine = create(f"{database}&options=-c%20statement_timeout%3D100%20-c%20lock_timeout%3D100")

        def migrate(_: int) -> None:
            with writing(engine) as connection, unhurried(connection):
                lock(connection, "migrations")
                connection.execute(text("SELECT pg_sleep(0.3)"))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(migrate, range(2)))
        with reading(engine) as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "100ms"
            driver = connection.connection.driver_connection
            assert driver is not None
            assert driver.patience
        engine.dispose()
