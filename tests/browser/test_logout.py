"""Logout in a real browser: what clients' pages on other origins notice of it, and where the person ends up."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from tests import proves
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.test_pages import press, sign_in
from tests.browser.test_swagger import Watch
from tests.people import join
from tests.relying_party import AUTHORIZE, RelyingParty, relying_party
from tests.servers import certificates
from tests.servers.auth_server import free_port
from tests.sites import Site, site

LOGOUT, CHECK = "/api/v1/oauth/logout", "/api/v1/oauth/check_session"
# Loads the frame once, asks it, and returns what it says and whose answer it is.
ASK = """async ([address, message]) => {
    if (!window.frame) {
        window.frame = document.createElement('iframe');
        const loaded = new Promise((done) => { window.frame.onload = done });
        window.frame.src = address;
        document.body.append(window.frame);
        await loaded;
    }
    const told = new Promise((done) => addEventListener('message', (event) => done([event.data, event.origin]),
                                                        {once: true}));
    window.frame.contentWindow.postMessage(message, new URL(address).origin);
    return await told;
}"""


class Pages:
    """A client's pages; it notes what was asked for."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>Album</title><body>Album")

            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self.origin = f"http://{host}:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Pages":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def frames(self) -> list[str]:
        """Return what was loaded to sign out."""
        return [path for path in self.asked if path.startswith("/gone")]


@pytest.fixture
def album() -> Iterator[Pages]:
    with Pages() as pages:
        yield pages


def registered(here: Site, pages: Pages, name: str = "Album", **metadata: Any) -> RelyingParty:
    """Register the client whose pages these are; nobody is asked for consent."""
    values = {"redirect_uris": (f"{pages.origin}/back",), "post_logout_redirect_uris": (f"{pages.origin}/bye",)}
    return relying_party(here, client_name=name, first_party=True, metadata=metadata, **values)


def go(page: Page, party: RelyingParty, pages: Pages) -> dict[str, str]:
    """Send the browser to the server, and return what the client is told; the person signs in if they must."""
    back = f"{pages.origin}/back"
    page.goto(f"{party.here.server.issuer}{AUTHORIZE}?{urlencode(party.request(redirect_uri=back))}")
    if page.get_by_label("User name").is_visible():
        sign_in(page)
    page.wait_for_url(f"{back}?**")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def log_out(page: Page, party: RelyingParty, pages: Pages, **parameters: str) -> None:
    asked = {"client_id": party.client_id, "post_logout_redirect_uri": f"{pages.origin}/bye", **parameters}
    page.goto(f"{party.here.server.issuer}{LOGOUT}?{urlencode(asked)}")
    press(page, "Sign out")


def ask(page: Page, here: Site, message: Any) -> str:
    """Return what the frame says; it is its own answer."""
    said, origin = page.evaluate(ASK, [f"{here.server.issuer}{CHECK}", message])
    assert origin == here.server.issuer
    return str(said)


def check_what_the_frame_says(context: BrowserContext, here: Site, pages: Pages) -> None:
    """While the person is signed in, and after a logout in another tab."""
    join(here)
    party, page = registered(here, pages), context.new_page()
    watch = Watch(page)
    state = go(page, party, pages)["session_state"]
    assert ask(page, here, f"{party.client_id} {state}") == "unchanged"
    assert ask(page, here, f"another {state}") == "changed"
    for wrong in ("", "x", party.client_id, f"{party.client_id} {state[:64]}", {"a": 1}, f" {state}"):
        assert ask(page, here, wrong) == "error"
    with Pages() as elsewhere:
        stranger = context.new_page()
        stranger.goto(elsewhere.origin)
        assert ask(stranger, here, f"{party.client_id} {state}") == "changed"
    other = context.new_page()
    go(other, party, pages)
    assert ask(page, here, f"{party.client_id} {state}") == "unchanged"
    log_out(other, party, pages)
    other.wait_for_url(f"{pages.origin}/bye")
    assert ask(page, here, f"{party.client_id} {state}") == "changed"
    context.clear_cookies()
    assert ask(page, here, f"{party.client_id} {state}") == "error"  # as where the browser keeps it from frames
    assert watch.complaints == []


@proves("S-097", "OpenID Connect Session Management §3.2")
def test_a_page_notices_the_logout(browser: Browser, here: Site, album: Pages):
    """Of a server without https, as on one's own machine."""
    context = browser.new_context()
    check_what_the_frame_says(context, here, album)
    context.close()


@contextmanager
def listening_by_https(folder: Path) -> Iterator[Site]:
    """Serve a site whose issuer is another site than the clients' pages, in the browser's eyes."""
    port = free_port()
    made = site(folder, issuer=f"https://localhost:{port}")
    chain, key = certificates.make(folder)  # for another name, which the browser is told to bear
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    http = make_server("127.0.0.1", port, made.application, threaded=True, ssl_context=context)
    thread = Thread(target=http.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        http.shutdown()
        thread.join()


def test_a_page_of_another_site_notices_it_too(browser: Browser, tmp_path: Path, album: Pages):
    """By https, where the person has allowed frames their cookies."""
    preferences = tmp_path / "profile" / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text('{"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": false}}')
    with listening_by_https(tmp_path) as here:
        started = browser.browser_type.launch_persistent_context(
            tmp_path / "profile", executable_path=CHROMIUM, args=FLAGS, ignore_https_errors=True
        )
        check_what_the_frame_says(started, here, album)
        started.close()


def test_a_browser_may_keep_the_cookie_from_frames(browser: Browser, tmp_path: Path, album: Pages):
    """Then nothing is said that would sign a person out: this one does so where nobody has allowed it."""
    with listening_by_https(tmp_path) as here:
        context = browser.new_context(ignore_https_errors=True)
        join(here)
        party, page = registered(here, album), context.new_page()
        state = go(page, party, album)["session_state"]
        assert ask(page, here, f"{party.client_id} {state}") == "error"
        context.close()


@proves("S-097")
@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_each_client_loads_its_page_and_then_it_goes_on(browser: Browser, here: Site, album: Pages, scripts: bool):
    """The frames are loaded, the policy has nothing to complain about, and the person is back at the client."""
    join(here)
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    watch = Watch(page)
    with Pages() as diary:
        party = registered(here, album, frontchannel_logout_uri=f"{album.origin}/gone")
        other = registered(
            here,
            diary,
            "Diary",
            frontchannel_logout_uri=f"{diary.origin}/gone?and=more",
            frontchannel_logout_session_required=True,
        )
        go(page, party, album)
        go(page, other, diary)
        log_out(page, party, album, state="abc")
        page.wait_for_url(f"{album.origin}/bye?state=abc")
        assert album.frames() == ["/gone"]
        (told,) = (parse_qs(urlsplit(path).query) for path in diary.frames())
    assert told["and"] == ["more"]
    assert told["iss"] == [here.server.issuer]
    assert len(told["sid"][0]) == 32
    assert watch.complaints == []
    context.close()


def test_without_a_way_back_the_page_stays(page: Page, here: Site, album: Pages):
    """It says what happened."""
    join(here)
    go(page, registered(here, album, frontchannel_logout_uri=f"{album.origin}/gone"), album)
    page.goto(f"{here.server.issuer}/logout")
    press(page, "Sign out")
    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    expect(page.get_by_role("listitem")).to_have_text("Album")
    page.wait_for_load_state()
    assert album.frames() == ["/gone"]
