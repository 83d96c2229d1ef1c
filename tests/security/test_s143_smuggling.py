"""Requests whose end two programs could see at different places."""

import pytest

from tests import proves
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
    for method in (b"PUT /livez", b"GET /api/v1/nowhere"):
        for body in (with_length, in_chunks):
            received = visitor.raw(method + b" HTTP/1.1\r\nHost: x\r\n" + body + last)
            assert b'"ok"' not in received
            assert received.count(b"HTTP/1.1 ") == 2, received


def test_a_chunked_form_is_taken(visitor: Visitor):
    """Chunks are an ordinary way to send a form."""
    client = visitor.client()
    form = f"grant_type=client_credentials&client_id={client.client_id}&client_secret={client.secret}".encode()
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (form[:10], form[10:]))
    received = visitor.raw(HEAD + b"Connection: close\r\n" + CHUNKED + parts + EMPTY_CHUNK)
    assert received.startswith(b"HTTP/1.1 200"), received
