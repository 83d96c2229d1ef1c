"""Our own server as real processes on a random port, and visitors who talk to it over HTTP."""

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from auth_server import assembly
from auth_server.protocol.server import Server
from auth_server.settings import Settings
from tests.servers.clock import SharedClock
from tests.servers.processes import Serving
from tests.stored import stored

ROOT = Path(__file__).parents[2]
KINDS = ("gunicorn", "granian", "gunicorn-without-lane")
ADMIN_PASSWORD = "Correct-horse-7-battery"
_ports = count(random.randrange(22000))  # each process begins elsewhere


class AuthServer:
    """One server with two workers. It keeps everything in *folder* and takes nothing from our environment.

    Args:
        kind: the web server, one of KINDS.
        real_time: whether it has the real clock; else one that stands still until a test moves it.
        within: a command that starts the server's, for a machine with something wrong.
        patience: seconds that it waits for a database that says nothing; None for what it really does.
        settings: by name, in place of those here.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "gunicorn",
        *,
        real_time: bool = False,
        within: Sequence[str] = (),
        patience: float | None = None,
        **settings: Any,
    ) -> None:
        self.kind, self.folder, self._within, self._patience = kind, folder, within, patience
        folder.mkdir(parents=True, exist_ok=True)
        self._clock_file = None if real_time else folder / "clock"
        now = int(time.time())
        self._shared_clock = SharedClock.create(self._clock_file, now) if self._clock_file else None
        self.port = settings.pop("port", None) or free_port()
        given = {
            "home": folder / "home",
            "keys_dir": folder / "keys",
            "port": self.port,
            "server": kind.partition("-")[0],
            "workers": 2,
            "admin_password": ADMIN_PASSWORD,
            "graceful_timeout": 5,
            "log_level": "info",
            "log_format": "json",
            **settings,
        }
        self._given = given
        self.settings = Settings(**given)
        self.issuer = self.settings.issuer_url
        self.log_file = folder / "log"
        self.process: Serving | None = None

    @property
    def clock(self) -> SharedClock:
        """The clock of all its processes, and of `inside`."""
        assert self._shared_clock is not None, "this server has the real time"
        return self._shared_clock

    def now(self) -> int:
        """Return the time that its processes see."""
        return self._shared_clock() if self._shared_clock else int(time.time())

    @cached_property
    def inside(self) -> Server:
        """A second server over the same stores in this process: what the command line uses."""
        stores = assembly.stores(self.settings)
        injected = {"clock": self._shared_clock} if self._shared_clock else {}
        return assembly.assemble(self.settings, stores, **injected)

    # ---- life
    def start(self) -> None:
        """Start it; return when it answers."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in self._given.items()}
        clock = str(self._clock_file) if self._clock_file else None
        order = self.folder / "order.json"
        lane = not self.kind.endswith("without-lane")
        injected = {"settings": plain, "clock": clock, "lane": lane, "patience": self._patience}
        order.write_text(json.dumps(injected))
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        command = [*self._within, sys.executable, "-m", "tests.servers.serve", order]
        self.process = Serving(command, {**environment, "HOME": str(self.folder)}, self.log_file, "Ready: ")
        if not self.process.is_ready:
            raise RuntimeError(self.log())

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it, with all its workers."""
        if "inside" in self.__dict__:
            self.inside.close()
        process, self.process = self.process, None
        if process is None:
            return
        try:
            if how != signal.SIGKILL:
                process.signal(how)
                process.wait(10)
        finally:
            process.kill()

    # ---- what is there to be seen
    def log(self) -> str:
        """Return everything that it has logged."""
        return self.log_file.read_text(errors="replace")

    def stored(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables but those that a refused request may move (embedded stores only)."""
        return stored(self.settings.home)


def free_port() -> int:
    """Return a port that nobody uses, and another one each time.

    It is below those that the kernel gives to whoever connects to somebody: one of them may be taken before we listen.
    """
    for number in _ports:
        port = 10000 + number % 22000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError  # there is always a next one


@contextmanager
def running(folder: Path, kind: str = "gunicorn", **options: Any) -> Iterator[AuthServer]:
    """A started server, stopped at the end."""
    server = AuthServer(folder, kind, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Pool:
    """Servers that many tests share: each kind is started by the first test that asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, AuthServer] = {}

    def get(self, kind: str) -> AuthServer:
        """Return the server of a kind, running."""
        if kind not in self._started:
            self._started[kind] = AuthServer(self._folder / kind, kind, registration="open")
            self._started[kind].start()
        return self._started[kind]

    def close(self) -> None:
        """Kill them all: how a server ends in peace is tested elsewhere."""
        for server in self._started.values():
            server.stop(signal.SIGKILL)
