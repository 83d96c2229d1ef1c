"""A service behind a proxy that remembers what it was asked, and may fall silent: what no server of ours shows."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Listening(ThreadingHTTPServer):
    """It answers with the headers that it got, or hangs up after a request was read.

    Attributes:
        connections: how many were opened, and brought a request.
        asked: method and path of each request.
        hangs_up: whether it closes the connection in place of an answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections = 0
        self.asked: list[tuple[str, str]] = []
        self.hangs_up = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listening
    is_new = True

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/livez":
            self.server.asked.append((self.command, self.path))
            self.server.connections += self.is_new
            self.is_new = False
            if self.server.hangs_up:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
        body = json.dumps([list(pair) for pair in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Listening]:
    """One that runs, stopped at the end."""
    with Listening() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
