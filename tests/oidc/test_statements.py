"""No request asks the store the same thing twice."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.people import bearer, join
from tests.relying_party import USERINFO, Browser, RelyingParty, relying_party
from tests.servers.statements import traced
from tests.sites import site

SCOPE = "openid profile offline_access"


def silent(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.start(browser, scope=SCOPE, prompt="none").status_code == 303


def redeemed(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.redeem(tokens["code"]).status_code == 200


def refreshed(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.refresh(tokens["refresh_token"]).status_code == 200


def userinfo(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.here.http.get(USERINFO, headers=bearer(tokens["access_token"])).status_code == 200


def introspected(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.post("/api/v1/oauth/introspect", token=tokens["access_token"]).json["active"]


def introspected_refresh_token(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.post("/api/v1/oauth/introspect", token=tokens["refresh_token"]).json["active"]


def revoked(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.post("/api/v1/oauth/revoke", token=tokens["refresh_token"]).status_code == 200


def login_page(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert party.start(browser, scope=SCOPE, prompt="login").status_code == 200


def account(party: RelyingParty, browser: Browser, tokens: dict[str, str]) -> None:
    assert browser.open("/account/").status_code == 200


REQUESTS = {
    silent: 3,
    redeemed: 6,
    refreshed: 4,
    userinfo: 1,
    introspected: 1,
    introspected_refresh_token: 1,
    revoked: 5,
    login_page: 4,
    account: 3,
}


@pytest.mark.parametrize("act", REQUESTS, ids=lambda act: act.__name__)
def test_nothing_is_asked_twice(tmp_path: Path, act: Callable[[RelyingParty, Browser, dict[str, str]], None]):
    """And so many statements are made, for what is cached in the process is there; who adds one, knows it."""
    with traced() as statements:
        here = site(tmp_path)
        join(here)
        party, browser = relying_party(here), Browser(here)
        tokens = party.tokens(browser, scope=SCOPE)
        for each in (silent, userinfo, introspected):  # caches are warm
            each(party, browser, tokens)
        tokens["code"] = party.code(browser, scope=SCOPE)
        del statements[:]
        act(party, browser, tokens)
        made = [one for one in statements if not one.startswith(("PRAGMA", "BEGIN", "COMMIT"))]
        here.server.close()
    twice = {one: times for one, times in Counter(made).items() if times > 1}
    assert not twice
    assert len(made) == REQUESTS[act], made
