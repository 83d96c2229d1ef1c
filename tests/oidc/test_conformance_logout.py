"""What the certification tests of the OpenID Foundation ask of logout at a client's wish.

docs/conformance.md says which of their modules each test stands for.
"""

import pytest

from auth_server.store.records import User
from tests import proves
from tests.relying_party import Browser, RelyingParty, answered, relying_party
from tests.signing import EcKey, compact, decoded
from tests.sites import Site

LOGOUT = "/api/v1/oauth/logout"
BACK = "https://app.example.org/post_logout_redirect"


@pytest.fixture
def party(here: Site, jane: User) -> RelyingParty:
    """A client that people come back to after the logout."""
    return relying_party(here, post_logout_redirect_uris=(BACK,))


def is_signed_in(party: RelyingParty, browser: Browser) -> bool:
    """What prompt=none says; the plan asks it at the end of each module."""
    told = answered(party.start(browser, prompt="none"))
    assert "code" in told or told["error"] == "login_required"
    return "code" in told


@pytest.mark.parametrize("state", ["x y&z", ""])
def test_a_hint_and_a_way_back_lead_back(party: RelyingParty, browser: Browser, state: str):
    """With the state, and with nothing in its place where none was sent."""
    hint = party.tokens(browser)["id_token"]
    sent = {"id_token_hint": hint, "post_logout_redirect_uri": BACK, **({"state": state} if state else {})}
    answer = browser.open(LOGOUT, query_string=sent)
    assert answer.headers["Location"] == (f"{BACK}?state=x+y%26z" if state else BACK)
    assert not is_signed_in(party, browser)


@proves("S-092")
@pytest.mark.parametrize("sent", [{}, {"state": "xyz"}])
def test_without_a_hint_the_person_signs_out_themselves(party: RelyingParty, browser: Browser, sent: dict[str, str]):
    """Nothing, or a state alone: a page asks, and then says that it is done; nobody is led anywhere."""
    party.tokens(browser)
    assert "Sign out?" in browser.open(LOGOUT, query_string=sent).text
    answer = browser.send(decision="allow")
    assert (answer.status_code, "You are signed out" in answer.text) == (200, True)
    assert not is_signed_in(party, browser)


def test_a_hint_alone_signs_out_and_a_page_says_so(party: RelyingParty, browser: Browser):
    """Without a way back."""
    answer = browser.open(LOGOUT, query_string={"id_token_hint": party.tokens(browser)["id_token"], "state": "xyz"})
    assert (answer.status_code, "You are signed out" in answer.text) == (200, True)
    assert not is_signed_in(party, browser)


@proves("S-093")
@pytest.mark.parametrize("uri", [f"{BACK}/foobar", f"{BACK}?foo=bar"])
def test_a_way_back_must_be_registered(party: RelyingParty, browser: Browser, uri: str):
    """As it is, without a query that was added."""
    hint = party.tokens(browser)["id_token"]
    stays(browser, {"id_token_hint": hint, "post_logout_redirect_uri": uri, "state": "xyz"})


@proves("S-093")
def test_a_way_back_needs_a_hint_that_is_ours(party: RelyingParty, browser: Browser):
    """Not none, not an altered one, not one that somebody else has signed, or nobody."""
    hint = party.tokens(browser)["id_token"]
    head, claims, signature = hint.split(".")
    foreign = EcKey()
    header, known = decoded(hint)
    hints = [
        "",
        f"{head}.{claims}.{signature[:-8]}AAAAAAAA",
        compact({"alg": "ES256", "kid": foreign.kid}, known, foreign.sign),
        compact({**header, "alg": "none"}, known, lambda _: b""),
    ]
    for one in hints:
        sent = {"id_token_hint": one} if one else {}
        stays(browser, {**sent, "post_logout_redirect_uri": BACK, "state": "xyz"})
    assert is_signed_in(party, browser)


def stays(browser: Browser, sent: dict[str, str]) -> None:
    """See that a page answers, and that it leads nowhere."""
    answer = browser.open(LOGOUT, query_string=sent)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "Location" not in answer.headers
