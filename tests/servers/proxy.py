"""A TCP proxy before a server on this machine, which can keep answers back, be slow, or let nobody through."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Proxy:
    """Passes bytes on; while told to hold, only the first few of the server's on each connection.

    Args:
        target: the server's port, or its socket file.

    Attributes:
        delay: seconds by which each piece of questions and answers comes later.
    """

    delay = 0.0

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._passage = threading.Lock()  # of new connections
        self._is_cut = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._left = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, after: int) -> None:
        """From now on pass *after* more bytes of answers, and keep the rest."""
        self._left = after
        self._flowing.clear()

    def release(self) -> None:
        """Pass on what was kept, and everything to come."""
        self._flowing.set()

    def lead_to(self, target: int | Path) -> None:
        """From now on lead new connections to another server; those that are there stay as they are."""
        self._target = target

    @contextmanager
    def cut(self) -> Iterator[None]:
        """End all connections, and let nobody through meanwhile."""
        with self._passage:
            self._is_cut = True
            self._hang_up()
        try:
            yield
        finally:
            self._is_cut = False

    def close(self) -> None:
        """End all connections."""
        self.release()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def _hang_up(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets = []

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._passage:
                    if self._is_cut:
                        client.close()
                        continue
                    server = self._connect()
                    self._sockets += client, server
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pump_answers, args=(server, client), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        return server

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _pump_answers(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                if not self._flowing.is_set():
                    now, data = data[: self._left], data[self._left :]
                    self._left -= len(now)
                    sink.sendall(now)
                    self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def before(target: int | Path) -> Iterator[Proxy]:
    """A proxy before the server at *target*, a port or a socket file."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
