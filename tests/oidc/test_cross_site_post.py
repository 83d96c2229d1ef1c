"""Forms that a page of another site posts, which browsers send without our cookie; tests/clients has Chromium do it."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests import proves
from tests.relying_party import AUTHORIZE, Browser, RelyingParty
from tests.sites import ISSUER, Site

LOGOUT = "/api/v1/oauth/logout"


@proves("S-092", "S-019")
@pytest.mark.parametrize("path", [AUTHORIZE, LOGOUT])
def test_what_comes_without_a_cookie_is_asked_by_a_link(here: Site, path: str):
    """With all that was sent, in its order, and without a new cookie in place of the one that the browser has."""
    sent = [("client_id", "a"), ("state", "x y&z"), ("state", "again")]
    body = "client_id=a&state=x+y%26z&state=again"
    answer = here.http.post(path, data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 303
    assert "Set-Cookie" not in answer.headers
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{ISSUER}{path}"
    assert parse_qsl(location.query) == sent


def test_what_comes_with_a_cookie_is_answered_at_once(party: RelyingParty, browser: Browser):
    """From a page of the same site."""
    party.code(browser)
    answer = browser.http.post(AUTHORIZE, data=party.request(), base_url=ISSUER)
    assert "code=" in answer.headers["Location"]


def test_what_is_too_long_for_a_link_is_answered_at_once(here: Site, party: RelyingParty):
    """As if it had come with a cookie that is worth nothing."""
    answer = here.http.post(AUTHORIZE, data=party.request(state="x" * 7000))
    assert answer.headers["Location"].startswith(f"{ISSUER}/login")
