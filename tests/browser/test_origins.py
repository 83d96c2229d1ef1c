"""A page of another origin in a real browser: what it can read of this server, and what stays closed."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page

from tests import proves
from tests.people import PASSWORD, SESSION, join
from tests.sites import Site

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return {status: answer.status, body: await answer.json(), etag: answer.headers.get('ETag'),
                challenge: answer.headers.get('WWW-Authenticate')};
    } catch (error) {
        return {refused: String(error)};
    }
}"""


class Blank(BaseHTTPRequestHandler):
    """A page with nothing on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def register(here: Site, origin: str) -> str:
    """Make a public client whose pages are there; return its id."""
    values = {"client_name": "app", "token_endpoint_auth_method": "none", "redirect_uris": [f"{origin}/back"]}
    return here.server.clients.add(values).client.client_id


def fetch(page: Page, here: Site, path: str, **options: Any) -> dict[str, Any]:
    """Let the page ask."""
    found: dict[str, Any] = page.evaluate(FETCH, [f"{here.server.issuer}{path}", options])
    return found


@proves("S-148")
def test_a_registered_page_signs_in_and_out(page: Page, here: Site, elsewhere: str):
    """With a preflight for JSON and for each header that carries a token; errors can be read too."""
    join(here)
    register(here, elsewhere)
    page.goto(elsewhere)
    kind = {"Content-Type": "application/json"}
    body = f'{{"username": "jane", "password": "{PASSWORD}"}}'
    opened = fetch(page, here, SESSION, method="POST", headers=kind, body=body)
    assert opened["status"] == 200, opened
    token = opened["body"]["access_token"]
    for header in ({"X-Auth-Token": token}, {"Authorization": f"Bearer {token}"}, {"X-Session-ID": token}):
        assert fetch(page, here, SESSION, headers=header)["body"]["user"]["Name"] == "jane"
        assert fetch(page, here, "/api/v1/config", headers=header)["body"]["mode"] == "user"
    assert fetch(page, here, "/api/v1/status")["body"] == {"status": "operational"}
    named = f"{SESSION}/{opened['body']['session_id']}"
    assert fetch(page, here, named, method="DELETE", headers={"X-Auth-Token": token})["status"] == 200
    over = fetch(page, here, SESSION, headers={"X-Auth-Token": token})
    assert (over["status"], over["challenge"]) == (401, 'Bearer realm="auth-server"')


@proves("S-148")
def test_a_registered_page_uses_the_token_endpoint(page: Page, here: Site, elsewhere: str):
    """Its errors can be read."""
    client_id = register(here, elsewhere)
    page.goto(elsewhere)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = fetch(page, here, "/api/v1/oauth/token", method="POST", headers=form, body=f"client_id={client_id}")
    assert (answer["status"], answer["body"]["error"]) == (400, "invalid_request")


@proves("S-148")
def test_a_strange_page_reads_nothing(page: Page, here: Site, elsewhere: str):
    """But what everybody may read: discovery and keys."""
    page.goto(elsewhere)
    for path in (SESSION, "/api/v1/config", "/api/v1/status", "/api/v1/oauth/token"):
        assert "refused" in fetch(page, here, path), path
        assert "refused" in fetch(page, here, path, method="POST", headers={"X-Auth-Token": "0" * 48}), path
    for path in ("/.well-known/openid-configuration", "/.well-known/jwks.json"):
        answer = fetch(page, here, path)
        assert answer["status"] == 200
        assert answer["etag"]


@proves("S-148")
def test_never_with_credentials(page: Page, here: Site, elsewhere: str):
    """A registered page that asks for cookies to be sent along can read nothing."""
    register(here, elsewhere)
    page.goto(elsewhere)
    assert fetch(page, here, "/api/v1/status")["status"] == 200
    assert "refused" in fetch(page, here, "/api/v1/status", credentials="include")
    assert "refused" in fetch(page, here, "/.well-known/jwks.json", credentials="include")


@proves("S-148")
def test_a_page_without_an_origin_reads_nothing(page: Page, here: Site, elsewhere: str):
    """A frame in a sandbox says `null`, which no registration makes good."""
    register(here, elsewhere)
    page.goto(elsewhere)
    page.evaluate(
        "() => { const frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts';"
        " frame.srcdoc = '<title>x</title>'; document.body.append(frame) }"
    )
    page.wait_for_function("window.frames.length === 1")
    frame = page.frames[1]
    frame.wait_for_load_state()
    assert frame.evaluate("self.origin") == "null"
    for path in ("/api/v1/status", SESSION):
        assert "refused" in frame.evaluate(FETCH, [f"{here.server.issuer}{path}", {}])
    assert frame.evaluate(FETCH, [f"{here.server.issuer}/.well-known/jwks.json", {}])["status"] == 200
