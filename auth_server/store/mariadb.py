"""MariaDB and MySQL: sessions with the right limits, and a lock that outlives a commit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from auth_server.errors import AuthServerError, Unavailable
from auth_server.store.database_refusals import QUERY

NAME = "mysql"  # as SQLAlchemy calls the dialect of both
PATIENCE = 6  # seconds; more than what the server is told, so that one that lives can say itself that it was too slow
FOR_EVER = 31_536_000  # seconds
OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0, 17)}  # SKIP LOCKED; a binary collation to which trailing spaces count
_MODES = "STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"


def engine(url: URL, isolation_level: str | None, timeout: int) -> Engine:
    """Return an engine whose sessions are strict and do not wait for ever.

    Its transactions see what was committed before each statement (READ COMMITTED) unless told otherwise: the server's
    own default shows the state at the first read, also to those who have waited for a lock since.

    Args:
        timeout: seconds for a connection, a statement, and a lock.
    """
    limits: Mapping[str, Any] = {"connect_timeout": timeout, "read_timeout": PATIENCE, "write_timeout": PATIENCE}
    ours = {name: value for name, value in limits.items() if name not in url.query}
    engine = create_engine(
        url,
        connect_args={**ours, "charset": "utf8mb4"},
        isolation_level=isolation_level or "READ COMMITTED",
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=16,
        pool_timeout=timeout,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Any, _record: object, args: Any, options: Any) -> Any:
        try:
            return dialect.loaded_dbapi.connect(*args, **options)
        except (TypeError, ValueError, OSError) as error:  # an option that the driver has not, or a file that is none
            told = str(error).replace("Connection.__init__()", "the driver")
            raise Unavailable(f"the database cannot be reached ({told})", advice=QUERY) from error

    @event.listens_for(engine, "connect")
    def _prepare(driver: Any, _record: object) -> None:
        with driver.cursor() as cursor:
            cursor.execute(f"SET SESSION sql_mode = '{_MODES}'")
            cursor.execute(_limits(driver, timeout))

    return engine


def _limits(driver: Any, seconds: int) -> str:
    """The statement that limits a session: rows and tables that others hold, and how long a statement may run."""
    statement = "max_statement_time = {}" if _is_mariadb(driver) else "max_execution_time = {}000"  # 0: no limit
    waits = f"innodb_lock_wait_timeout = {seconds or FOR_EVER}, lock_wait_timeout = {seconds or FOR_EVER}"
    return f"SET SESSION {waits}, {statement.format(seconds)}"


def _is_mariadb(driver: Any) -> bool:
    return "MariaDB" in driver.get_server_info()


def take_all_time(connection: Connection) -> None:
    """Let the statements of a connection take all the time they need; it is not used again afterwards."""
    driver: Any = connection.connection.dbapi_connection
    connection.detach()
    driver._read_timeout = None
    connection.exec_driver_sql(_limits(driver, 0))


@contextmanager
def alone(connection: Connection, name: str) -> Iterator[None]:
    """Let one connection at a time pass for *name*, until it has committed and is closed, or has failed.

    Commits in between, which changes of tables bring, do not matter.
    """
    driver: Any = connection.connection.dbapi_connection
    connection.detach()
    database = connection.engine.url.database
    lock = sha256(f"{database} {name}".encode()).hexdigest()  # such a lock is one of the whole server
    connection.exec_driver_sql(f"SELECT GET_LOCK('{lock}', {FOR_EVER})")
    try:
        yield
    except BaseException:  # nothing is swallowed: the lock must not outlive what failed
        with suppress(connection.dialect.loaded_dbapi.Error):  # it is lost, and the lock with it
            driver.rollback()
            driver.query(f"SELECT RELEASE_LOCK('{lock}')")
        raise


def collation(connection: Connection) -> str:
    """Return the collation that compares as the other stores do: case, accents and trailing spaces count."""
    return "utf8mb4_nopad_bin" if is_mariadb(connection) else "utf8mb4_0900_bin"


def is_mariadb(connection: Connection) -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))


def check_version(connection: Connection) -> None:
    """Make sure that the server is not too old.

    Raises:
        AuthServerError: it is.
    """
    product = "MariaDB" if is_mariadb(connection) else "MySQL"
    found = connection.dialect.server_version_info or ()
    if found < OLDEST[product]:
        told, wanted = (".".join(map(str, numbers)) for numbers in (found, OLDEST[product]))
        raise AuthServerError(f"{product} {told} is too old; the oldest that works is {wanted}")
