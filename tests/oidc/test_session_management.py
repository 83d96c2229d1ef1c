"""Session management: what a client is told of the browser's state, and the frame that it asks later."""

from hashlib import sha256
from html import unescape
from pathlib import Path
from re import findall

import orjson
import pytest

from auth_server.store.records import User
from tests import proves
from tests.people import join
from tests.relying_party import REDIRECT_URI, Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site, site

CHECK, LOGOUT = "/api/v1/oauth/check_session", "/api/v1/oauth/logout"
COOKIE = "__Host-auth_server_state"
ORIGIN = "https://app.example.org"


def state(browser: Browser) -> str:
    """Return what the frame's script sees."""
    cookie = browser.http.get_cookie(COOKIE, domain="auth.example.org")
    assert cookie is not None
    assert (cookie.path, cookie.secure, cookie.http_only, cookie.same_site) == ("/", True, False, "None")
    return str(cookie.value)


def is_unchanged(session_state: str, client_id: str, browser: Browser, origin: str = ORIGIN) -> bool:
    """Calculate what the frame does."""
    known, salt = session_state.split(".")
    return known == sha256(f"{client_id} {origin} {state(browser)} {salt}".encode()).hexdigest()


def told(party: RelyingParty, browser: Browser, **parameters: str) -> str:
    """Return the session_state of an answer that needs no page."""
    return answered(party.start(browser, prompt="none", **parameters))["session_state"]


@proves("OpenID Connect Session Management §2")
def test_an_answer_says_how_the_session_is(party: RelyingParty, browser: Browser):
    """It stays true while the person stays signed in, and only for this client's pages."""
    party.code(browser)
    first, second = told(party, browser), told(party, browser)
    assert first != second  # salted
    assert " " not in first
    for value in (first, second):
        assert is_unchanged(value, party.client_id, browser)
        assert not is_unchanged(value, "another", browser)
        assert not is_unchanged(value, party.client_id, browser, "https://evil.test")


@pytest.mark.parametrize("response_type", ["code", "id_token", "id_token token", "code id_token", "code token"])
def test_in_every_flow(here: Site, jane: User, browser: Browser, response_type: str):
    """Code, implicit and hybrid."""
    party = relying_party(
        here, response_types=("code", response_type), grant_types=("authorization_code", "refresh_token", "implicit")
    )
    party.code(browser)
    assert is_unchanged(told(party, browser, response_type=response_type), party.client_id, browser)


def test_by_a_form_too(party: RelyingParty, browser: Browser):
    """In form_post it is one more field."""
    party.code(browser)
    page = party.start(browser, prompt="none", response_mode="form_post")
    (value,) = findall(r'name="session_state" value="([^"]*)"', page.text)
    assert is_unchanged(unescape(value), party.client_id, browser)


def test_only_openid_requests_have_it(here: Site, jane: User, browser: Browser):
    """OAuth alone knows no sessions."""
    party = relying_party(here, scope="openid profile")
    party.code(browser, scope="openid profile")
    assert "session_state" not in answered(party.start(browser, scope="profile", nonce=None))


def test_a_failure_says_it_too(party: RelyingParty, browser: Browser):
    """So that a client notices when somebody signs in."""
    nobody = answered(party.start(browser, prompt="none"))
    assert nobody["error"] == "login_required"
    assert is_unchanged(nobody["session_state"], party.client_id, browser)
    party.code(browser)
    assert not is_unchanged(nobody["session_state"], party.client_id, browser)
    failed = answered(party.start(browser, prompt="none", max_age="x"))
    assert is_unchanged(failed["session_state"], party.client_id, browser)
    assert "session_state" not in answered(party.start(browser, prompt="none", max_age="x", scope="profile"))


def test_it_changes_with_the_sign_ins(here: Site, party: RelyingParty, browser: Browser):
    """With logout, another account, and another choice; not with a new proof of the same one."""
    join(here, "joe")
    party.code(browser)
    alone = told(party, browser)
    party.start(browser, prompt="login")
    browser.sign_in()
    assert is_unchanged(alone, party.client_id, browser)
    browser.open("/login")
    browser.sign_in("joe")
    assert not is_unchanged(alone, party.client_id, browser)
    token = party.tokens(browser)["id_token"]
    both = told(party, browser)
    browser.open("/account/")
    here_jane = here.server.users.find("jane")
    browser.send(account=here_jane.uid)
    assert not is_unchanged(both, party.client_id, browser)
    before = told(party, browser)
    browser.open(LOGOUT, query_string={"id_token_hint": token})  # joe's
    assert not is_unchanged(before, party.client_id, browser)
    assert is_unchanged(alone, party.client_id, browser)
    browser.open("/logout")
    browser.send(decision="allow")
    assert not is_unchanged(alone, party.client_id, browser)


def test_who_signs_in_to_no_client_has_no_such_cookie(here: Site, jane: User, browser: Browser):
    """Nobody asks there."""
    browser.open("/login")
    browser.sign_in()
    browser.open("/logout")
    browser.send(decision="allow")
    assert browser.http.get_cookie(COOKIE, domain="auth.example.org") is None


@proves("S-035")
def test_the_cookie_holds_no_secret(here: Site, party: RelyingParty, browser: Browser):
    """Nothing that opens anything, and not the sid that clients know."""
    tokens = party.tokens(browser)
    value = state(browser)
    sid = browser.http.get_cookie("__Host-auth_server", domain="auth.example.org").value
    assert value not in tokens["id_token"]
    assert value != sid
    browser.http.set_cookie("__Host-auth_server", value, domain="auth.example.org", secure=True)
    assert answered(party.start(browser, prompt="none"))["error"] == "login_required"


@proves("S-025", "S-097")
def test_the_frame_alone_may_be_framed(here: Site):
    """By anybody, for there is nothing on it to press; its script is ours, and nothing else runs."""
    answer = here.http.get(CHECK)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors *"
    assert "X-Frame-Options" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    (script,) = findall(r'<script src="([^"]*)"', answer.text)
    loaded = here.http.get(script)
    assert (loaded.status_code, loaded.mimetype) == (200, "text/javascript")
    assert f'data-cookie="{COOKIE}"' in answer.text
    assert "<form" not in answer.text
    assert "<a" not in answer.text


def test_below_a_path(tmp_path: Path):
    """The script is where the issuer is."""
    here = site(tmp_path, issuer=f"{ISSUER}/tenant")
    (script,) = findall(r'<script src="([^"]*)"', here.http.get(f"/tenant{CHECK}").text)
    assert here.http.get(script).status_code == 200


def test_discovery_says_it(here: Site):
    """Where the frame is."""
    document = orjson.loads(here.http.get("/.well-known/openid-configuration").data)
    assert document["check_session_iframe"] == f"{ISSUER}{CHECK}"
    assert REDIRECT_URI.startswith(ORIGIN)
