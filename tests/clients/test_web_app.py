"""The example of a web application, which signs people in with Authlib."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_pages import press, sign_in
from tests.clients.web_app import FOLDER, running_web_app
from tests.servers.auth_server import AuthServer, free_port
from tests.servers.visitors import Visitor

pytestmark = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)


@pytest.fixture
def web_app(live: AuthServer) -> Iterator[str]:
    """The application, running; where it is."""
    address = f"http://127.0.0.1:{free_port()}"
    client = Visitor(live).client(
        "openid profile email",
        client_name="Web app",
        redirect_uris=(f"{address}/callback",),
        post_logout_redirect_uris=(f"{address}/",),
    )
    with running_web_app(address, live.issuer, client.client_id, client.secret):
        yield address


def test_a_person_signs_in_and_out(web_app: str, page: Page, visitor: Visitor):
    """The application greets them by what userinfo tells; after the logout they must sign in again."""
    person = visitor.user(display_name="Jane Doe", email="jane@example.org")
    page.goto(web_app)
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, person.name)
    press(page, "Allow")
    expect(page.get_by_role("heading")).to_have_text("Hello, Jane Doe")
    expect(page.get_by_text("jane@example.org")).to_be_visible()
    press(page, "Sign out")
    expect(page.get_by_role("heading")).to_have_text("Welcome")
    assert page.url.startswith(f"{web_app}/?state=")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("User name")).to_be_visible()


def test_a_person_says_no(web_app: str, page: Page, visitor: Visitor):
    """The application tells it, and nobody is signed in there."""
    page.goto(f"{web_app}/login")
    sign_in(page, visitor.user().name)
    press(page, "Do not allow")
    expect(page.get_by_text("You were not signed in")).to_be_visible()


def test_an_answer_that_nobody_asked_for_is_refused(web_app: str, page: Page, live: AuthServer):
    """Whoever plants a link signs nobody in."""
    answer = page.goto(f"{web_app}/callback?code=x&state=y&iss={live.issuer}")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_text("You were not signed in")).to_be_visible()


def test_the_whole_application_has_at_most_forty_lines(live: AuthServer):
    """Blank lines and all."""
    assert len((FOLDER / "app.py").read_text().splitlines()) <= 40
