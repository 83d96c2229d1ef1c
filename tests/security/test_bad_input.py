"""Input of any kind: the right 4xx in the right form, never a 5xx, and nothing is written."""

import http.client
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import proves
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Answer, Visitor

PATHS = (TOKEN, INTROSPECT, REVOKE, SESSION)
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
GRANT = {"grant_type": "client_credentials"}

NAMES = (
    "grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type", "token",
    "token_type_hint", "username", "password", "code", "resource", "expires_in", "client_name", "",
)  # fmt: skip
VALUES = (
    "client_credentials", "password", "session", "a.b.c", "0" * 48, "0" * 64, "sess00000000", "admin", "*", "\0",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "e30.e30.e30", "-1", "access_token", "ref_id",
)  # fmt: skip
names = st.sampled_from(NAMES) | st.text(max_size=8)
values = st.sampled_from(VALUES) | st.text(max_size=60)
fields = st.lists(st.tuples(names, values), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | values
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner),
    max_leaves=12,
)
types = st.sampled_from(
    [FORM, JSON, "", "multipart/form-data; boundary=x", "multipart/form-data", "text/xml", f"{FORM}; charset=utf-16",
     f"{JSON}; charset=latin1", ";;=", "application/json;", "APPLICATION/JSON"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)  # fmt: skip
header_names = st.sampled_from(
    ["Authorization", "X-Auth-Token", "X-Session-ID", "Origin", "Cookie", "User-Agent", "Content-Encoding", "Forwarded",
     "X-Forwarded-For", "X-Forwarded-Host", "If-None-Match", "Accept", "Range", "Via", "Expect-Not", "DPoP"]
)  # fmt: skip
header_values = st.sampled_from(["Bearer ", "Basic ", "Bearer a b", "Basic " + "Og==", "null", "0" * 48, "for=_;;=,"])
header_values |= st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80)
headers = st.dictionaries(header_names, header_values, max_size=4)


def is_refused_well(path: str, answer: Answer) -> None:
    """Check status and form of an answer to something that cannot be right."""
    assert answer.status in (200, 400, 401, 403, 404, 413, 415, 429, 431), (answer.status, answer.body)
    assert b"Traceback" not in answer.body
    assert answer.status != 200 or path in (REVOKE, INTROSPECT)
    told = answer.json
    if answer.status == 429:
        assert told == {"error": "rate limit exceeded", "code": 429}
        assert int(answer.headers["Retry-After"]) > 0
    elif path == SESSION:
        assert isinstance(told["error"], str)
    elif told == {"code": 400, "error": "Unable to do that"}:  # two tokens that differ
        assert answer.status == 400
    elif answer.status != 200:
        assert set(told) == {"error", "error_description", "code", "message"}
        assert told["error_description"].isascii()
    else:
        assert told == {"active": False} or told["status"] == "deleted"


@pytest.fixture(params=PATHS, ids=["token", "introspect", "revoke", "session"])
def path(request: pytest.FixtureRequest) -> str:
    """One of the endpoints that take bodies from anybody."""
    given_path: str = request.param
    return given_path


def unentitled(visitor: Visitor) -> tuple[str, str]:
    """Return credentials that are right, of a client to which no token is issued."""
    return visitor.client("openid", redirect_uris=("https://app.example/cb",)).basic


@proves("S-001", "S-147")
def test_forms_of_any_kind(visitor: Visitor, path: str):
    """Known and unknown names with odd values, with good credentials and without any."""
    basic = unentitled(visitor)
    stored = visitor.server.stored()

    @given(fields, st.booleans())
    def send(form: list[tuple[str, str]], authenticated: bool) -> None:
        visitor.move()
        is_refused_well(path, visitor.post(path, form, basic=basic if authenticated else None))

    send()
    assert visitor.server.stored() == stored


def test_json_of_any_kind(visitor: Visitor, path: str):
    """Objects, lists, numbers, deep and flat, also what JSON itself does not allow."""
    basic = unentitled(visitor)
    stored = visitor.server.stored()

    @given(documents, st.booleans())
    def send(document: object, authenticated: bool) -> None:
        visitor.move()
        is_refused_well(path, visitor.call("POST", path, json_body=document, basic=basic if authenticated else None))

    send()
    assert visitor.server.stored() == stored


def test_bytes_and_headers_of_any_kind(visitor: Visitor, path: str):
    """Whatever a connection can carry."""
    stored = visitor.server.stored()

    @given(st.binary(max_size=300), types, headers)
    def send(body: bytes, kind: str, more: dict[str, str]) -> None:
        visitor.move()
        answer = visitor.call("POST", path, body=body, headers={**more, "Content-Type": kind})
        if answer.headers.get_content_type() == JSON:
            is_refused_well(path, answer)
        else:
            assert answer.status in (400, 431)  # the web server's own words for a malformed header

    send()
    assert visitor.server.stored() == stored


def test_tokens_of_any_kind(visitor: Visitor):
    """In each header that carries one, at the session and as a bearer of scope."""
    stored = visitor.server.stored()

    @given(st.sampled_from(["Authorization", "X-Auth-Token", "X-Session-ID"]), header_values)
    def send(name: str, value: str) -> None:
        visitor.move()
        value = f"Bearer {value}" if name == "Authorization" else value
        for path in (SESSION, "/api/v1/metrics", "/api/v1/admin/keys"):
            answer = visitor.call("GET", path, headers={name: value})
            assert answer.status in (400, 401), answer.body

    send()
    assert visitor.server.stored() == stored


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=60))
def test_paths_of_any_kind(auth_servers, path: str):
    """A path that nobody has is 404 in the form of its neighbours."""
    for kind in ("gunicorn", "granian"):
        answer = Visitor(auth_servers.get(kind)).call("GET", f"/api/v1/no/{path}")
        assert answer.status in (400, 404)


@pytest.mark.parametrize("size", [65537, 500_000])
def test_a_body_that_is_too_long(visitor: Visitor, path: str, size: int):
    """413, with a length and in chunks; what is just short enough is read."""
    basic = visitor.client().basic
    answer = visitor.call("POST", path, body=b"x" * size, headers={"Content-Type": FORM}, basic=basic)
    assert answer.status == 413
    assert answer.json["code"] == 413
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    received = visitor.raw(head + chunk, patience=0.2)
    refused = b"HTTP/1.1 400" if visitor.server.kind == "granian" else b"HTTP/1.1 413"  # there none comes in chunks
    assert not received or received.startswith(refused), received  # a server that hangs up may be heard no more
    short = visitor.call("POST", path, body=b"x=" + b"x" * 65534, headers={"Content-Type": FORM}, basic=basic)
    assert short.status in (400, 401)


def test_too_many_fields(visitor: Visitor, path: str):
    """10,000 of them, and 101: 400; nothing is parsed for long."""
    basic = visitor.client("introspect").basic
    for number in (101, 10_000):
        began = time.monotonic()
        answer = visitor.post(path, [(f"p{i}", "x") for i in range(number)], basic=basic)
        assert answer.status in (400, 413)
        assert time.monotonic() - began < 1


@proves("S-141")
def test_multipart_made_to_cost(visitor: Visitor, path: str):
    """As many parts as fit, runs of line ends, a part without an end: refused in under a second."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    many = b"".join(b"--x\r\nContent-Disposition:form-data;name=%d\r\n\r\n\r\n" % i for i in range(1200))
    for body in (
        many + b"--x--",
        b"--x\r\n" * 10_000,
        b"\r\n" * 30_000,
        part + b"\r\n-" * 15_000,
        b"--x" + b"\r" * 60_000,
    ):
        began = time.monotonic()
        answer = visitor.call("POST", path, body=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert answer.status in (400, 401, 415)
        assert time.monotonic() - began < 1


@proves("S-141")
@pytest.mark.parametrize("text", ["a" * 60_000, "a " * 30_000, "a:" * 30_000, "é" * 10_000, " " * 60_000, "*" * 60_000])
def test_long_values_cost_nothing(visitor: Visitor, text: str):
    """A scope, a token or a client_id made for backtracking is answered in under 100 ms."""
    client = visitor.client("introspect")
    for path, form in (
        (TOKEN, {**GRANT, "scope": text}), (INTROSPECT, {"token": text}), (REVOKE, {"token": text}),
        (TOKEN, {**GRANT, "client_id": text}),
    ):  # fmt: skip
        times = []
        for _ in range(3):
            began = time.monotonic()
            answer = visitor.post(path, form, basic=client.basic)
            times.append(time.monotonic() - began)
            assert answer.status in (200, 400, 413)
        assert min(times) < 0.1


@pytest.mark.parametrize("body", [b"[" * 50000, b'{"a":' * 10000, b'{"token":' + b"[" * 20000 + b"]" * 20000 + b"}"])
def test_deep_json(visitor: Visitor, path: str, body: bytes):
    """400 without a stack that overflows."""
    answer = visitor.call("POST", path, body=body, headers={"Content-Type": JSON}, basic=visitor.client().basic)
    assert answer.status in (400, 415)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x", "identity, gzip"])
def test_a_compressed_body(visitor: Visitor, path: str, coding: str):
    """415: nothing is unpacked."""
    headers = {"Content-Type": FORM, "Content-Encoding": coding}
    assert visitor.call("POST", path, body=b"\x1f\x8b", headers=headers).status == 415


@pytest.mark.parametrize("where", ["Authorization", "X-Auth-Token", "X-Filler"])
def test_a_header_that_is_too_long(visitor: Visitor, path: str, where: str):
    """431 or 400 above 8 KiB."""
    for length in (8200, 40_000):
        answer = visitor.call("POST", path, body=b"", headers={where: "x" * length})
        assert answer.status in (400, 431)


def test_too_many_headers(visitor: Visitor, path: str):
    """More than 100: 431 or 400."""
    answer = visitor.call("POST", path, body=b"", headers={f"X-{i}": "x" for i in range(101)})
    assert answer.status in (400, 431)


def test_null_characters(visitor: Visitor, path: str):
    """In a name or a value, in a form, in JSON, percent-encoded or not."""
    client = visitor.client("introspect")
    stored = visitor.server.stored()
    for body in (b"token=\0&grant_type=client_credentials", b"token=%00&grant_type=client_credentials&scope=a%00"):
        answer = visitor.call("POST", path, body=body, headers={"Content-Type": FORM}, basic=client.basic)
        assert answer.status in (400, 401)
    text = json.dumps({**GRANT, "scope": "a\0", "username": "admin\0", "password": "\0" * 9}).encode()
    answer = visitor.call("POST", path, body=text, headers={"Content-Type": JSON}, basic=client.basic)
    assert answer.status in (400, 401, 415)
    assert visitor.server.stored() == stored


def test_a_body_that_ends_early(visitor: Visitor, path: str):
    """The peer hangs up half-way: no request, no token, and the server goes on."""
    stored = visitor.server.stored()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 90\r\n\r\n".encode()
    assert not visitor.raw(head + b"grant_type=client_credentials", patience=0.1).startswith(b"HTTP/1.1 5")
    assert visitor.call("GET", "/livez").status == 200
    assert visitor.server.stored() == stored


def test_only_our_own_words_are_in_errors(visitor: Visitor, path: str):
    """What was sent is not echoed, so that no answer carries a script or a secret."""
    marker = "<script>alert(1)</script>"
    form = {"grant_type": marker, "token": "", "client_id": marker, "username": marker, "scope": marker}
    answers = [
        visitor.post(path, form),
        visitor.call("POST", path, json_body=form),
        visitor.call("POST", path, headers={"Content-Type": marker}, body=b"x"),
        visitor.call(marker.upper()[1:7], path),
        visitor.call("GET", f"{path}/{marker}".replace(" ", "")),
    ]
    assert not [answer for answer in answers if b"<script" in answer.body.lower()]
    assert {type(answer.headers) for answer in answers} == {http.client.HTTPMessage}
