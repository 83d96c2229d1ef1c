"""Connections by the driver alone: whatever comes late, each question gets its own answer or none."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

import pytest
from sqlalchemy import make_url

from auth_server.errors import Unavailable
from auth_server.store import mariadb, postgresql_connection
from auth_server.store.engine import create
from auth_server.store.postgresql_connection import PostgresqlConnection
from auth_server.store.raw_connections import Connections, RawConnection, Row
from auth_server.store.server_database import server_database
from tests import proves
from tests.servers import proxy
from tests.servers.processes import until
from tests.servers.proxy import Proxy

THREADS = 8
QUESTIONS = int(  # S-135 speaks of ten thousand: QUESTIONS=10000 make test T=tests/store/test_raw_connections.py
    os.environ.get("QUESTIONS", "1600")
)
PATIENCE = 0.1  # seconds
PARTS = (0, 1, 30, 150)  # bytes of an answer that come in time


@pytest.fixture(params=["postgresql", "mariadb"])
def between(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What leads to a database, with patience that fits a test."""
    monkeypatch.setattr(postgresql_connection, "PATIENCE", PATIENCE)
    monkeypatch.setattr(mariadb, "PATIENCE", PATIENCE)
    server = request.getfixturevalue(f"{request.param}_server")
    with proxy.before(server.folder / ".s.PGSQL.5432" if request.param == "postgresql" else server.socket) as between:
        yield between


@pytest.fixture
def connections(request: pytest.FixtureRequest, between: Proxy) -> Iterator[Connections]:
    """Connections through it."""
    if request.node.callspec.params["between"] == "mariadb":
        url = make_url(f"mysql+pymysql://root@127.0.0.1:{between.port}/mysql?ssl_disabled=true")
    else:
        url = make_url(f"postgresql+psycopg://test@127.0.0.1:{between.port}/postgres")
    engine = create(url.render_as_string())
    database = server_database(engine)
    assert database is not None
    yield database.connections
    database.connections.close()
    engine.dispose()


def wrong_answers(connections: Connections, name: str, chance: Random) -> list[list[Row]]:
    """Ask for something that nobody else asks for, in one of the ways there are; return what is no answer to it."""
    mark = name + "x" * chance.randint(0, 300)
    wanted: list[Row] = [(mark[::-1],)]

    def ask(connection: RawConnection) -> list[Row]:
        return connection.rows("SELECT reverse($1)", (mark,))

    def ask_twice(connection: RawConnection) -> list[Row]:
        connection.count("BEGIN")
        found = ask(connection)
        if ask(connection) != found:
            return []
        connection.count("COMMIT")
        return found

    def ask_flushed(connection: RawConnection) -> list[Row]:
        if isinstance(connection, PostgresqlConnection):
            return connection.rows_flushed("SELECT reverse($1)", (mark,))
        return ask(connection)

    found = connections.run(chance.choice((ask, ask, ask_twice, ask_flushed)))
    return [found] if found != wanted else []


def everybody_is_answered(connections: Connections) -> None:
    """Some times as many at once as threads; where the machine is busy, not at the first try."""

    def ask(number: int) -> list[list[Row]]:
        wrong, chance = list[list[Row]](), Random(number)

        def is_answered() -> bool:
            with suppress(Unavailable):
                wrong.extend(wrong_answers(connections, f"after {number} ", chance))
                return True
            return False

        until(is_answered)
        return wrong

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(ask, range(4 * THREADS))) == [[]] * 4 * THREADS


@proves("S-135")
def test_answers_that_come_late_meet_no_other_question(connections: Connections, between: Proxy) -> None:
    """Eight threads ask marked questions while answers, or their ends, take about as long as anybody waits."""
    over = threading.Event()

    def delay() -> None:
        chance = Random(QUESTIONS)
        while not over.is_set():
            over.wait(chance.uniform(0, PATIENCE / 2))
            between.hold(chance.choice(PARTS))
            over.wait(chance.uniform(PATIENCE * 0.8, PATIENCE * 1.6))
            between.release()

    def ask(thread: int) -> tuple[list[list[Row]], int]:
        chance, wrong, late = Random(thread), list[list[Row]](), 0
        for number in range(QUESTIONS // THREADS):
            try:
                wrong += wrong_answers(connections, f"{thread} {number} ", chance)
            except Unavailable:
                late += 1
        return wrong, late

    everybody_is_answered(connections)
    delaying = threading.Thread(target=delay)
    delaying.start()
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            asked = list(threads.map(ask, range(THREADS)))
    finally:
        over.set()
        delaying.join()
    assert [wrong for wrongs, _ in asked for wrong in wrongs] == []
    assert THREADS < sum(late for _, late in asked) < QUESTIONS - THREADS
    everybody_is_answered(connections)


@proves("S-135")
def test_interrupted_wait_throws_the_connection_away(connections: Connections, between: Proxy) -> None:
    """An exception out of nowhere, such as a worker's deadline, leaves no answer behind."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise InterruptedError("deadline")

    everybody_is_answered(connections)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        between.hold(0)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE / 2)
        with pytest.raises((InterruptedError, Unavailable)):
            connections.rows("SELECT 'late'")
    finally:
        signal.signal(signal.SIGALRM, before)
    between.release()
    everybody_is_answered(connections)
