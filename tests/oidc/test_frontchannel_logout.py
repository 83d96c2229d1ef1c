"""Front-channel logout: the page after a logout loads what clients have registered, and nothing else."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from werkzeug.test import TestResponse

from auth_server.domain.clients import origin
from auth_server.errors import InvalidInput
from auth_server.store.records import User
from tests import proves
from tests.people import join
from tests.relying_party import REDIRECT_URI, Browser, RelyingParty, relying_party
from tests.sites import ISSUER, Site

LOGOUT = "/api/v1/oauth/logout"
BACK = "https://app.example.org/bye"
FRAME = "https://app.example.org/gone?app=1"


def registered(here: Site, **members: Any) -> RelyingParty:
    """Register a client with a page to be loaded at logout."""
    metadata = {"frontchannel_logout_uri": FRAME, **members.pop("metadata", {})}
    return relying_party(here, metadata=metadata, post_logout_redirect_uris=(BACK,), **members)


@pytest.fixture
def party(here: Site, jane: User) -> RelyingParty:
    return registered(here)


def frames(page: TestResponse) -> list[str]:
    """Return what a page loads."""
    return [unescape(address) for address in re.findall(r'<iframe src="([^"]*)"', page.text)]


def frame_sources(page: TestResponse) -> list[str]:
    """Return what its policy lets it load in frames."""
    found = re.findall(r"frame-src ([^;]*)", page.headers["Content-Security-Policy"])
    return found[0].split() if found else []


@proves("S-097", "OpenID Connect Front-Channel Logout §2, §3")
def test_the_page_loads_a_frame_of_each_client(here: Site, party: RelyingParty, browser: Browser):
    """With iss and sid for those that ask for them; clients of other sign-ins are left alone."""
    other = registered(
        here,
        client_name="Diary",
        redirect_uris=("https://diary.example.org:8443/cb",),
        metadata={
            "frontchannel_logout_uri": "https://diary.example.org:8443/out;now",
            "frontchannel_logout_session_required": True,
        },
    )
    registered(here)
    where = {"redirect_uri": "https://diary.example.org:8443/cb"}
    told = other.redeem(other.code(browser, **where), **where).json["id_token"]
    token = party.tokens(browser)["id_token"]
    page = browser.open(LOGOUT, query_string={"id_token_hint": token})
    assert "You are signed out" in page.text
    assert "Album" in page.text
    assert "Diary" in page.text
    mine, theirs = sorted(frames(page))
    assert mine == FRAME
    assert urlsplit(theirs)[:3] == ("https", "diary.example.org:8443", "/out;now")
    assert parse_qs(urlsplit(theirs).query) == {"iss": [ISSUER], "sid": [claims_of(told)["sid"]]}
    assert frame_sources(page) == ["https://app.example.org/gone", "https://diary.example.org:8443/out%3Bnow"]


def claims_of(token: str) -> dict[str, Any]:
    from joserfc import jws

    claims: dict[str, Any] = orjson.loads(jws.extract_compact(token.encode()).payload)
    return claims


def test_then_it_leads_on(party: RelyingParty, browser: Browser):
    """By itself, and by a button; also without scripts."""
    token = party.tokens(browser)["id_token"]
    sent = {"id_token_hint": token, "post_logout_redirect_uri": BACK, "state": 'a"b&c'}
    page = browser.open(LOGOUT, query_string=sent)
    assert page.status_code == 200
    onward = f"{BACK}?state=a%22b%26c"
    assert f'<noscript><meta http-equiv="refresh" content="5; url={onward}"></noscript>' in page.text
    assert f'id="onward" href="{onward}"' in page.text
    assert page.headers["Refresh"] == f"5; url={onward}"
    assert frames(page) == [FRAME]


def test_whoever_is_asked_first_comes_there_too(party: RelyingParty, browser: Browser):
    """The form leads to the same page."""
    party.tokens(browser)
    browser.open(LOGOUT, query_string={"client_id": party.client_id, "post_logout_redirect_uri": BACK})
    page = browser.send(decision="allow")
    assert frames(page) == [FRAME]
    assert f'href="{BACK}"' in page.text


@proves("S-097")
def test_a_link_makes_the_page_load_nothing(here: Site, party: RelyingParty, browser: Browser):
    """Neither a made-up one, nor one that is too old; a page without frames allows none."""
    token = party.tokens(browser)["id_token"]
    browser.open(LOGOUT, query_string={"id_token_hint": token})
    path = browser._path
    assert frames(browser.open(path)) == [FRAME]  # loaded once more
    here.clock.advance(300)
    for link in (path, "/logout?ended=x", "/logout?ended=&frames=https://evil.test/", "/logout?done=1"):
        page = browser.open(link)
        assert page.status_code == 200
        assert (frames(page), frame_sources(page)) == ([], [])


def test_two_accounts_end_together(here: Site, browser: Browser, jane: User):
    """The page has a frame for each sign-in of a client that tells them apart."""
    join(here, "joe")
    party = registered(here, metadata={"frontchannel_logout_session_required": True})
    sids = {claims_of(party.tokens(browser)["id_token"])["sid"]}
    party.start(browser, prompt="login")
    browser.sign_in("joe")
    answer = browser.allow()
    code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    sids.add(claims_of(party.redeem(code).json["id_token"])["sid"])
    browser.open("/logout")
    page = browser.send(decision="allow")
    assert {parse_qs(urlsplit(address).query)["sid"][0] for address in frames(page)} == sids


def test_who_stays_signed_in_is_named(here: Site, browser: Browser, party: RelyingParty):
    """Where a client signs one of two accounts out."""
    join(here, "joe")
    token = party.tokens(browser)["id_token"]
    party.start(browser, prompt="login")
    browser.sign_in("joe")
    page = browser.open(LOGOUT, query_string={"id_token_hint": token})
    assert "You are signed out" not in page.text
    assert "still signed in" in page.text
    assert "joe@example.org" in page.text


@proves("S-097")
@pytest.mark.parametrize(
    "uri",
    [
        "https://elsewhere.example.org/gone",
        "https://app.example.org:444/gone",
        "http://app.example.org/gone",
        "https://app.example.org.evil.test/gone",
        "https://app.example.org@evil.test/gone",
        "https://app.example.org/gone#x",
        "https://app.example.org/gone; script-src *",
        "javascript:alert(1)",
    ],
)
def test_it_must_be_where_the_client_is(here: Site, jane: User, uri: str):
    """Scheme, host and port are those of a redirect URI."""
    assert origin(REDIRECT_URI) == origin(FRAME)
    with pytest.raises(InvalidInput, match="frontchannel_logout_uri"):
        registered(here, metadata={"frontchannel_logout_uri": uri})


def test_the_page_speaks_german(here: Site, party: RelyingParty, browser: Browser):
    """As the client asks."""
    token = party.tokens(browser)["id_token"]
    page = browser.open(LOGOUT, query_string={"id_token_hint": token, "ui_locales": "de"})
    assert '<html lang="de">' in page.text
    assert "abgemeldet" in page.text


def test_discovery_says_it(here: Site):
    """In OpenID Connect's document."""
    document = orjson.loads(here.http.get("/.well-known/openid-configuration").data)
    assert document["frontchannel_logout_supported"] is True
    assert document["frontchannel_logout_session_supported"] is True
