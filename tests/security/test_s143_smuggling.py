"""Requests whose end two programs could see at different places."""

import pytest

from tests import proves
from tests.servers.auth_server import Pool
from tests.servers.visitors import TOKEN, Visitor

HEAD = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n".encode()
NEXT = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"  # its answer holds "ok"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY_CHUNK = b"0\r\n\r\n"

AMBIGUOUS = {
    "length, then chunked": HEAD + b"Content-Length: 4\r\n" + CHUNKED + EMPTY_CHUNK,
    "chunked, then length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + EMPTY_CHUNK,
    "chunked and no length at all": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": HEAD + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": HEAD + b"Content-Length: -4\r\n\r\nabcd",
    "a length in hex digits": HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
    "chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + EMPTY_CHUNK,
    "identity after chunked": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + EMPTY_CHUNK,
    "xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + EMPTY_CHUNK,
    "a control character before chunked": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + EMPTY_CHUNK,
    "chunked in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + CHUNKED + EMPTY_CHUNK,
    "a bare CR": HEAD + b"X-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": HEAD + b"Content-Length : 4\r\n\r\nabcd",
    "space before the colon of chunked": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + EMPTY_CHUNK,
    "a folded header": HEAD + b"X-A: b\r\n Content-Length: 4\r\n\r\n",
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + EMPTY_CHUNK,
    "a null character": HEAD + b"X-A: \0b\r\nContent-Length: 0\r\n\r\n",
    "a chunk that ends in a bare LF": HEAD + CHUNKED + b"0\n\n",
    "a chunk extension with a bare LF": HEAD + CHUNKED + b"1;a\nb\r\nX\r\n0\r\n\r\n",
    "a chunk size with a prefix": HEAD + CHUNKED + b"0x0\r\n\r\n",
    "a negative chunk": HEAD + CHUNKED + b"-1\r\n\r\n",
}
BARE_LF = {
    "every line": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
    "one line": HEAD + b"X-A: b\nContent-Length: 0\r\n\r\n",
}


@proves("S-143", "RFC 9112 §6.1", "RFC 9112 §6.3")
@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_request_is_refused_and_the_connection_closed(visitor: Visitor, request_: bytes):
    """400, and what follows is never answered: the server hangs up."""
    received = visitor.raw(request_ + NEXT)
    assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), received
    assert b"grant_type" not in received, "it was refused for what it asks, not for how it is framed"
    assert b'"ok"' not in received


@proves("S-143", "RFC 9112 §2.2")
@pytest.mark.parametrize("request_", BARE_LF.values(), ids=BARE_LF)
def test_a_bare_line_feed_hides_no_request(visitor: Visitor, request_: bytes):
    """gunicorn refuses it. Granian's parser takes it for the end of a line, as RFC 9112 §2.2 allows, and so reads the
    same headers in each position: a length after it counts."""
    received = visitor.raw(request_.replace(b"Length: 0", b"Length: %d" % len(NEXT)) + NEXT, patience=0.5)
    assert received.count(b"HTTP/1.1 400") == 1
    assert b'"ok"' not in received


@proves("S-143")
@pytest.mark.parametrize("coding", ["identity, chunked", "gzip, chunked", "identity\r\nTransfer-Encoding: chunked"])
def test_other_codings_are_refused(visitor: Visitor, coding: str):
    """A body may be chunked and nothing else, even where its end is plain."""
    received = visitor.raw(HEAD + f"Transfer-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode() + EMPTY_CHUNK)
    assert received.startswith(b"HTTP/1.1 400")


@proves("S-143")
def test_a_body_that_nobody_reads_is_not_the_next_request(visitor: Visitor):
    """Neither with a length nor in chunks, at an endpoint that takes no body or refuses the method."""
    with_length = b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT
    in_chunks = CHUNKED + b"%x\r\n" % len(NEXT) + NEXT + b"\r\n" + EMPTY_CHUNK
    last = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    closes = visitor.server.kind == "granian"  # after chunks
    for method in (b"PUT /livez", b"GET /api/v1/nowhere"):
        for body in (with_length, in_chunks):
            received = visitor.raw(method + b" HTTP/1.1\r\nHost: x\r\n" + body + last)
            assert b'"ok"' not in received
            assert received.count(b"HTTP/1.1 ") == (1 if closes and body is in_chunks else 2), received


@proves("S-143", "RFC 9112 §6.1")
def test_after_chunks_granian_closes(auth_servers: Pool):
    """Where a Content-Length stood beside them, nobody saw it: the connection ends with the answer."""
    visitor = Visitor(auth_servers.get("granian"))
    for path, method in ((TOKEN, "POST"), ("/nowhere", "POST"), ("/livez", "GET")):
        for length in ("", "Content-Length: 4\r\n"):
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}".encode()
            received = visitor.raw(head + CHUNKED + EMPTY_CHUNK + NEXT)
            assert received.count(b"HTTP/1.1 ") == 1, received
            assert received.lower().count(b"connection: close\r\n") == 1


@proves("S-143", "RFC 9112 §3.2")
@pytest.mark.parametrize(
    "hosts", ["", "Host:\r\n", "Host: x\r\nHost: x\r\n", "Host: x\r\nHost: y\r\n", "Host: x, y\r\n"]
)
@pytest.mark.parametrize("path", ["/livez", TOKEN, "/nowhere"])
def test_there_is_one_host(visitor: Visitor, hosts: str, path: str):
    """None, an empty one, or two: 400."""
    received = visitor.raw(f"GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 400"), received
    assert b'"ok"' not in received


def test_http_1_0_needs_no_host(visitor: Visitor):
    """There it was not known yet."""
    assert b" 200 OK\r\n" in visitor.raw(b"GET /livez HTTP/1.0\r\n\r\n")[:20]


REFUSED = {  # by gunicorn's parser
    "a bad header": (400, b"A b: c\r\n\r\n"),
    "two lengths": (400, b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    "an unknown coding": (400, b"Transfer-Encoding: xchunked\r\n\r\n"),
    "an unknown expectation": (417, b"Expect: miracles\r\n\r\n"),
    "a long header": (431, b"X-A: " + b"a" * 9000 + b"\r\n\r\n"),
    "many headers": (431, b"X-A: b\r\n" * 101 + b"\r\n"),
    "headers without end": (431, (b"X-A: " + b"b" * 8000 + b"\r\n") * 9),
}
JSON = b"application/json; charset=utf-8"
SHAPES = {
    TOKEN: (JSON, b'{"error":"invalid_request","error_description":"'),
    "/api/v1/oauth/nowhere": (JSON, b'{"error":"invalid_request","error_description":"'),
    "/api/v1/session": (JSON, b'{"code":%d,"error":"'),
    "/api/nowhere": (JSON, b'{"code":%d,"error":"'),
    "/api/v1/admin/keys": (b"application/problem+json", b'{"type":"about:blank","title":"'),
    "/": (b"text/html; charset=utf-8", b"<!doctype html>"),
}


@pytest.mark.parametrize(("status", "rest"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("path", SHAPES)
def test_what_cannot_be_read_is_refused_in_the_form_of_its_path(
    auth_servers: Pool, path: str, status: int, rest: bytes
):
    """With the headers that every answer has; of what was sent nothing comes back, nor is it logged."""
    visitor = Visitor(auth_servers.get("gunicorn"))
    received = visitor.raw(f"POST {path}?marked-secret HTTP/1.1\r\nHost: x\r\nX-B: marked-secret\r\n".encode() + rest)
    head, _, body = received.partition(b"\r\n\r\n")
    kind, start = SHAPES[path]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: %b\r\n" % kind in head
    assert body.startswith(start % status if b"%d" in start else start)
    for header in (b"Connection: close", b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store"):
        assert b"\r\n" + header in head
    assert b"gunicorn" not in received
    assert b"marked-secret" not in received
    assert "marked-secret" not in visitor.server.log()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ],
)
def test_a_request_line_that_cannot_be_read_is_counted(auth_servers: Pool, line: bytes, status: int):
    """As an answer at an unknown path, by its method if that is one."""
    visitor = Visitor(auth_servers.get("gunicorn"))
    received = visitor.raw(line)
    assert received.startswith(b"HTTP/1.1 %d " % status), received
    assert received.endswith(b"\r\n\r\n") == line.startswith(b"HEAD")
    method = line[:4].decode().strip() if line[:3] in (b"GET", b"HEA") else "other"
    counted = f'endpoint="unknown",method="{method}",status="{status}"'
    # The other worker's figures come twenty times a second.
    assert any(counted in visitor.call("GET", "/metrics").body.decode() for _ in range(300))


def test_a_chunked_form_is_taken_where_its_end_is_seen(visitor: Visitor):
    """Chunks are an ordinary way to send a form, but Granian does not tell one that broke off from a whole one."""
    client = visitor.client()
    form = f"grant_type=client_credentials&client_id={client.client_id}&client_secret={client.secret}".encode()
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (form[:10], form[10:]))
    received = visitor.raw(HEAD + b"Connection: close\r\n" + CHUNKED + parts + EMPTY_CHUNK)
    granian = visitor.server.kind == "granian"
    assert received.startswith(b"HTTP/1.1 400" if granian else b"HTTP/1.1 200"), received


@proves("S-143", "RFC 9112 §8")
@pytest.mark.parametrize("rest", [b"zz\r\n&scope=sessions\r\n", b"5\r\n&s", b"4\r\n&scope=sessions\r\n"])
def test_a_form_whose_chunks_break_off_is_not_taken_for_a_whole_one(visitor: Visitor, rest: bytes):
    """What was read until then would be a request that nobody made: here a token of more scope."""
    client = visitor.client("sessions metrics")
    form = f"grant_type=client_credentials&client_id={client.client_id}&client_secret={client.secret}".encode()
    begun = HEAD + CHUNKED + b"%x\r\n%b\r\n" % (len(form), form)
    received = visitor.raw(begun + rest, ends=True)
    assert not received or received.startswith(b"HTTP/1.1 400"), received
