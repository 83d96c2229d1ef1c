"""The pages in a real browser, as a person meets them: with and without scripts, light and dark, wide and narrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests import proves
from tests.browser.test_origins import Blank
from tests.browser.test_swagger import Watch
from tests.people import PASSWORD, join
from tests.relying_party import AUTHORIZE, RelyingParty, relying_party
from tests.sites import Site

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@contextmanager
def clients_page() -> Iterator[str]:
    """Serve what a client has at its redirect URI."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/back"
        server.shutdown()
        thread.join()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Where the client is."""
    with clients_page() as address:
        yield address


@pytest.fixture
def party(here: Site, elsewhere: str) -> RelyingParty:
    """A client that jane knows."""
    join(here)
    return relying_party(here, redirect_uris=(elsewhere,), client_name="Album")


def link(party: RelyingParty, elsewhere: str, **parameters: str) -> str:
    """Return the address that the client sends people to."""
    asked = party.request(redirect_uri=elsewhere, scope="openid profile email offline_access", **parameters)
    return f"{party.here.server.issuer}{AUTHORIZE}?{urlencode(asked)}"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def sign_in(page: Page, name: str = "jane") -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Sign in")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_signs_in_and_comes_back(browser: Browser, party: RelyingParty, elsewhere: str, scripts: bool):
    """Login, a mistake, consent, and the client has its code; the policy has nothing to complain about."""
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    watch = Watch(page)
    page.goto(link(party, elsewhere))
    page.get_by_label("User name").fill("jane")
    page.get_by_label("Password").fill("wrong-wrong")
    press(page, "Sign in")
    expect(page.get_by_role("alert")).to_contain_text("User name or password is wrong")
    expect(page.get_by_label("Password")).to_be_focused()
    sign_in(page)
    expect(page.get_by_role("heading")).to_have_text("Allow access for Album?")
    press(page, "Allow")
    page.wait_for_url(f"{elsewhere}?**")
    told = parse_qs(urlsplit(page.url).query)
    assert party.redeem(told["code"][0], redirect_uri=elsewhere).status_code == 200
    context.close()
    assert watch.hosts == {urlsplit(party.here.server.issuer).netloc, urlsplit(elsewhere).netloc}
    assert [text for text in watch.complaints if "401" not in text] == []


def test_the_keyboard_is_enough(page: Page, party: RelyingParty, elsewhere: str):
    """The first field has the focus, and the order of the others is that of the page."""
    page.goto(link(party, elsewhere))
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("jane")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading")).to_have_text("Allow access for Album?")
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Allow", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{elsewhere}?**")


@proves("S-025")
def test_a_page_of_somebody_else_shows_none_of_ours(page: Page, party: RelyingParty, elsewhere: str):
    """The frame stays empty."""
    page.goto(elsewhere)
    issuer = party.here.server.issuer
    page.evaluate(
        "(address) => { const frame = document.createElement('iframe'); frame.src = address;"
        " document.body.append(frame); return new Promise((done) => { frame.onload = done }) }",
        f"{issuer}/login",
    )
    assert not page.frames[1].url.startswith(issuer)


def arrive(page: Page, heading: str, alert: str = "") -> str:
    """Wait for a page, and return its name."""
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    if alert:
        expect(page.get_by_role("alert")).to_contain_text(alert)
    page.wait_for_load_state()
    return f"{heading} {alert}"


def every_page(page: Page, party: RelyingParty, elsewhere: str) -> Iterator[str]:
    """Go from page to page, and name each."""
    here, issuer = party.here, party.here.server.issuer
    join(here, "bob")
    television = relying_party(here, client_name="TV", redirect_uris=(), grant_types=(DEVICE,), scope="openid photos")
    page.goto(link(party, elsewhere))
    yield arrive(page, "Sign in")
    sign_in(page, "nobody")
    yield arrive(page, "Sign in", "wrong")
    sign_in(page)
    yield arrive(page, "Allow access for Album?")
    press(page, "Allow")
    page.wait_for_url(f"{elsewhere}?**")
    page.goto(f"{issuer}/login")
    sign_in(page, "bob")
    arrive(page, "Your account")
    page.goto(link(party, elsewhere, prompt="select_account"))
    yield arrive(page, "Choose an account")
    page.get_by_role("button", name="jane").click()
    page.wait_for_url(f"{elsewhere}?**")
    page.goto(f"{issuer}/account/")
    yield arrive(page, "Your account")
    here.clock.advance(400)
    page.goto(f"{issuer}/change-password")
    page.get_by_label("Current password").fill("wrong-wrong")
    page.get_by_label("New password", exact=True).fill("five grey herons")
    page.get_by_label("Repeat the new password").fill("five grey herons")
    press(page, "Save the new password")
    yield arrive(page, "Set a new password", "not your current password")
    page.goto(f"{issuer}/device")
    yield arrive(page, "Connect a device")
    begin, at_home = "/api/v1/oauth/device_authorization", {"REMOTE_ADDR": "198.51.100.9"}
    own = (television.client_id, television.secret or "")
    told: Any = here.http.post(begin, auth=own, environ_base=at_home).json
    page.get_by_label("Code on the device's screen").fill(told["user_code"])
    press(page, "Continue")
    yield arrive(page, "Connect TV?")
    press(page, "Allow")
    yield arrive(page, "TV is connected")
    page.goto(f"{issuer}/nowhere")
    yield arrive(page, "Page not found")
    page.goto(f"{issuer}/logout")
    yield arrive(page, "Sign out?")
    press(page, "Sign out")
    yield arrive(page, "You are signed out")


def test_a_phone_shows_the_accounts_buttons_below_each_other(page: Page, party: RelyingParty):
    """Each on one line: beside each other there is no room for their words."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{party.here.server.issuer}/account/")
    sign_in(page)
    boxes = [page.get_by_role("link", name=name, exact=True).bounding_box() for name in ("Change password", "Sign out")]
    first, second = (box for box in boxes if box is not None)
    assert first["x"] == second["x"]
    assert first["height"] == second["height"] < 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_every_page(browser: Browser, party: RelyingParty, elsewhere: str, scheme: Any):
    """By the rules of axe (names, labels, contrast, order); and on a phone nobody scrolls sideways."""
    context = browser.new_context(viewport=WIDE, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    watch = Watch(page)
    told = []
    for name in every_page(page, party, elsewhere):
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            width = page.evaluate("document.documentElement.scrollWidth")
            told += [f"{name}: {width} wide at {size['width']}"] if width > size["width"] else []
        # What axe itself adds to the page is not the page's.
        told += [
            f"{name}: {found['id']} {found['nodes'][0]['html']}" for found in Axe().run(page).response["violations"]
        ]
        page.set_viewport_size(WIDE)
    context.close()
    assert told == []
    assert [text for text in watch.complaints if "status of 40" not in text] == []
