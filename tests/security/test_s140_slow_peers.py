"""Peers that are slow, and more of them than there is room for: they lose their own time, nobody else's."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

import pytest

from tests import proves
from tests.servers import certificates
from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import FORM, INTROSPECT, TOKEN, Visitor, basic_header

PATIENCE = 1  # REQUEST_TIMEOUT
SLACK = 1.5  # seconds until the last one is cut; both servers look now and then
BOUND = PATIENCE + SLACK
CROWD_PATIENCE = 3  # longer, for a busy machine that stalls must not make the quick ones slow peers too
ROOM = 10  # seconds until one who comes last is served: mostly one, and five where the machine stalls; else never
PACE = 0.1  # seconds from byte to byte
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n".encode()
BEGINNINGS = {
    "nothing": b"",
    "request line": b"POST /api/v1/ses",
    "head": HEAD + b"X-A: ",
    "body": HEAD + b"Content-Length: 100\r\n\r\na",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\na",
}


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server that waits one second for a request."""
    yield from _waiting(PATIENCE, request.param, tmp_path_factory.mktemp("slow"))


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def patient_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server that waits a little longer."""
    yield from _waiting(CROWD_PATIENCE, request.param, tmp_path_factory.mktemp("crowd"))


def _waiting(seconds: int, kind: str, folder: Path) -> Iterator[AuthServer]:
    with running(folder, kind, real_time=True, request_timeout=seconds) as server:
        yield server
        assert "Traceback" not in server.log()


class Crowd:
    """Many connections, each of which says its beginning, and then a byte now and then."""

    def __init__(self, port: int, beginnings: list[bytes], *, dribble: bool = True) -> None:
        self._dribble, self._selector = dribble, DefaultSelector()
        self.received: dict[socket.socket, bytes] = {}
        self.left: set[socket.socket] = set()
        for beginning in beginnings:
            peer = socket.create_connection(("127.0.0.1", port), 10)
            peer.setblocking(False)
            with suppress(OSError):  # it may have had to make room already
                peer.send(beginning)
            self._selector.register(peer, EVENT_READ)
            self.received[peer] = b""
            self.left.add(peer)

    def until_cut(self, longest: float) -> None:
        """Go on until the server has closed all of them, for so many seconds at most."""
        end = time.monotonic() + longest
        while self.left and time.monotonic() < end:
            self.step()

    def step(self) -> None:
        """Take what comes for a moment; then all send a byte."""
        pause_ends = time.monotonic() + PACE
        while (rest := pause_ends - time.monotonic()) > 0:
            for key, _ in self._selector.select(rest):
                self._receive(key.fileobj)
            if not self.left:
                return
        for peer in self.left if self._dribble else ():
            with suppress(OSError):
                peer.send(b"a")

    def _receive(self, peer: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = peer.recv(65536)
        self.received[peer] += data
        if not data:
            self._selector.unregister(peer)
            self.left.discard(peer)

    def close(self) -> None:
        for peer in self.received:
            peer.close()


def seconds_for_livez(server: AuthServer) -> float:
    """Ask on a new connection."""
    began = time.monotonic()
    assert Visitor(server).raw(LIVEZ, patience=10).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began


@proves("S-140")
@pytest.mark.parametrize("dribble", [False, True], ids=["silent", "dribbling"])
@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_request_has_a_time_limit_as_a_whole(server: AuthServer, beginning: bytes, dribble: bool):
    """Whatever arrives of it meanwhile."""
    began = time.monotonic()
    crowd = Crowd(server.port, [beginning], dribble=dribble and bool(beginning))
    try:
        crowd.until_cut(10)
        assert not crowd.left
        assert time.monotonic() - began < BOUND
        (received,) = crowd.received.values()
        assert received[:12] in (b"", b"HTTP/1.1 408", b"HTTP/1.1 400")
        if server.kind == "gunicorn":
            assert received[:12] == (b"HTTP/1.1 408" if beginning else b"")
    finally:
        crowd.close()


@proves("S-140", "ASVS 15.2.2")
@pytest.mark.parametrize("many", [500, 3000], ids=["500", "three times capacity"])
def test_a_crowd_of_slow_peers_hinders_nobody(patient_server: AuthServer, many: int):
    """Half of them in the head, half in the body: /livez and token requests are answered, and the crowd is cut."""
    server, bound = patient_server, CROWD_PATIENCE + SLACK
    visitor = Visitor(server)
    client = visitor.client()
    crowd = Crowd(server.port, [BEGINNINGS["head"], BEGINNINGS["body"]] * (many // 2))
    try:
        waits = []
        end = time.monotonic() + 6 * bound
        while crowd.left and time.monotonic() < end:
            waits.append(seconds_for_livez(server))
            visitor.token(client)
            crowd.step()
        assert not crowd.left
        assert max(waits) < (1 if many == 500 else bound * 2)
        assert seconds_for_livez(server) < 1
        if many > 2000 and server.kind == "gunicorn":
            refused = [received for received in crowd.received.values() if received.startswith(b"HTTP/1.1 503")]
            assert refused
            assert all(b"\r\nRetry-After: 5\r\n" in received for received in refused)
    finally:
        crowd.close()


@proves("S-140")
def test_kept_connections_make_room(server: AuthServer):
    """More idle ones than the server takes: the next is served all the same."""
    crowd = Crowd(server.port, [LIVEZ.replace(b"Connection: close\r\n", b"")] * 2500, dribble=False)
    try:
        assert seconds_for_livez(server) < ROOM
    finally:
        crowd.close()


@proves("S-140")
def test_peers_that_do_not_read_hold_no_thread(server: AuthServer):
    """They ask for long answers again and again and take none of them; nor do they close when they are told to."""
    ask = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40
    peers = []
    try:
        for _ in range(20):
            peer = socket.socket()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", server.port))
            peer.sendall(ask)
            peers.append(peer)
            closing = socket.create_connection(("127.0.0.1", server.port), 10)
            closing.sendall(LIVEZ)
            peers.append(closing)
        assert max(seconds_for_livez(server) for _ in range(5)) < 1
    finally:
        for peer in peers:
            peer.close()


@proves("S-140")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_slow_handshakes_hinder_nobody(tmp_path: Path, kind: str):
    """Nor do they last; a request in small pieces is read through TLS too."""
    certificate, key = certificates.make(tmp_path)
    tls = ssl.create_default_context(cafile=certificate)
    options = {"real_time": True, "request_timeout": PATIENCE, "workers": 1, "tls_cert": certificate, "tls_key": key}
    with running(tmp_path / "server", kind, **options) as server:
        crowd = Crowd(server.port, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] * 50)
        try:
            with tls.wrap_socket(
                socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="127.0.0.1"
            ) as peer:
                for byte in LIVEZ:
                    peer.send(bytes([byte]))
                assert _all(peer).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            crowd.until_cut(10)
            assert not crowd.left
            assert time.monotonic() - began < BOUND or kind == "granian"  # which waits ten seconds for a handshake
        finally:
            crowd.close()


def test_a_slow_client_that_is_in_time_is_answered(server: AuthServer):
    """Byte by byte; and with Expect the body waits for the word."""
    visitor = Visitor(server)
    client = visitor.client("introspect")
    token = visitor.token(client)
    body = f"token={token}".encode()
    basic = basic_header(*client.basic)
    head = f"POST {INTROSPECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic}\r\nContent-Type: {FORM}\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in f"{head}\r\n".encode() + body:
            peer.send(bytes([byte]))
        assert b'"active":true' in _all(peer)
    with socket.create_connection(("127.0.0.1", server.port), 10) as peer:
        peer.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        received = _all(peer)
    assert received.startswith(b"HTTP/1.1 200")
    assert b'"active":true' in received


def _all(peer: socket.socket | ssl.SSLSocket) -> bytes:
    received = b""
    while part := peer.recv(65536):
        received += part
    return received
