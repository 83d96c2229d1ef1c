"""A redis-server of our own on a random port, which can be taken away and brought back."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.packages import find


class Redis:
    """One server, reachable over TCP and over a socket file. Nothing is written to disk.

    Args:
        folder: an empty folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.socket = folder / "redis.sock"
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Start it, empty; return when it answers. *options* are added to its command line."""
        fixed = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket)]
        fixed += ["--dir", str(self._folder), "--save", "", "--enable-debug-command", "yes"]
        command = [find("redis-server"), *fixed, *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        printed = ""
        for line in self._process.stdout:
            printed += line
            if "Ready to accept connections" in line:
                return
        raise RuntimeError(printed)

    def command(self, *words: str) -> bytes:
        """Send one command past our own code; return the first part of the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65536)

    def stop(self) -> None:
        """Kill it; its data is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@contextmanager
def running(folder: Path) -> Iterator[Redis]:
    """A started server, stopped at the end."""
    server = Redis(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
