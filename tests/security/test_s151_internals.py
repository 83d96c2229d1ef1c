"""What goes wrong inside stays inside: short answers with a request id, whatever the surface."""

import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from auth_server import __version__
from auth_server.errors import Unavailable
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from tests import proves
from tests.sites import Site, site

SECRET = "SELECT password_hash FROM users"


def fail(request: Request, server: Server) -> Response:
    raise KeyError(SECRET)


def lose_the_store(request: Request, server: Server) -> Response:
    raise Unavailable(f"postgresql://user:secret@db/ {SECRET}")


def broken(path: str, surface: Surface, *, lane: bool = False) -> Endpoint:
    operations = (Operation("GET", fail, "Fail"), Operation("POST", lose_the_store, "Lose the store"))
    return Endpoint(path, surface, operations, "Broken", Body.ANY_JSON, lane=lane)


BROKEN = {
    "/api/v1/oauth/broken": Surface.OAUTH,
    "/api/v1/broken": Surface.PHOTOPRISM,
    "/api/v1/admin/broken": Surface.PROBLEM,
    "/broken": Surface.PAGE,
    "/api/v1/broken-lane": Surface.OAUTH,
}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A server with endpoints that fail, one on each surface and one in the lane."""
    endpoints = tuple(broken(path, surface, lane="lane" in path) for path, surface in BROKEN.items())
    return site(tmp_path, lambda: (Feature("broken", (), endpoints=endpoints),))


def assert_short_and_silent(answer: TestResponse) -> None:
    text = answer.text
    assert len(text) < (1200 if answer.mimetype == "text/html" else 400)  # a page is for people
    for word in ("Traceback", "KeyError", "SELECT", "secret@", ".py", "auth_server", __version__, "Werkzeug", "Flask"):
        assert word not in text, word
        assert word not in str(answer.headers), word


@proves("S-151")
@pytest.mark.parametrize("path", BROKEN)
def test_a_bug_shows_a_request_id_and_nothing_else(here: Site, path: str, caplog: pytest.LogCaptureFixture):
    """500 in the form of the surface; the log has the rest under the same id."""
    answer = here.http.get(path)
    assert answer.status_code == 500
    assert_short_and_silent(answer)
    found = re.search(r"request:? (?:<code>)?([0-9a-f]{16})", answer.text)
    assert found is not None
    logged = [record for record in caplog.records if found[1] in record.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info


@proves("S-151")
@pytest.mark.parametrize("path", BROKEN)
def test_a_lost_store_is_told_without_its_name(here: Site, path: str):
    """503 with Retry-After; no URL, no statement."""
    answer = here.http.post(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert_short_and_silent(answer)


@proves("S-151")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/nowhere", 404),
        ("GET", "/api/v1/admin/nowhere", 404),
        ("GET", "/console", 404),
        ("GET", "/?__debugger__=yes&cmd=resource&f=debugger.js", 303),
        ("DELETE", "/api/v1/oauth/token", 405),
        ("TRACE", "/api/v1/oauth/token", 405),
        ("GET", "/api/v1/docs/..%5c..%5csettings.py", 404),
    ],
)
def test_what_is_not_there_says_no_more_than_that(here: Site, method: str, path: str, status: int):
    """Unknown paths, wrong methods, and the places where a debugger would be."""
    answer = here.http.open(path, method=method)
    assert answer.status_code == status
    assert_short_and_silent(answer)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@proves("S-151")
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 30000, b'{"a": NaN}', b'{"a":"\\ud800"}'])
@pytest.mark.parametrize("path", ["/api/v1/oauth/token", "/api/v1/admin/keys/rotate"])
def test_bad_input_is_told_in_short(here: Site, path: str, body: bytes):
    """400 without the parser's words."""
    headers = {"Authorization": f"Bearer {here.token('admin:keys')}"}
    answer = here.http.post(path, data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 400
    assert_short_and_silent(answer)
