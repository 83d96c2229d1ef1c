"""What is wrong with DATABASE_URL, or with the database that it names: told in the server's words, with what to do."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import make_url, text

from auth_server.errors import Unavailable
from auth_server.store.engine import create, reading, writing
from auth_server.store.schema import RECORDS, upgrade
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"mistakes_{os.urandom(6).hex()}"


@pytest.fixture
def database(name: str, postgresql_server: PostgreSQL) -> Iterator[str]:
    """The URL of an empty PostgreSQL database; its server has a user without rights, `poor_` and its name."""
    url = postgresql_server.create(name)
    run(url, f"CREATE ROLE poor_{name} LOGIN")
    yield url
    run(url, f"DROP ROLE poor_{name}")


def run(url: str, statements: str) -> None:
    """Run statements as the administrator."""
    engine = create(url)
    with writing(engine) as connection:
        connection.execute(text(statements))
    engine.dispose()


def refusal(url: str, act: Callable[[str], None] | None = None) -> Unavailable:
    """Return how a first start with *url* ends, or *act* with it."""
    with pytest.raises(Unavailable) as caught:
        (act or migrate)(url)
    return caught.value


def migrate(url: str) -> None:
    """Make the tables."""
    engine = create(url)
    try:
        upgrade(engine, RECORDS)
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("before", "after", "told", "advice"),
    [
        ("?", "?sslmod=require&", 'does not answer (invalid connection option "sslmod")', "what follows the ?"),
        ("?", "?sslmode=requir&", 'invalid sslmode value: "requir"', "what follows the ?"),
        ("?", "?connect_timeout=soon&", "bad value for connect_timeout", "what follows the ?"),
        ("?", "?options=-csearch_path%3Dnone&", "refuses (no schema has been selected to create in)", "search_path"),
        ("test@", "poor_{name}@", "refuses (permission denied for schema public)", "ALTER DATABASE NAME OWNER TO USER"),
        ("test@", "nobody@", 'role "nobody" does not exist', "@ is %40"),
        ("@/", "@/none_", "does not exist", "CREATE DATABASE NAME OWNER USER"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_wrong_in_postgresql_is_named(
    database: str, name: str, before: str, after: str, told: str, advice: str
) -> None:
    """With what the server said of it."""
    error = refusal(database.replace(before, after.format(name=name), 1))
    assert told in str(error)
    assert advice in error.advice
    assert "REDIS_URL" not in error.advice


def test_postgresql_without_tls_is_told(name: str) -> None:
    """It is the server that lacks it, or the URL that asks too much."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with closing(listening.accept()[0]) as connection:
                connection.recv(8)  # SSLRequest
                connection.sendall(b"N")

        server = Thread(target=answer)
        server.start()
        error = refusal(f"postgresql+psycopg://u@127.0.0.1:{listening.getsockname()[1]}/{name}?sslmode=require")
        server.join()
    assert "server does not support SSL" in str(error)
    assert "or take sslmode out of DATABASE_URL" in error.advice


def test_refused_statement_is_named_without_its_values(database: str) -> None:
    """Nor is the statement told."""

    def ask(url: str) -> None:
        with reading(create(url)) as connection:
            connection.execute(text("SELECT * FROM nowhere WHERE name = 'hunter2'"))

    error = refusal(database, ask)
    assert str(error) == "the database refuses (UndefinedTable 42P01)"
    assert "DATABASE_URL" in error.advice


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "UTF8"])
def test_database_without_encoding_is_refused(postgresql_server: PostgreSQL, name: str, encoding: str) -> None:
    """The driver would give bytes for every text there."""
    statement = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    engine = create(postgresql_server.url("postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()
    url = postgresql_server.url(name)
    if encoding == "UTF8":
        migrate(url)
        return
    error = refusal(url)
    assert "SQL_ASCII" in str(error)
    assert "ENCODING 'UTF8'" in error.advice


@pytest.mark.parametrize(
    ("query", "told"),
    [("sslmod=require", "'sslmod'"), ("ssl_ca=/no/such", "No such file")],
)
def test_option_that_mariadb_does_not_take_is_named(mariadb_server: MariaDB, name: str, query: str, told: str) -> None:
    """Before anybody is asked."""
    error = refusal(f"{mariadb_server.create(name)}&{query}")
    assert told in str(error)
    assert "what follows the ? in DATABASE_URL" in error.advice


def test_database_and_user_that_mariadb_does_not_know_are_named(mariadb_server: MariaDB, name: str) -> None:
    url = make_url(mariadb_server.create(name))
    assert "GRANT SELECT" in refusal(str(url.set(database="none"))).advice
    error = refusal(str(url.set(username="nobody")))
    assert "Access denied for user 'nobody'" in str(error)
    assert "@ is %40" in error.advice


def test_file_that_is_no_database_is_told_with_where_to_look(tmp_path: Path) -> None:
    """There is no server that could run."""
    (tmp_path / "records.db").write_text("no database, but a text that is long enough to be one" * 99)
    error = refusal(f"sqlite:///{tmp_path}/records.db")
    assert "file is not a database" in str(error)
    assert "HOME and DATABASE_URL" in error.advice
