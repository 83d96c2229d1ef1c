"""Implicit and hybrid flows, for clients that are registered for them."""

import base64
from hashlib import sha256

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_server.store.records import User
from tests import proves
from tests.people import bearer
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.sites import Site

TYPES = ("id_token", "id_token token", "code id_token", "code token", "code id_token token")


def claims_of(here: Site, token: str) -> dict[str, object]:
    """Return the claims of an ID token that verifies."""
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)


def half(text: str) -> str:
    return base64.urlsafe_b64encode(sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


@pytest.mark.parametrize("response_type", TYPES)
def test_each_gives_what_it_names(here: Site, jane: User, browser: Browser, response_type: str):
    """In the fragment, each part bound to the ID token by its hash."""
    party = relying_party(here, response_types=(response_type,), grant_types=("authorization_code", "implicit"))
    party.start(browser, response_type=response_type, scope="openid email")
    browser.sign_in()
    answer = browser.allow()
    assert "?" not in answer.headers["Location"]
    told = answered(answer)
    names = {"code": "code", "token": "access_token", "id_token": "id_token"}
    assert {names[part] for part in response_type.split()} == told.keys() & set(names.values())
    if "id_token" in told:
        claims = claims_of(here, told["id_token"])
        assert claims["nonce"] == "n-0S6_WzA2Mj"
        for name, part in (("at_hash", "access_token"), ("c_hash", "code"), ("s_hash", "state")):
            assert claims.get(name) == (half(told[part]) if part in told else None)
        assert ("email" in claims) == (response_type == "id_token")
    if "access_token" in told:
        info = here.http.get(USERINFO, headers=bearer(told["access_token"]))
        assert info.json["sub"] == jane.uid
    if "code" in told:
        assert party.redeem(told["code"]).status_code == 200


@proves("S-022")
@pytest.mark.parametrize("response_type", TYPES)
def test_whoever_is_not_registered_for_it_gets_nothing(party: RelyingParty, browser: Browser, response_type: str):
    """The client is told, in the fragment."""
    told = answered(party.start(browser, response_type=response_type))
    assert told["error"] == "unauthorized_client"


@proves("S-021")
def test_a_form_is_posted_as_it_is(here: Site, jane: User, browser: Browser):
    """Whatever state holds is escaped, and only the page's own script runs."""
    party = relying_party(here)
    state = '"><script>alert(1)</script> a+b%20c'
    party.start(browser, response_mode="form_post", state=state)
    browser.sign_in()
    page = browser.allow()
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt; a+b%20c" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'sha256-" in policy
    assert "form-action https://app.example.org;" in policy
    assert "'unsafe-inline'" not in policy


def test_tokens_never_stand_in_a_query_string(here: Site, jane: User, browser: Browser):
    """Not even if the client asks for it."""
    party = relying_party(here, response_types=("id_token",), grant_types=("implicit",))
    answer = party.start(browser, response_type="id_token", response_mode="query")
    assert answered(answer)["error"] == "invalid_request"
    assert "#" in answer.headers["Location"]
