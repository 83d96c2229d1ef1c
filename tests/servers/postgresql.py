"""A PostgreSQL server of our own: one for all test processes, stopped by the last that leaves."""

import atexit
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psycopg

from tests.servers import sharing
from tests.servers.packages import find
from tests.servers.processes import until

USER = "postgres"  # as whom the server runs when we are root, which it refuses
SETTINGS = (
    "listen_addresses=",  # the socket file only
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=32MB",
)


class PostgreSQL:
    """One server, reachable over a socket file in *folder*.

    Args:
        settings: of its command line; by default those that make tests fast and lose data.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = SETTINGS) -> None:
        self.folder = folder
        self.socket = folder / ".s.PGSQL.5432"
        self._settings = settings
        self._data = folder / "data"

    def start(self) -> None:
        """Make a new, empty cluster and start it; return when it answers."""
        _run("cp", "--archive", str(_empty_cluster()), str(self._data))
        self.start_again()

    def start_again(self) -> None:
        """Start it with the data that it has; return when it answers."""
        options = " ".join(f"-c {setting}" for setting in self._settings) + f" -k {self.folder}"
        log = str(self.folder / "postgresql.log")
        _run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", log, "--options", options)

    def crash(self) -> None:
        """End it in the middle of whatever it does; its data stays."""
        _run("pg_ctl", "stop", "--pgdata", str(self._data), "--mode=immediate")

    def stop(self) -> None:
        """Stop it at once; its data is gone."""
        with suppress(subprocess.CalledProcessError):
            self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def only_reading(self) -> Iterator[None]:
        """Let it take no writes meanwhile, as where it has become a standby of another."""
        self._set_default("SET default_transaction_read_only = on", "on")
        try:
            yield
        finally:
            self._set_default("RESET default_transaction_read_only", "off")

    def _set_default(self, change: str, value: str) -> None:
        """Return when a new connection has the value: those that are there have been told before."""
        self.execute(f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")
        until(lambda: self.execute("SHOW default_transaction_read_only") == [(value,)])

    def waiting(self, database: str) -> int:
        """Return how many transactions wait for what another one has changed or locked."""
        theirs = f"datname = '{database}' AND wait_event_type = 'Lock'"
        (count,) = self.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {theirs}")[0]
        assert isinstance(count, int)
        return count

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Let the server's administrator execute *statements*; return what the last one gives."""
        with self._connected("postgres") as connection:
            cursors = [connection.execute(statement.encode()) for statement in statements]
            return cursors[-1].fetchall()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of *database*."""
        return f"postgresql+psycopg://test@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """Make *database*, empty; return its URL."""
        with self._connected("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def empty(self, database: str) -> None:
        """Delete all rows of *database*, but what the migrations wrote; quicker than to make another one."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%version'"
        with self._connected(database) as connection:
            connection.execute(others, [database])  # of an earlier test, with locks perhaps
            names = ", ".join(f'"{name}"' for (name,) in connection.execute(tables))
            connection.execute(f"TRUNCATE {names} RESTART IDENTITY")
            connection.execute("INSERT INTO generation VALUES (1, 1)")
            connection.execute("INSERT INTO reconciled_redis VALUES (1, '')")

    def _connected(self, database: str) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="test", dbname=database, autocommit=True)


@contextmanager
def mortal() -> Iterator[PostgreSQL]:
    """A server of one test's own, which it may crash: what it has committed it still has then."""
    server = PostgreSQL(new_folder(), [one for one in SETTINGS if not one.startswith("synchronous_commit")])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def shared(folder: Path) -> Iterator[PostgreSQL]:
    """The server of all processes that name the same *folder*: the first starts it, the last stops it."""
    with sharing.shared("postgresql", folder, PostgreSQL, _started, PostgreSQL.stop) as server:
        yield server


def _started() -> PostgreSQL:
    server = PostgreSQL(new_folder())
    server.start()
    return server


def new_folder() -> Path:
    """Make a folder with a path short enough for a socket, where the server's user may enter."""
    return sharing.new_folder("postgresql", USER)


@cache
def _empty_cluster() -> Path:
    """Return the data of a server that nobody has started yet, to be copied: initdb takes a second for it."""
    folder = new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = str(folder / "data")
    _run("initdb", "--pgdata", data, "--username=test", "--auth=trust", "--no-sync", "--locale=C.UTF-8")
    return folder / "data"


def _run(program: str, *arguments: str) -> None:
    user = USER if os.geteuid() == 0 else None
    groups: list[str] | None = [] if user else None
    command = [str(find(program)), *arguments]
    subprocess.run(command, check=True, user=user, group=user, extra_groups=groups, cwd="/", stdout=subprocess.DEVNULL)
