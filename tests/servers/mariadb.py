"""A MariaDB server of our own: one for all test processes, stopped by the last that leaves."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql

from tests.servers import sharing
from tests.servers.packages import find
from tests.servers.processes import until_it_answers

USER = "mysql"  # as whom the server runs when we are root
GRANTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES, DROP"
PATIENCE = 60  # seconds until it answers
SETTINGS = (
    "--skip-networking",  # the socket file only
    "--innodb-flush-method=nosync",  # what is committed survives the process, not the machine
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--sync-frm=0",
    "--innodb-file-per-table=0",  # tables are made and dropped faster
    "--innodb-log-file-size=32M",
    "--innodb-buffer-pool-size=64M",
    "--max-connections=500",
    "--skip-name-resolve",
)
_WAITS = re.compile(r"^LOCK WAIT .*\n\w+ thread id (\d+)", re.MULTILINE)


class MariaDB:
    """One server, reachable over a socket file in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "mariadb.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make new, empty data files and start it; return when it answers."""
        command = ["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", *self._options]
        subprocess.run([find("mariadb-install-db"), *command], check=True, stdout=subprocess.DEVNULL)
        self.start_again()

    def start_again(self) -> None:
        """Start it with the data that it has; return when it answers."""
        errors = self.folder / "mariadb.log"
        with errors.open("ab") as log:
            command = [find("mariadbd"), "--no-defaults", *self._options, f"--socket={self.socket}"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        (self.folder / "mariadb.pid").write_text(str(self._process.pid))
        until_it_answers(self._process, self._answers, errors, PATIENCE)

    def crash(self) -> None:
        """End it in the middle of whatever it does; its data stays. A process that did not start it can do so too."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "mariadb.pid").read_text()), signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Stop it at once; its data is gone."""
        self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def only_reading(self) -> Iterator[None]:
        """Let it take no writes of our servers meanwhile, as where it has become a replica of another."""
        self.execute("SET GLOBAL read_only = ON")
        try:
            yield
        finally:
            self.execute("SET GLOBAL read_only = OFF")

    def waiting(self, database: str) -> int:
        """Return how many transactions wait for what another one has changed or locked."""
        ((_, _, status),) = self.execute("SHOW ENGINE INNODB STATUS")  # its tables show nothing new to who asks often
        now = str(status).partition("\nTRANSACTIONS\n")[2]
        threads = self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{database}'")
        return len(set(_WAITS.findall(now)) & {str(number) for (number,) in threads})

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of *database*."""
        return f"mysql+pymysql://test@localhost/{database}?unix_socket={self.socket}"

    def create(self, database: str) -> str:
        """Make *database*, empty and with a character set that nobody should rely on; return its URL.

        Its user may do what docs/how-to/databases.md says, and nothing else.
        """
        user = "test@localhost"
        self.execute(
            f"CREATE DATABASE `{database}` CHARACTER SET latin1",
            f"CREATE USER IF NOT EXISTS {user}",
            f"GRANT {GRANTS} ON `{database}`.* TO {user}",
        )
        return self.url(database)

    def empty(self, database: str) -> None:
        """Delete all rows of *database*, but what the migrations wrote; quicker than to make another one."""
        tables = [str(name) for (name,) in self.execute(f"SHOW TABLES FROM `{database}`")]
        full = [name for name in tables if not name.endswith("_version")]
        deletes = (f"DELETE FROM `{database}`.`{name}`" for name in full)
        first = f"INSERT INTO `{database}`.generation (number, value) VALUES (1, 1)"
        self.execute("SET foreign_key_checks = 0", *deletes, first)

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Let the server's administrator execute *statements*; return what the last one gives."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    @property
    def _options(self) -> list[str]:
        whom = [f"--user={USER}"] if os.geteuid() == 0 else []
        return [f"--datadir={self.folder / 'data'}", *whom, *SETTINGS]


@contextmanager
def mortal() -> Iterator[MariaDB]:
    """A server of one test's own, which it may crash: what it has committed it still has then."""
    server = MariaDB(_new_folder())
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def shared(folder: Path) -> Iterator[MariaDB]:
    """The server of all processes that name the same *folder*: the first starts it, the last stops it."""
    with sharing.shared("mariadb", folder, MariaDB, _started, MariaDB.stop) as server:
        yield server


def _started() -> MariaDB:
    server = MariaDB(_new_folder())
    server.start()
    return server


def _new_folder() -> Path:
    return sharing.new_folder("mariadb", USER)
