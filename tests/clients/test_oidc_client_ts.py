"""oidc-client-ts in Chromium: the single page of docs/how-to/sign-in.md, on another origin than ours."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import proves
from tests.browser.test_pages import press, sign_in
from tests.servers.auth_server import ROOT, AuthServer
from tests.servers.packages import javascript
from tests.servers.visitors import Visitor
from tools.docs.blocks import blocks

pytestmark = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
HOW_TO = ROOT / "docs/how-to/sign-in.md"
ISSUER, CLIENT_ID = "http://127.0.0.1:2342", "ct0p5q8m1xw4z7kb"
"""What stands for ours on the page."""


class Files(SimpleHTTPRequestHandler):
    """Sends files of a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write(folder: Path, live: AuthServer, origin: str) -> None:
    """Register the application, and write its page and its library into a folder."""
    client = Visitor(live).client(
        "openid profile offline_access",
        client_name="Single page",
        token_endpoint_auth_method="none",
        redirect_uris=(f"{origin}/",),
        post_logout_redirect_uris=(f"{origin}/",),
        grant_types=("authorization_code", "refresh_token"),
    )
    (shown,) = [part.text for part in blocks(HOW_TO.read_text()) if part.language == "html"]
    assert ISSUER in shown
    assert CLIENT_ID in shown
    (folder / "index.html").write_text(shown.replace(ISSUER, live.issuer).replace(CLIENT_ID, client.client_id))
    library = javascript() / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"
    (folder / library.name).write_bytes(library.read_bytes())


@pytest.fixture
def single_page(live: AuthServer, tmp_path: Path) -> Iterator[str]:
    """Its origin: to a browser another site than ours."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path))) as server:
        origin = f"http://localhost:{server.server_port}"
        write(tmp_path, live, origin)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield origin
        server.shutdown()
        thread.join()


def kept(page: Page) -> dict[str, Any]:
    """Return what the library has kept of the person."""
    found: dict[str, Any] = page.evaluate("people.getUser()")
    return found


@proves("S-148", "S-038")
def test_a_person_signs_in_stays_and_signs_out(single_page: str, page: Page, visitor: Visitor):
    """Discovery, keys, token endpoint and userinfo over CORS; renewal by refresh token; logout, and nobody is there."""
    jane = visitor.user(display_name="Jane Doe")
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(single_page)
    press(page, "Sign in")
    sign_in(page, jane.name)
    press(page, "Allow")
    heading = page.get_by_role("heading")
    expect(heading).to_have_text("Hello, Jane Doe")
    first = kept(page)
    assert (first["profile"]["sub"], first["profile"]["preferred_username"]) == (jane.uid, jane.name)
    with page.expect_response(lambda answer: answer.url.endswith("/userinfo")) as renewed:
        press(page, "Renew")
    assert renewed.value.status == 200
    page.wait_for_function(
        "old => people.getUser().then(user => user.refresh_token !== old)", arg=first["refresh_token"]
    )
    assert kept(page)["access_token"] != first["access_token"]
    page.reload()
    expect(heading).to_have_text("Hello, Jane Doe")
    press(page, "Sign out")
    page.wait_for_url(f"{single_page}/**")
    expect(heading).to_have_text("Nobody is signed in")
    press(page, "Sign in")
    expect(page.get_by_label("User name")).to_be_visible()
    assert failed == []


@proves("S-148")
def test_a_page_of_another_origin_gets_nothing_for_it(single_page: str, page: Page, visitor: Visitor, live: AuthServer):
    """The token that this page has is of no use to a page that nobody has registered."""
    client = visitor.client("openid", token_endpoint_auth_method="none", redirect_uris=("https://app.example.org/",))
    token = visitor.openid_token(visitor.user(), client)
    page.goto(single_page.replace("localhost", "127.0.0.1"))
    asked = (
        "([url, token]) => fetch(url, {headers: {Authorization: `Bearer ${token}`}})"
        ".then(answer => answer.status, () => 'refused')"
    )
    assert page.evaluate(asked, [f"{live.issuer}/api/v1/oauth/userinfo", token]) == "refused"
    page.goto(single_page)
    assert page.evaluate(asked, [f"{live.issuer}/api/v1/oauth/userinfo", token]) == 200
