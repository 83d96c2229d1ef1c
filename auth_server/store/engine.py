"""Engines: connections with the right pragmas and timeouts, retries, and errors in our own words."""

import inspect
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, Select, Table, create_engine, delete, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth_server.errors import Conflict, NotFound, Unavailable
from auth_server.store import mariadb
from auth_server.store.database_refusals import NEW_DATABASE, READ_ONLY, code, told
from auth_server.store.mark import Mark
from auth_server.store.silence import Silence
from auth_server.store.turn import Turn

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

TIMEOUT = 5  # seconds: for a connection, a lock, a statement, a place in the pool
_MOVES = "the mark to be moved after the commit"
_NEWS = "the generation to be told of if the commit succeeds"
_WRITE = {"sqlite_begin": "BEGIN IMMEDIATE"}
# What the drivers call things: SQLite by name, PostgreSQL by SQLSTATE, MariaDB and MySQL by number.
_TAKEN = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505", 1062)
_DANGLING = ("SQLITE_CONSTRAINT_FOREIGNKEY", "23503", 1451, 1452)
_IN_THE_WAY = ("40001", "40P01", 1213, 1020)  # another transaction was: it cannot be put in order with, or a deadlock
TRIES = 100  # of a transaction that others are in the way of: five seconds, as for everything else
_LONGEST = 0.1  # seconds before it is tried again


class InTheWay(Unavailable):
    """Transactions of others were in the way of this one; nothing was written, and it may be tried again at once."""


def create(url: str) -> Engine:
    """Return an engine for a SQLAlchemy URL (sqlite, postgresql+psycopg, mysql+pymysql); nothing is opened yet.

    `isolation_level` in the query of the URL is that of all its transactions, for example SERIALIZABLE.
    """
    parsed = make_url(url)
    level = parsed.query.get("isolation_level")
    parsed, isolation_level = parsed.difference_update_query(["isolation_level"]), str(level).upper() if level else None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _sqlite(parsed)
    engine = (
        mariadb.engine(parsed, isolation_level, TIMEOUT)
        if kind == mariadb.NAME
        else _postgresql(parsed, isolation_level)
    )

    @event.listens_for(engine, "handle_error")
    def _leave(context: Any) -> None:
        """Do not stay with a server that only reads: the name may lead to another one by now."""
        if code(context.original_exception) in READ_ONLY:
            context.is_disconnect, context.invalidate_pool_on_disconnect = True, False

    return engine


def _sqlite(url: URL) -> Engine:
    ours = {"timeout": TIMEOUT, "check_same_thread": False}
    engine = create_engine(url, connect_args=ours, pool_size=8, max_overflow=56, pool_timeout=TIMEOUT)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions; the event below does
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _postgresql(url: URL, isolation_level: str | None) -> Engine:
    """Three limits, for each may fail alone: the server's own, the kernel's, and ours for a server that is silent."""
    milliseconds = TIMEOUT * 1000
    options = [f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"]
    if isolation_level:
        options.append("-c default_transaction_isolation=" + isolation_level.lower().replace(" ", r"\ "))
    options.append(str(url.query.get("options", "")))  # of two that say the same, the later counts
    url = url.update_query_dict({"options": " ".join(options).strip()})
    limits: Mapping[str, Any] = {
        "connect_timeout": TIMEOUT,
        "tcp_user_timeout": milliseconds,
        "keepalives_idle": TIMEOUT,
        "keepalives_interval": TIMEOUT,
        "keepalives_count": 3,
    }
    ours = {name: value for name, value in limits.items() if name not in url.query}
    engine = create_engine(
        url, connect_args=ours, pool_pre_ping=True, pool_size=8, max_overflow=16, pool_timeout=TIMEOUT
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, args: Any, options: Any) -> Any:
        from auth_server.store.impatient import ImpatientConnection  # loads the driver: only where it is used

        connection = ImpatientConnection.connect(*args, **options)
        if connection.info.encoding == "ascii":  # PostgreSQL's SQL_ASCII: it would give bytes for every text
            connection.close()
            raise Unavailable("the database has no encoding, but SQL_ASCII", advice=f"make another: {NEW_DATABASE}")
        return connection

    return engine


def is_missing(engine: Engine) -> bool:
    """Tell whether a SQLite file is not there; to connect would make it."""
    return engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file()


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of a transaction take all the time they need; for migrations."""
    dialect = connection.dialect.name
    if dialect == mariadb.NAME:
        mariadb.take_all_time(connection)
    if dialect != "postgresql":
        yield
        return
    for limit in ("statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = 0"))
    driver: Any = connection.connection.driver_connection
    patience, driver.patience = driver.patience, None
    try:
        yield
    finally:
        driver.patience = patience


def pause(tries: int) -> None:
    """Wait before what others were in the way of is tried again, shortly and for a random time."""
    time.sleep(random.uniform(0, min(_LONGEST, 0.001 * 2**tries)))


def retried(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that makes one transaction be called again while others are in its way.

    Whatever isolation the database has, a deadlock or a change that does not fit may end a transaction without fault.
    It is tried TRIES times, after short waits of random length.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for number in range(1, TRIES):
            try:
                return function(*args, **kwargs)
            except InTheWay:
                pause(number)
        return function(*args, **kwargs)

    return call


def all_retried(repository: type[C]) -> type[C]:
    """Make every public method of a class `retried`; each makes one transaction, and a generator sees to itself."""
    for name, method in list(vars(repository).items()):
        if not name.startswith("_") and inspect.isfunction(method) and not inspect.isgeneratorfunction(method):
            setattr(repository, name, retried(method))
    return repository


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads.

    Raises:
        InTheWay: it must be tried again.
        Unavailable: the database does not answer.
    """
    try:
        with heard(engine), engine.connect() as connection:
            yield connection
    except (DBAPIError, PoolTimeout) as error:
        raise _unavailable(error) from error


_silences: WeakKeyDictionary[Engine, Silence] = WeakKeyDictionary()


def silence(engine: Engine) -> Silence:
    """Return whether a database is silent."""
    return _silences.setdefault(engine, Silence("the database"))


@contextmanager
def heard(engine: Engine) -> Iterator[None]:
    """Ask a database, unless it was silent a moment ago.

    Raises:
        Unavailable: it was.
    """
    ours, since = silence(engine), time.monotonic()
    ours.check()
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if isinstance(error, PoolTimeout) or error.connection_invalidated or error.statement is None:
            ours.noticed(since)  # no connection, or one that broke; what it refuses, it has heard
        else:
            ours.over()
        raise
    except BaseException:  # nothing is swallowed: whatever it is, it is not the database's silence
        ours.over()
        raise
    ours.over()


@retried
def rows(engine: Engine, query: Select[Any]) -> Sequence[Any]:
    """Return what *query* finds, in a transaction of its own."""
    with reading(engine) as connection:
        return connection.execute(query).all()


_turns: WeakKeyDictionary[Engine, Turn] = WeakKeyDictionary()


def turn(engine: Engine) -> AbstractContextManager[None]:
    """Let the writers of this process take turns on SQLite; those of other databases need not."""
    if engine.dialect.name != "sqlite":
        return nullcontext()
    return _turns.setdefault(engine, Turn("the database", TIMEOUT))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; on SQLite it takes its place in the queue of writers at once.

    Raises:
        Conflict: a unique value is taken.
        NotFound: what a record refers to is not there.
        InTheWay: it must be tried again; nothing was written.
        Unavailable: the database does not answer, is read-only or full; nothing was written.
    """
    try:
        with turn(engine), heard(engine), engine.connect().execution_options(**_WRITE) as connection:
            try:
                with connection.begin():
                    yield connection
                _tell(connection)
            finally:
                connection.info.pop(_NEWS, None)
                moves = connection.info.pop(_MOVES, None)
                if moves is not None:
                    moves.move()
    except IntegrityError as error:
        constraint = code(error.orig)
        if constraint in _TAKEN:
            raise Conflict("that name or identifier is taken") from error
        if constraint in _DANGLING:
            raise NotFound("what it belongs to is not there, or not any more") from error
        raise
    except (DBAPIError, PoolTimeout) as error:
        raise _unavailable(error) from error


def lock(connection: Connection, name: str) -> None:
    """Let one transaction at a time, on all replicas, pass for *name*; SQLite's writers queue anyway."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        number = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
    elif dialect == mariadb.NAME:  # no lock of its own ends with a transaction; whoever locks moves the generation too
        connection.execute(text("SELECT value FROM generation WHERE number = 1 FOR UPDATE"))


@contextmanager
def alone(connection: Connection, name: str) -> Iterator[None]:
    """Let one connection at a time, on all replicas, change tables."""
    if connection.dialect.name == mariadb.NAME:
        with mariadb.alone(connection, name):
            yield
    else:
        lock(connection, name)
        yield


def purge_expired(engine: Engine, table: Table, key: str, now: int, limit: int) -> int:
    """Delete up to *limit* rows that have expired, in a transaction of its own; return how many it were.

    Args:
        key: the column that a row is named by.
    """
    name = table.c[key]
    over = select(name).where(table.c.expires_at <= now).limit(limit)
    with writing(engine) as connection:
        found = connection.execute(over).scalars().all()
        if found:
            connection.execute(delete(table).where(name.in_(found)))
    return len(found)


_TIMES = {"postgresql": "SELECT floor(extract(epoch FROM clock_timestamp()))", "mysql": "SELECT unix_timestamp()"}


def server_time(engine: Engine) -> int | None:
    """Return the Unix seconds of a server database's clock; None for SQLite."""
    question = _TIMES.get("mysql" if engine.dialect.name == "mariadb" else engine.dialect.name)
    if question is None:
        return None
    with reading(engine) as connection:
        return int(connection.execute(text(question)).scalar_one())


def move_generation(connection: Connection) -> None:
    """Let every process notice, with this transaction, that what it has cached may have changed."""
    connection.execute(text("UPDATE generation SET value = value + 1"))
    if connection.dialect.name == "sqlite":
        moves = connection.info[_MOVES] = mark(connection.engine)
        moves.unsettle()
    elif connection.engine in _listeners:
        connection.info[_NEWS] = connection.execute(text("SELECT value FROM generation")).scalar_one()


_listeners: WeakKeyDictionary[Engine, list[Callable[[int], None]]] = WeakKeyDictionary()


def on_change(engine: Engine, listener: Callable[[int], None]) -> None:
    """Have *listener* told of each generation that a transaction of this process has made."""
    _listeners.setdefault(engine, []).append(listener)


def _tell(connection: Connection) -> None:
    value = connection.info.get(_NEWS)
    if value is not None:
        for listener in _listeners[connection.engine]:
            with suppress(Unavailable):  # what is committed is done; the generation is published again within a second
                listener(value)


_marks: WeakKeyDictionary[Engine, Mark] = WeakKeyDictionary()


def mark(engine: Engine) -> Mark:
    """Return what tells all processes of a machine that the generation of a SQLite store moves.

    Raises:
        Unavailable: its file cannot be written; nor must the store be, for others would not notice.
    """
    if engine not in _marks:
        path = Path(f"{engine.url.database}-mark")
        try:
            _marks[engine] = Mark(path)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    return _marks[engine]


def _unavailable(error: DBAPIError | PoolTimeout) -> Unavailable:
    if code(getattr(error, "orig", None)) in _IN_THE_WAY:
        return InTheWay("others were in the way in the database, again and again")
    return told(error)
