"""Engines: connections with the right pragmas and timeouts, retries, and errors in our own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth_server.errors import Conflict, Unavailable

BUSY_TIMEOUT = 5000  # milliseconds that a SQLite connection waits for another writer
_WRITE = {"sqlite_begin": "BEGIN IMMEDIATE"}


def create(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL (sqlite, postgresql+psycopg); nothing is opened yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, pool_size=8, max_overflow=16, pool_timeout=5)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT / 1000, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions; the event below does
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        Unavailable: the database does not answer.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except (DBAPIError, PoolTimeout) as error:
        raise Unavailable(_reason(error)) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; on SQLite it takes its place in the queue of writers at once.

    Raises:
        Conflict: a unique value is taken.
        Unavailable: the database does not answer, is read-only or full; nothing was written.
    """
    try:
        with engine.connect().execution_options(**_WRITE) as connection, connection.begin():
            yield connection
    except IntegrityError as error:
        raise Conflict("that name or identifier is taken") from error
    except (DBAPIError, PoolTimeout) as error:
        raise Unavailable(_reason(error)) from error


def lock(connection: Connection, name: str) -> None:
    """Let one transaction at a time, on all replicas, pass for *name*; SQLite's writers queue anyway."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
    elif dialect in ("mysql", "mariadb"):
        connection.execute(text("SELECT value FROM generation WHERE number = 1 FOR UPDATE"))


def _reason(error: Exception) -> str:
    kind = "database is locked" if isinstance(error, OperationalError) and "locked" in str(error.orig) else ""
    return kind or f"the database does not answer ({type(error).__name__})"
