"""A page of a client on another site that posts its requests, in Chromium."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from auth_server.store.records import User
from tests import proves
from tests.browser.test_pages import press, sign_in
from tests.relying_party import AUTHORIZE, TOKEN
from tests.servers.visitors import Registered, Visitor

pytestmark = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
LOGOUT = "/api/v1/oauth/logout"
POST = """([address, fields]) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = address;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement('input');
        input.name = name;
        input.value = value;
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""


class Empty(BaseHTTPRequestHandler):
    """A page of the client."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Client</title><body>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another site than ours, for a browser."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/back"
        server.shutdown()
        thread.join()


@pytest.fixture
def jane(visitor: Visitor) -> User:
    """Somebody to sign in."""
    return visitor.user()


@pytest.fixture
def client(visitor: Visitor, elsewhere: str) -> Registered:
    """A client that sends no PKCE, as the certification tests do."""
    return visitor.client("openid", redirect_uris=(elsewhere,), post_logout_redirect_uris=(elsewhere,))


def post(page: Page, address: str, elsewhere: str, **fields: str) -> None:
    """Let the client's page post a form."""
    page.goto(elsewhere)
    page.evaluate(POST, [address, fields])


def arrived(page: Page, elsewhere: str) -> dict[str, list[str]]:
    """Return what the client is told."""
    page.wait_for_url(f"{elsewhere}?**")
    return parse_qs(urlsplit(page.url).query)


@proves("S-092", "OIDC Core §3.1.2.1", "RP-Initiated Logout §2")
def test_a_posted_request_finds_the_person_signed_in(
    page: Page, visitor: Visitor, client: Registered, elsewhere: str, jane: User
):
    """A browser sends no cookie with such forms; the person is known all the same, stays signed in, and signs out."""
    authorize, logout = (f"{visitor.server.issuer}{path}" for path in (AUTHORIZE, LOGOUT))
    asked = {"client_id": client.client_id, "redirect_uri": elsewhere, "response_type": "code", "scope": "openid"}
    post(page, authorize, elsewhere, **asked)
    sign_in(page, jane.name)
    press(page, "Allow")
    code = arrived(page, elsewhere)["code"][0]
    post(page, authorize, elsewhere, **asked)
    assert "code" in arrived(page, elsewhere)
    post(page, authorize, elsewhere, **asked, prompt="none")
    assert "code" in arrived(page, elsewhere)
    page.goto(f"{visitor.server.issuer}/account/")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": elsewhere}
    hint = visitor.post(TOKEN, form, basic=client.basic).json["id_token"]
    post(page, logout, elsewhere, id_token_hint=hint, post_logout_redirect_uri=elsewhere, state="s")
    assert arrived(page, elsewhere)["state"] == ["s"]
    post(page, authorize, elsewhere, **asked, prompt="none")
    assert arrived(page, elsewhere)["error"] == ["login_required"]
