"""The stores that are measured: SQLite in HOME, and servers of our own that keep what they acknowledge on disk."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.servers.postgresql import PostgreSQL, new_folder
from tests.servers.redis import Redis

TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "postgresql+redis": "PostgreSQL and Redis"}
# Both are reached by socket files. All else is at its default: fsync, synchronous commit and full pages are on.
POSTGRESQL = ("listen_addresses=", "max_connections=300", "shared_buffers=512MB", "max_wal_size=4GB")
REDIS = ("--appendonly", "yes", "--appendfsync", "everysec", "--databases", "64")


@dataclass(frozen=True)
class Place:
    """Where one server keeps everything: a HOME, and the settings that name its stores."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)


class Store:
    """One kind of store.

    Args:
        folder: below which homes are made.
    """

    def __init__(
        self, name: str, folder: Path, postgresql: PostgreSQL | None = None, redis: Redis | None = None
    ) -> None:
        self.name, self.postgresql, self.redis = name, postgresql, redis
        self._folder, self._numbers = folder, count()

    @property
    def title(self) -> str:
        return TITLES[self.name]

    def processes(self) -> list[int]:
        """Return the main processes of the store's servers."""
        found = []
        if self.postgresql:
            found.append(int((self.postgresql.folder / "data/postmaster.pid").read_text().split()[0]))
        if self.redis:
            found.append(int(self.redis.command("INFO", "server").partition(b"process_id:")[2].split()[0]))
        return found

    def place(self, name: str) -> Place:
        """Return a new place, whose stores are empty."""
        number = next(self._numbers)
        home, variables = self._folder / self.name / name, {}
        home.parent.mkdir(exist_ok=True)
        if self.postgresql:
            variables["AUTH_SERVER_DATABASE_URL"] = self.postgresql.create(
                f"{self.name.partition('+')[2]}bench{number}"
            )
        if self.redis:
            variables["AUTH_SERVER_REDIS_URL"] = f"unix://{self.redis.socket}?db={number}"
        return Place(home, variables)


@contextmanager
def started(names: Sequence[str], folder: Path, core: int | None = None) -> Iterator[list[Store]]:
    """Start what the named stores need, and stop it at the end.

    Args:
        core: the only core that PostgreSQL and Redis may use; None for all.
    """
    database = PostgreSQL(new_folder(), POSTGRESQL) if any("postgresql" in name for name in names) else None
    redis = (
        Redis(Path(tempfile.mkdtemp(prefix="redis-", dir=folder))) if any("redis" in name for name in names) else None
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # else whoever ends the benchmark leaves the servers behind
    with ExitStack() as stack:
        with _pinned(core):
            if database:
                stack.callback(database.stop)
                database.start()
            if redis:
                stack.callback(redis.stop)
                redis.start(*REDIS)
        yield [
            Store(name, folder, database if "postgresql" in name else None, redis if "redis" in name else None)
            for name in names
        ]


@contextmanager
def _pinned(core: int | None) -> Iterator[None]:
    """Let what is started meanwhile use this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
