"""When a request has arrived whole: exactly where gunicorn's parser, which decides, sees its end."""

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from auth_server.http.arrival import LONGEST_HEAD, Arrival

LONGEST = 100
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = {
    "no body": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty line before": b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length": HEAD + b"Content-Length: 5\r\n\r\nhello",
    "a length in another case": HEAD + b"CONTENT-LENGTH:\t5 \r\n\r\nhello",
    "a length of nothing": HEAD + b"content-length:0\r\n\r\n",
    "the end of a head in the body": HEAD + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
    "a length in another header": HEAD + b"X-Content-Length: 50\r\nContent-Length: 1\r\n\r\nh",
    "chunks": CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    "a chunk that looks like the last": CHUNKED + b"9\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n",
    "a hex size and an extension": CHUNKED + b"00a;x=y\r\n0123456789\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "no chunks": CHUNKED + b"0\r\n\r\n",
}


def left_by_the_parser(data: bytes) -> bytes:
    """Let gunicorn read one request, with its body; return what it leaves."""
    arrival = Arrival(LONGEST)
    arrival.add(data)
    parser = RequestParser(Config(), (), ("127.0.0.1", 1))
    parser.unreader = arrival
    next(parser).body.read()
    assert not arrival.ran_dry
    return arrival.data


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE)
def test_a_request_is_whole_at_its_last_byte(request_: bytes):
    """Byte by byte; and gunicorn's parser needs all of it, and no more."""
    arrival = Arrival(LONGEST)
    seen = []
    for at in range(len(request_)):
        arrival.add(request_[at : at + 1])
        seen.append(arrival.is_whole())
    assert seen == [False] * (len(request_) - 1) + [True]
    assert left_by_the_parser(request_ + NEXT) == NEXT


@given(st.lists(st.sampled_from([*WHOLE.values()]), min_size=1, max_size=4), st.lists(st.integers(1, 60), max_size=40))
def test_requests_in_any_pieces_are_the_same_requests(requests: list[bytes], sizes: list[int]):
    """However the network cuts them."""
    stream, arrival, found = b"".join(requests), Arrival(LONGEST), 0
    for size in [*sizes, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        arrival.add(piece)
        while arrival.data and arrival.is_whole():
            assert arrival.data.startswith(requests[found])
            arrival.data = arrival.data[len(requests[found]) :]
            arrival.next_request()
            found += 1
    assert found == len(requests)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: x\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /" + b"a" * LONGEST_HEAD,
        HEAD + b"Content-Length: 101\r\n\r\n",
        HEAD + b"Content-Length: +5\r\n\r\n",
        HEAD + b"Content-Length: 5, 5\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"0\n\nGET / HTTP/1.1\r\n",
    ],
)
def test_what_will_be_refused_need_not_arrive(data: bytes):
    """The parser, or the endpoint, says no at once."""
    arrival = Arrival(LONGEST)
    arrival.add(data)
    assert arrival.is_whole()


def test_a_body_in_chunks_has_a_limit():
    """In what it holds and in what it takes to say so."""
    for more in (b"65\r\n", b"1;" + b"x" * 3000 + b"\r\nx\r\n"):
        arrival = Arrival(LONGEST)
        arrival.add(CHUNKED)
        for _ in range(100):
            arrival.add(more)
            assert not arrival.is_whole()
            if arrival.is_too_long:
                break
        assert arrival.is_too_long
