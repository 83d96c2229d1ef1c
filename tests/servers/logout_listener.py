"""A client's address for logout tokens: a real listener, which may be slow, out of order or away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qs

PATIENCE = 20.0  # seconds that a test waits for what should come at once


@dataclass
class LogoutListener:
    """What it was sent, and how it answers.

    Args:
        statuses: of the next answers, one after the other; then it is always 200.
        open: when it is not set, callers have to wait.
    """

    uri: str
    received: "Queue[dict[str, str]]" = field(default_factory=Queue)
    statuses: list[int] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    def token(self) -> str:
        """Return the next logout token that comes."""
        form = self.received.get(timeout=PATIENCE)
        assert form["content type"] == "application/x-www-form-urlencoded"
        return form["logout_token"]


@contextmanager
def logout_listener() -> Iterator[LogoutListener]:
    """Listen on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            made.received.put({**form, "content type": self.headers["Content-Type"], "path": self.path})
            made.open.wait(PATIENCE)
            self.send_response(made.statuses.pop(0) if made.statuses else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        made = LogoutListener(f"http://127.0.0.1:{server.server_port}/logout?from=here")
        made.open.set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            made.open.set()
            server.shutdown()
            thread.join()
