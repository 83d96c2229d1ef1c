"""Databases that go away, only read, or are slow: what is acknowledged stays, and nothing is half-written."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, text

from auth_server.errors import Unavailable
from auth_server.store.engine import create, reading, writing
from auth_server.store.raw_connections import RawConnection
from auth_server.store.schema import RECORDS, upgrade
from auth_server.store.server_database import server_database
from auth_server.store.sql_records import SqlRecords
from tests import proves
from tests.people import join
from tests.relying_party import Browser
from tests.servers import mariadb, proxy
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.sites import site
from tests.store.conformance.records import a_client, a_user
from tests.store.late_answers import check_late_answer
from tests.store.opening import migrated


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[MariaDB]:
    """A server that the tests of this file may stop."""
    with mariadb.mortal() as server:
        yield server


@pytest.fixture(scope="module")
def migrated_name(own_mariadb: MariaDB) -> str:
    """A migrated database of it, for one test after the other."""
    migrated(own_mariadb.create("outages"), RECORDS)
    return "outages"


@pytest.fixture
def store(own_mariadb: MariaDB, migrated_name: str) -> Iterator[Engine]:
    """That database, empty."""
    own_mariadb.empty(migrated_name)
    engine = create(own_mariadb.url(migrated_name))
    yield engine
    engine.dispose()


class TestMariaDB:
    """A server of its own."""

    @proves("S-134")
    def test_restart_loses_nothing_and_needs_none_of_ours(self, store: Engine, own_mariadb: MariaDB) -> None:
        """While it is away nobody gets an answer; the first question afterwards is answered."""
        records = SqlRecords(store)
        user = records.users.add(a_user("u1"))
        own_mariadb.crash()
        for _ in range(2):
            with pytest.raises(Unavailable):
                records.users.get("u1")
        with pytest.raises(Unavailable):
            records.users.add(a_user("u2"))
        own_mariadb.start_again()
        assert records.users.get("u1") == user
        assert records.users.get("u2") is None
        records.users.add(a_user("u2"))

    @proves("S-134")
    def test_nothing_is_written_while_it_only_reads(self, store: Engine, own_mariadb: MariaDB) -> None:
        """And as soon as it writes again, all is well."""
        records = SqlRecords(store)
        client = records.clients.add(a_client("c1"))
        with own_mariadb.only_reading():
            with pytest.raises(Unavailable, match="read-only"):
                records.clients.change("c1", lambda one: replace(one, enabled=False))
            assert records.clients.get("c1") == client
        assert not records.clients.change("c1", lambda one: replace(one, enabled=False)).enabled

    def test_connections_that_only_read_are_left(self, store: Engine, own_mariadb: MariaDB) -> None:
        """All, when one is refused: the name may lead to another server by now, and what this one knows is old."""
        database = server_database(store)
        assert database is not None
        together = threading.Barrier(3)

        def read(connection: RawConnection) -> None:
            connection.rows("SELECT 1")
            together.wait()

        def connected() -> int:
            named = f"db = '{store.url.database}'"
            return len(own_mariadb.execute(f"SELECT 1 FROM information_schema.processlist WHERE {named}"))

        store.dispose()
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(database.connections.run, [read] * 3))
        assert connected() == 3
        with own_mariadb.only_reading(), pytest.raises(Unavailable, match="read-only"):
            database.connections.count("UPDATE generation SET value = value + 1")
        until(lambda: connected() == 0)

    def test_nobody_is_kept_out_while_it_only_reads(self, store: Engine, own_mariadb: MariaDB, tmp_path: Path) -> None:
        """Pages show who is signed in, though they cannot note that the sign-in was used."""
        here = site(tmp_path, database_url=own_mariadb.url("outages"), signing_algs=["ES256"])
        join(here)
        browser = Browser(here)
        browser.open("/login")
        browser.sign_in()
        here.clock.advance(60)
        with own_mariadb.only_reading():
            page = browser.open("/account/")
        assert page.status_code == 200
        assert "jane@example.org" in page.text
        here.server.close()

    @proves("S-134")
    def test_a_connection_is_looked_at_without_a_question(self, own_mariadb: MariaDB, store: Engine) -> None:
        """A server that says nothing would be waited for as many times as there are connections."""
        with proxy.before(own_mariadb.socket) as between:
            place = f"mysql+pymysql://test@127.0.0.1:{between.port}/{store.url.database}?ssl_disabled=true"
            engine = create(f"{place}&read_timeout=1")
            database = server_database(engine)
            assert database is not None
            database.connections.rows("SELECT 1")
            between.hold(0)
            assert database.connections.run(lambda connection: connection.is_alive())
            between.close()
            until(lambda: not database.connections.run(lambda connection: connection.is_alive()))
            database.connections.close()
            engine.dispose()

    def test_sessions_are_strict_and_do_not_wait_for_ever(self, store: Engine) -> None:
        """Nothing is cut off or made up; a transaction sees what was committed before each statement."""
        with reading(store) as connection:
            names = "innodb_lock_wait_timeout, @@lock_wait_timeout, @@max_statement_time, @@tx_isolation, @@sql_mode"
            row, wait, statement, isolation, mode = connection.execute(text(f"SELECT @@{names}")).one()
        assert (row, wait, statement, isolation) == (5, 5, 5, "READ-COMMITTED")
        assert "STRICT_ALL_TABLES" in mode
        assert "NO_ENGINE_SUBSTITUTION" in mode

    def test_slow_statement_is_ended(self, store: Engine) -> None:
        """What its transaction wrote before is not there."""

        def write_and_dawdle() -> None:
            with writing(store) as connection:
                connection.execute(text("INSERT INTO leases (name, holder, expires_at) VALUES ('a', 'b', 1)"))
                connection.execute(text("SET SESSION max_statement_time = 0.1"))
                connection.execute(text("SELECT SLEEP(30) FROM leases"))

        with pytest.raises(Unavailable, match="max_statement_time"):
            write_and_dawdle()
        assert SqlRecords(store).leases.take("a", "c", 0, 60)

    @proves("S-135")
    def test_answer_that_comes_too_late_meets_no_other_question(self, own_mariadb: MariaDB, store: Engine) -> None:
        """Nobody waits for a silent server for ever, and the connection is not used again."""
        with proxy.before(own_mariadb.socket) as slow:
            place = f"mysql+pymysql://test@127.0.0.1:{slow.port}/{store.url.database}?ssl_disabled=true"
            engine = create(f"{place}&read_timeout=1")
            check_late_answer(engine, slow)
            engine.dispose()


class TestPostgreSQL:
    """A database that only reads."""

    def test_connection_that_only_reads_is_left(self, postgresql_server: PostgreSQL, tmp_path: Path) -> None:
        """It is not used again: the next one finds what writes, under the same name."""
        name = f"outages_{tmp_path.name}"
        url = postgresql_server.create(name)
        engine, operator = create(url), create(url)
        upgrade(engine, RECORDS)
        engine.dispose()

        def read_only(state: str) -> None:
            with writing(operator) as connection:
                connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {state}'))

        records = SqlRecords(engine)
        read_only("on")
        with pytest.raises(Unavailable, match="read-only"):
            records.users.add(a_user("u1"))
        assert records.users.get("u1") is None
        with writing(operator) as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
        with pytest.raises(Unavailable):  # by the connection that has just read
            records.users.add(a_user("u1"))
        records.users.add(a_user("u1"))
        engine.dispose()
        operator.dispose()

    @proves("S-134")
    def test_clients_are_told_to_come_again(self, postgresql_server: PostgreSQL, tmp_path: Path) -> None:
        """What only reads is answered; what would have to write is a 503 that says when."""
        url = postgresql_server.create(f"outages_http_{tmp_path.name}")
        keys = {"keys_dir": tmp_path / "keys", "signing_algs": ["ES256"]}
        before = site(tmp_path / "a", database_url=url, **keys)
        token = before.token("admin:keys")
        before.server.close()
        after = site(
            tmp_path / "b", database_url=f"{url}&options={quote('-c default_transaction_read_only=on')}", **keys
        )
        headers = {"Authorization": f"Bearer {token}"}
        assert after.http.get("/.well-known/jwks.json").status_code == 200
        listed = after.http.get("/api/v1/admin/keys", headers=headers)
        assert listed.status_code == 200
        answer = after.http.post("/api/v1/admin/keys/rotate", headers=headers, json={"now": True})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert after.http.get("/api/v1/admin/keys", headers=headers).json == listed.json
        after.server.close()
