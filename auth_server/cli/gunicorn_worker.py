"""gunicorn's threaded worker, with threads that never wait for a peer (docs/decisions/0005).

The main thread alone reads and waits: for a whole request, for room to send the rest of an answer, for the peer's end
of a connection that is closed. Each of these has a time limit as a whole, however the bytes dribble (S-140).
"""

import socket
import ssl
import time
from concurrent.futures import Future
from enum import Enum
from functools import partial
from http import HTTPStatus
from io import BytesIO
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import Response, create
from gunicorn.sock import ssl_context
from gunicorn.workers.gthread import ThreadWorker

from auth_server.cli.web_servers import MAX_HEADER_LINE
from auth_server.http.arrival import LONGEST_HEAD, Arrival
from auth_server.http.errors import HttpError
from auth_server.http.exchange import METHODS
from auth_server.http.headers import HSTS, NO_STORE, SECURITY
from auth_server.settings import Settings

AT_ONCE = 65536  # bytes to read
LINGER = 2.0  # seconds for a peer to read the last answer before its connection is gone (RFC 9112 §9.6)
SWEEP = 0.25  # seconds between two looks for connections whose time is up
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
STEADY = {name for name, _ in (*SECURITY, *NO_STORE, *HSTS)} | {"Content-Security-Policy", "Content-Type", "Vary"}
REFUSALS = {
    errors.LimitRequestLine: (414, "The request line is too long"),
    errors.LimitRequestHeaders: (431, "The headers are too long"),
    errors.ExpectationFailed: (417, "What the request expects is unknown"),
}


class Waits(Enum):
    """What a connection waits for; those above make room for others first."""

    END = "the peer's end"
    NEXT = "the next request"
    REST = "the rest of a request"
    ROOM = "room for the rest of an answer"


class Connection:
    """One connection: the main thread has it, or a thread that answers. To gunicorn's code it is its socket too.

    Args:
        sock: does not block; with TLS its handshake is still to come.
    """

    def __init__(self, config: Any, sock: socket.socket, client: Any, server: Any, longest_body: int) -> None:
        self.raw, self.client, self.server = sock, client, server
        self.arrival = Arrival(longest_body)
        self.parser = RequestParser(config, (), client)
        self.parser.unreader = self.arrival
        self.request = b""  # as it arrived, for the answer to one that cannot be read
        self.waits: Waits | None = None  # None while a thread has it
        self.deadline = 0.0
        self.watched = 0  # events that the poller looks for
        self.goes_on = True  # with the next request, after the answer
        self._handshake = isinstance(sock, ssl.SSLSocket)
        self._unsent: list[bytes] = []

    @property
    def sock(self) -> "Connection":
        """What gunicorn writes answers to."""
        return self

    @property
    def is_closed(self) -> bool:
        """Whether it is no more."""
        return self.raw.fileno() < 0

    @property
    def is_lost(self) -> bool:
        """Whether nobody knows where the next request starts."""
        return self.arrival.ran_dry or bool(getattr(self.parser.mesg.body, "failed", False))

    def sendall(self, data: bytes) -> None:
        """Keep a part of an answer until `flush`."""
        self._unsent.append(data)

    def flush(self) -> bool:
        """Send as much as there is room for; tell whether that was all. Nobody reads what a broken one is sent."""
        data = b"".join(self._unsent)
        self._unsent = []
        try:
            while data:
                data = data[self.raw.send(data) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self._unsent = [data]
        except OSError:
            self.goes_on = False
        return not self._unsent

    def receive(self) -> bytes | None:
        """Return what has come: nothing at the end, None if it is no data yet.

        Raises:
            OSError: the connection is broken, or what comes is no TLS.
        """
        try:
            if self._handshake:
                self.raw.do_handshake()  # type: ignore[attr-defined]
                self._handshake = False
            data = self.raw.recv(AT_ONCE)
            while isinstance(self.raw, ssl.SSLSocket) and self.raw.pending():  # the poller does not see these
                data += self.raw.recv(AT_ONCE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        return data


class Answer(Response):  # type: ignore[misc]
    """gunicorn's response, which checks and writes but once what nearly every answer has: that took 15 µs."""

    _known: dict[tuple[str, str], str] = {}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lines: list[str] = []

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        for header in headers:
            line = self._known.get(header)
            if line:
                self._lines.append(line)
                continue
            super().process_headers([header])
            if header[0] in STEADY:
                self._known[header] = f"{header[0]}: {header[1]}\r\n"

    def should_close(self) -> bool:
        return bool(self.sock.is_lost or super().should_close())

    def default_headers(self) -> list[str]:
        return [*super().default_headers(), *self._lines]


class Worker(ThreadWorker):  # type: ignore[misc]
    """Whole requests for the threads, answers from them; while it stops, new connections are refused at once."""

    patience: float  # seconds for a request to arrive, and for an answer to be taken
    longest_body: int  # bytes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Connection, None] = {}  # in the order in which they began to
        self._swept = 0.0
        self._tls = ssl_context(self.cfg) if self.cfg.is_ssl else None

    # ---- connections come
    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:  # those who come now would wait for nobody
                listener.close()

    def accept(self, listener: Any) -> None:
        """Take a connection, if need be in place of one that makes us wait."""
        try:
            sock, client = listener.accept()
        except OSError:  # another worker was faster, or the peer is gone already
            return
        if self.nr_conns + 1 >= self.worker_connections:
            self._make_room()
        sock.setblocking(False)
        if self._tls:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:  # the peer is gone already
                sock.close()
                return
        connection = Connection(self.cfg, sock, client, listener.getsockname(), self.longest_body)
        self.nr_conns += 1
        self._watch(connection, EVENT_READ)
        self._wait(connection, Waits.REST, self.patience)

    def _make_room(self) -> None:
        for kind in (Waits.END, Waits.NEXT, Waits.REST):
            found = next((connection for connection in self._waiting if connection.waits is kind), None)
            if found:
                if kind is Waits.REST and found.arrival.data:
                    self._refuse(found, HttpError(503, "Too many connections", (("Retry-After", "5"),)))
                    found.flush()
                self._drop(found)
                return

    def _watch(self, connection: Connection, event: int) -> None:
        if event != connection.watched:
            if connection.watched:
                self.poller.unregister(connection.raw)
            if event:
                call = self._readable if event == EVENT_READ else self._writable
                self.poller.register(connection.raw, event, partial(call, connection))
            connection.watched = event

    def _wait(self, connection: Connection, what: Waits, seconds: float) -> None:
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        connection.waits, connection.deadline = what, time.monotonic() + seconds

    # ---- requests arrive
    def _readable(self, connection: Connection, sock: Any) -> None:
        if connection.is_closed:  # to make room, since the poller saw it
            return
        if connection.waits is None:  # what comes while a thread answers can wait
            self._watch(connection, 0)
            return
        try:
            data = connection.receive()
        except OSError:
            self._drop(connection)
            return
        if data is None:
            return
        if data and connection.waits is not Waits.END:
            connection.arrival.add(data)
            self._consider(connection)
        elif connection.waits is Waits.REST and connection.arrival.data:
            self._hand_over(connection)  # it stays incomplete: whoever reads it says so
        elif not data:
            self._drop(connection)

    def _consider(self, connection: Connection) -> None:
        arrival = connection.arrival
        if arrival.is_whole():
            self._hand_over(connection)
            return
        if arrival.is_too_long:
            text = f"The body must have at most {self.longest_body} bytes"
            self._refuse(connection, HttpError(413, text))
            self.finish_request(connection)
            return
        if connection.waits is not Waits.REST:
            self._wait(connection, Waits.REST, self.patience)
        if arrival.expects_continue:
            arrival.expects_continue = False
            connection.sendall(GO_ON)
            connection.flush()

    def _hand_over(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        connection.waits, connection.request = None, connection.arrival.data
        self.enqueue_req(connection)

    def handle(self, connection: Connection) -> None:
        """Answer one request; in a thread."""
        connection.goes_on = False
        try:
            request = next(connection.parser)
            request._expected_100_continue = False  # that was said, or the body is there
            reader, arrival = request.body.reader, connection.arrival
            if isinstance(reader, LengthReader):
                request.body = BytesIO(arrival.read(reader.length))  # gunicorn's own takes 6 µs more
            connection.goes_on = self._answer(request, connection) and connection.parser.finish_body()
        except errors.NoMoreData:
            if len(connection.request) > LONGEST_HEAD:
                self._refuse(connection, HttpError(431, "The headers are too long"))
        except (OSError, StopIteration):
            pass  # the peer is gone
        except Exception as error:  # a bug must not end the worker: it is logged, and the peer gets an answer
            if not isinstance(error, errors.ParseException):
                self.log.exception("A request failed")
            self._refuse(connection, HttpError(*REFUSALS.get(type(error), (400, "The request cannot be read"))))
        connection.flush()

    def _answer(self, request: Any, connection: Connection) -> bool:
        """Let the application answer; tell whether the connection may go on."""
        response, environ = create(request, connection, connection.client, connection.server, self.cfg, Answer)
        environ["wsgi.multithread"] = True
        if not self.alive:
            response.force_close()
        parts = self.wsgi(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return not response.should_close()

    # ---- answers leave
    def finish_request(self, connection: Connection, future: "Future[None] | None" = None) -> None:
        """Go on with a connection that a thread is done with."""
        if not connection.flush():
            self._watch(connection, EVENT_WRITE)
            self._wait(connection, Waits.ROOM, self.patience)
        elif not connection.goes_on:
            self._close(connection)
        else:
            self._watch(connection, EVENT_READ)
            connection.arrival.next_request()
            connection.request = b""
            self._wait(connection, Waits.NEXT, self.cfg.keepalive if self.alive else LINGER)
            if connection.arrival.data:  # sent before it had the answer
                self._consider(connection)

    def _writable(self, connection: Connection, sock: Any) -> None:
        if not connection.is_closed and connection.flush():
            self.finish_request(connection)

    def _refuse(self, connection: Connection, error: HttpError) -> None:
        """Answer what is no request, or none in time, in the form of the path that it names."""
        connection.goes_on = False
        line = (connection.request or connection.arrival.data).partition(b"\r\n")[0][:MAX_HEADER_LINE].decode("latin-1")
        method, _, target = line.partition(" ")
        environ = {
            "REQUEST_METHOD": method if method in METHODS else "other",
            "PATH_INFO": target.partition(" ")[0].partition("?")[0],
            "REMOTE_ADDR": connection.client[0],
        }
        answer = self.wsgi.refuse(environ, error)
        head = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", f"Date: {util.http_date()}"]
        head += [f"{name}: {value}" for name, value in answer.headers]
        head += [f"Content-Length: {len(answer.body)}", "Connection: close", "", ""]
        connection.sendall("\r\n".join(head).encode("latin-1") + (b"" if method == "HEAD" else answer.body))

    # ---- connections go
    def murder_keepalived(self, force: bool = False) -> None:
        """Give up connections that have waited long enough, or all; called often."""
        now = time.monotonic()
        if force:
            for connection in list(self._waiting):
                self._drop(connection)
        elif now >= self._swept + SWEEP:
            self._swept = now
            for connection in [connection for connection in self._waiting if connection.deadline <= now]:
                self._give_up(connection)

    def _give_up(self, connection: Connection) -> None:
        if connection.waits is Waits.REST and connection.arrival.data:
            self._refuse(connection, HttpError(408, "The request did not arrive in time"))
            self.finish_request(connection)
        else:
            self._drop(connection)

    def _close(self, connection: Connection) -> None:
        """Say that no more comes, and let the peer read what there is: closing at once could take it away."""
        try:
            connection.raw.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
        else:
            self._watch(connection, EVENT_READ)
            self._wait(connection, Waits.END, LINGER)

    def _drop(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._watch(connection, 0)
        connection.raw.close()
        self.nr_conns -= 1

    def _cap_keepalive(self, deadline: float) -> None:
        """Stop: who has begun a request may end it; the others get a moment, for one that is on its way."""
        for connection in self._waiting:
            if not connection.arrival.data:
                connection.deadline = min(connection.deadline, deadline)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait until something happens; not so long when the end of the server waits for that of connections."""
        super().wait_for_and_dispatch_events(timeout if self.alive else SWEEP)


def worker_class(settings: Settings) -> type[Worker]:
    """Return the worker for these settings."""
    limits = {"patience": settings.request_timeout, "longest_body": settings.max_body}
    return type("Worker", (Worker,), limits)
