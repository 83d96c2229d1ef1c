"""Logout at the wish of a client."""

import pytest

from auth_server.store.records import User
from tests import proves
from tests.relying_party import Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site

LOGOUT = "/api/v1/oauth/logout"
BACK = "https://app.example.org/bye?from=us"


@pytest.fixture
def party(here: Site, jane: User) -> RelyingParty:
    return relying_party(here, post_logout_redirect_uris=(BACK,))


def is_signed_in(party: RelyingParty, browser: Browser) -> bool:
    """Whether the client learns of somebody without a page."""
    return "code" in answered(party.start(browser, prompt="none"))


def test_a_hint_that_fits_signs_out_at_once(here: Site, party: RelyingParty, browser: Browser):
    """And leads back, with state; also when the token has expired."""
    token = party.tokens(browser)["id_token"]
    here.clock.advance(3600)
    sent = {"id_token_hint": token, "post_logout_redirect_uri": BACK, "state": "x y"}
    answer = browser.open(LOGOUT, query_string=sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{BACK}&state=x+y")
    assert not is_signed_in(party, browser)


@proves("S-092")
def test_without_a_hint_a_page_asks(party: RelyingParty, browser: Browser):
    """The session lives until its form is sent."""
    party.tokens(browser)
    page = browser.open(LOGOUT, query_string={"client_id": party.client_id, "post_logout_redirect_uri": BACK})
    assert "Sign out?" in page.text
    assert is_signed_in(party, browser)
    browser.open(LOGOUT, query_string={"client_id": party.client_id, "post_logout_redirect_uri": BACK})
    answer = browser.send(decision="allow")
    assert answer.headers["Location"] == BACK
    assert not is_signed_in(party, browser)


@proves("S-093")
@pytest.mark.parametrize(
    "wrong",
    [
        {"post_logout_redirect_uri": "https://app.example.org/bye"},
        {"post_logout_redirect_uri": f"{BACK}&more=1"},
        {"post_logout_redirect_uri": "https://evil.test/"},
        {"id_token_hint": "eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4Iiwic3ViIjoieSJ9.e30"},
        {"client_id": "another"},
    ],
)
def test_a_link_that_is_not_in_order_leads_nowhere(party: RelyingParty, browser: Browser, wrong: dict[str, str]):
    """A page says so, and nobody is signed out."""
    token = party.tokens(browser)["id_token"]
    answer = browser.open(LOGOUT, query_string={"id_token_hint": token, "post_logout_redirect_uri": BACK, **wrong})
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert is_signed_in(party, browser)


def test_whoever_is_signed_out_already_is_led_back(party: RelyingParty, browser: Browser):
    """Once more changes nothing."""
    token = party.tokens(browser)["id_token"]
    for _ in range(2):
        answer = browser.open(LOGOUT, query_string={"id_token_hint": token, "post_logout_redirect_uri": BACK})
        assert answer.headers["Location"] == BACK


def test_without_a_way_back_a_page_says_it(party: RelyingParty, browser: Browser):
    """Ours."""
    token = party.tokens(browser)["id_token"]
    assert "signed out" in browser.open(LOGOUT, query_string={"id_token_hint": token}).text


@proves("S-059")
def test_a_kept_cookie_is_worth_nothing(here: Site, party: RelyingParty, browser: Browser):
    """Not after the logout, nor after the idle time."""
    token = party.tokens(browser)["id_token"]
    kept = browser.http.get_cookie("__Host-auth_server", domain="auth.example.org").value
    browser.open(LOGOUT, query_string={"id_token_hint": token})
    browser.http.set_cookie("__Host-auth_server", kept, domain="auth.example.org", secure=True)
    assert not is_signed_in(party, browser)
    party.tokens(browser)
    here.clock.advance(here.server.settings.session_idle)
    assert not is_signed_in(party, browser)


@proves("S-057")
def test_the_cookie_is_well_guarded(party: RelyingParty, browser: Browser):
    """HttpOnly, Lax, for this host alone."""
    party.start(browser)
    answer = browser.send(username="jane", password="Blue-whale-42-sings")
    cookie = browser.http.get_cookie("__Host-auth_server", domain="auth.example.org")
    assert cookie is not None, (answer.status_code, ISSUER)
    assert (cookie.path, cookie.domain, cookie.secure, cookie.http_only, cookie.same_site) == (
        "/", "auth.example.org", True, True, "Lax",
    )  # fmt: skip
    assert len(cookie.value) == 43
