"""What clients have the server fetch: never from where only the server gets to, and never too much of it."""

import gzip
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from auth_server.outbound import REST, SECONDS, SIZE, Outbound, Unreachable
from tests import proves
from tests.servers import certificates
from tests.servers.auth_server import running
from tests.servers.documents import Host, hosting, ok
from tests.servers.processes import until
from tests.signing import EcKey

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)
PUBLIC = "93.184.215.14"


@pytest.fixture
def host() -> Iterator[Host]:
    """A host at 127.0.0.1."""
    with hosting() as host:
        yield host


@pytest.fixture
def six(host: Host) -> Iterator[Host]:
    """One at ::1, with the same port."""
    with hosting("::1", host.port) as six:
        yield six


@pytest.fixture
def out() -> Outbound:
    """A way out that 127.0.0.1 is named for."""
    return Outbound(LOOPBACK, at_once=8)


HERE = (
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
)
ELSEWHERE = (
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "2852039166",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
)


@proves("S-085")
@pytest.mark.parametrize("name", [*HERE, *ELSEWHERE])
def test_addresses_that_only_the_server_reaches_are_refused(name: str, host: Host, six: Host) -> None:
    """However they are written, and whatever is named for others: nobody is connected to."""
    named = ipaddress.ip_network("10.9.0.0/16")
    for out in (Outbound(), Outbound((named,))):
        for scheme in ("https", "http"):
            began = time.monotonic()
            with pytest.raises(Unreachable):
                out.get(host.url("/", name, scheme))
            assert time.monotonic() - began < 1
    assert (host.connections, six.connections) == (0, 0)


@proves("S-085")
def test_only_the_named_network_is_reached(out: Outbound, host: Host, six: Host) -> None:
    """By http too; others are not, nor is a public host without TLS."""
    host.answers["/keys"] = ok(b"{}", "Cache-Control: public, max-age=60")
    fetched = out.get(host.url("/keys"))
    assert (fetched.status, fetched.content_type, fetched.body) == (200, "application/json", b"{}")
    assert fetched.max_age == 60
    for name in ("127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1", PUBLIC):
        with pytest.raises(Unreachable, match="is not a public host"):
            out.get(host.url("/keys", name))
    assert (host.connections, six.connections) == (1, 0)


@proves("S-085")
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://app.example/x",
        "gopher://127.0.0.1:6379/_x",
        "//app.example/x",
        "https:/app.example",
        "https://",
        "https://me@app.example/",
        "https://app.example@127.0.0.1/",
        "https://app.example/#f",
        "https://app.example\\@127.0.0.1/",
        "https://app.example/a b",
        "https://app.example/a\r\nX: y",
        "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "https://app.example:99999/",
        "https://[::1/",
        "http://app.example/",
    ],
)
def test_what_is_no_https_url_is_refused_for_its_form(url: str) -> None:
    for refused in (Outbound().check, Outbound().get):
        with pytest.raises(Unreachable):
            refused(url)


@proves("S-085")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, out: Outbound, host: Host) -> None:
    """Not even to where one may go: the caller gets an answer that is no document."""
    location = host.url("/elsewhere")
    host.answers["/"] = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    assert out.get(host.url("/")).status == status
    assert host.asked == ["/"]


def resolver(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the machine's resolver give these addresses, one list after the other; return what it was asked for."""
    asked: list[str] = []
    usual = socket.getaddrinfo

    def lookup(name: str, port: int, *args: int, **options: int) -> object:
        if name != "app.example":
            return usual(name, port, *args, **options)
        asked.append(name)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


@proves("S-085")
def test_the_checked_address_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, out: Outbound, host: Host
) -> None:
    """A name that changes its address after the check is not looked up again."""
    host.answers["/"] = b"{}"
    with hosting("127.0.0.2", host.port) as other:
        asked = resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        assert out.get(host.url("/", "app.example")).status == 200
        assert asked == ["app.example"]
        assert (host.connections, other.connections) == (1, 0)
        with pytest.raises(Unreachable):
            out.get(host.url("/", "app.example"))
        assert (host.connections, other.connections) == (1, 0)


@proves("S-085")
def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    """In whichever order they come."""
    for found in ([PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC]):
        resolver(monkeypatch, found)
        with pytest.raises(Unreachable, match="is not a public host"):
            Outbound().get(host.url("/", "app.example", "https"))
    assert host.connections == 0


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MANY = 10_000_000


def pour(head: bytes, chunk: bytes, sent: list[int]) -> object:
    """Send ten million bytes."""

    def misbehave(peer: socket.socket) -> None:
        peer.sendall(head)
        for _ in range(MANY // 10_000):
            peer.sendall(chunk)
            sent.append(10_000)

    return misbehave


@proves("S-086")
@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (HEAD + f"Content-Length: {MANY}\r\n\r\n".encode(), b"x" * 10_000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2710\r\n" + b"x" * 10_000 + b"\r\n"),
        (HEAD + b"\r\n", b"x" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"A: " + b"x" * 9_995 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x" * 10_000),
    ],
    ids=["length", "chunks", "neither", "headers", "header"],
)
def test_ten_megabytes_are_cut_at_the_limit(head: bytes, chunk: bytes, out: Outbound, host: Host) -> None:
    sent: list[int] = []
    host.answers["/"] = pour(head, chunk, sent)  # type: ignore[assignment]
    began = time.monotonic()
    with pytest.raises(Unreachable):
        out.get(host.url("/"))
    assert time.monotonic() - began < 2
    assert sum(sent) < MANY  # what lies between us may hold some of it


@proves("S-086")
def test_what_just_fits_is_taken(out: Outbound, host: Host) -> None:
    host.answers["/fits"], host.answers["/more"] = b"x" * SIZE, b"x" * (SIZE + 1)
    assert len(out.get(host.url("/fits")).body) == SIZE
    with pytest.raises(Unreachable):
        out.get(host.url("/more"))


@proves("S-086")
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
def test_nothing_is_unpacked(coding: str, out: Outbound, host: Host) -> None:
    bomb = gzip.compress(b"\0" * MANY)
    host.answers["/"] = ok(bomb, f"Content-Encoding: {coding}")
    with pytest.raises(Unreachable, match="compressed"):
        out.get(host.url("/"))


@proves("S-086")
@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 100\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{}",
        b"",
        b"nonsense\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_does_not_count(answer: bytes, out: Outbound, host: Host) -> None:
    """Neither does one that is none."""
    host.answers["/"] = lambda peer: peer.sendall(answer)
    with pytest.raises(Unreachable):
        out.get(host.url("/"))


def dribble(head: bytes) -> object:
    """Send a byte every half second."""

    def misbehave(peer: socket.socket) -> None:
        peer.sendall(head)
        peer.settimeout(0.5)
        for _ in range(60):
            with suppress(TimeoutError):
                if not peer.recv(1):
                    return
            peer.sendall(b"1")

    return misbehave


@proves("S-086")
def test_a_byte_now_and_then_is_cut_after_five_seconds(out: Outbound, host: Host) -> None:
    """In the body, in a chunk's length, in a header, in the handshake of TLS; and silence as well."""
    heads = {
        "/body": HEAD + b"Content-Length: 100\r\n\r\n",
        "/end": HEAD + b"\r\n",
        "/chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        "/header": b"HTTP/1.1 200 OK\r\nA: ",
        "/status": b"HTTP/1.1 ",
    }
    for path, head in heads.items():
        host.answers[path] = dribble(head)  # type: ignore[assignment]
    urls = [host.url(path) for path in heads]
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(8) as threads:
        port = silent.getsockname()[1]
        urls += [f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/"]
        began = time.monotonic()
        for one in [threads.submit(out.get, url) for url in urls]:
            assert isinstance(one.exception(), Unreachable)
        assert SECONDS - 0.5 < time.monotonic() - began < SECONDS + 1.5


@proves("S-086")
def test_slow_hosts_take_two_threads_and_no_more(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    """Whoever comes meanwhile is refused at once, and not kept; and then they are left alone for a while."""
    out = Outbound(LOOPBACK)
    host.answers["/slow"] = dribble(HEAD + b"\r\n")  # type: ignore[assignment]
    host.answers["/fast"] = b"{}"
    with ThreadPoolExecutor(3) as threads:
        slow = [threads.submit(out.get, host.url("/slow")) for _ in range(2)]
        until(lambda: len(host.asked) >= 2)
        began = time.monotonic()
        with pytest.raises(Unreachable, match="at the same time"):
            out.get(host.url("/fast"))
        assert time.monotonic() - began < 1
        for one in slow:
            assert isinstance(one.exception(), Unreachable)
    with pytest.raises(Unreachable, match="too slow a moment ago"):
        out.get(host.url("/fast"))
    monkeypatch.setattr(time, "monotonic", lambda: began + SECONDS + REST + 1)
    assert out.get(host.url("/fast")).body == b"{}"


@proves("S-085", "S-086")
def test_tls_is_for_the_name_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Certificates of nobody known, or for another name, do not count; what is slow is cut there too."""
    certificate, key = certificates.make(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with hosting(tls=tls) as host:
        host.answers["/"] = b"{}"
        host.answers["/slow"] = dribble(HEAD + b"Content-Length: 100\r\n\r\n")  # type: ignore[assignment]
        with pytest.raises(Unreachable):
            Outbound(LOOPBACK).get(host.url("/", scheme="https"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        out = Outbound(LOOPBACK)
        assert out.get(host.url("/", scheme="https")).body == b"{}"
        resolver(monkeypatch, ["127.0.0.1"])
        with pytest.raises(Unreachable):
            out.get(host.url("/", "app.example", "https"))
        assert host.asked == ["/"]
        began = time.monotonic()
        with pytest.raises(Unreachable):
            out.get(host.url("/slow", scheme="https"))
        assert time.monotonic() - began < SECONDS + 1


@proves("S-086")
def test_others_are_served_while_hosts_are_slow(tmp_path: Path, host: Host) -> None:
    """One worker with four threads, and more requests by reference and assertions than it has threads."""
    host.answers["/slow"] = dribble(HEAD + b"\r\n")  # type: ignore[assignment]
    with running(tmp_path, real_time=True, workers=1, threads=4, outbound_allow=["127.0.0.1"]) as server:
        uris = {"redirect_uris": ("https://app.example.org/callback",), "jwks": EcKey().jwks}
        values = {**uris, "metadata": {"request_uris": [host.url("/slow")]}}
        client_id = server.inside.clients.add(values).client.client_id
        query = {"client_id": client_id, "request_uri": host.url("/slow"), "redirect_uri": uris["redirect_uris"][0]}

        def ask() -> str:
            url = f"{server.issuer}/api/v1/oauth/authorize"
            return requests.get(url, params=query, allow_redirects=False, timeout=30).headers["Location"]

        with ThreadPoolExecutor(12) as threads:
            asking = [threads.submit(ask) for _ in range(12)]
            until(lambda: host.asked)
            for _ in range(20):
                began = time.monotonic()
                assert requests.get(f"{server.issuer}/livez", timeout=30).status_code == 200
                assert time.monotonic() - began < 2
            assert all("error=invalid_request_uri" in one.result() for one in asking)
        assert len(host.asked) < 12
