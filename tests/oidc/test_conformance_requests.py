"""What the certification tests of the OpenID Foundation ask of authorization requests, in every flow.

docs/conformance.md says which of their modules each test stands for.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_server.domain.users import Changes
from auth_server.store.records import User
from tests import proves
from tests.people import PASSWORD, bearer
from tests.relying_party import AUTHORIZE, REDIRECT_URI, USERINFO, Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site

FLOWS = ("code", "id_token", "id_token token", "code id_token", "code token", "code id_token token")
PROFILE = {
    "family_name": "Doe",
    "given_name": "Jane",
    "middle_name": "M.",
    "nickname": "jd",
    "profile": "https://example.org/jane",
    "picture": "https://example.org/jane.jpg",
    "website": "https://jane.example.org",
    "gender": "female",
    "birthdate": "1970-01-01",
    "zoneinfo": "Europe/Berlin",
    "locale": "de-DE",
}
ADDRESS = {"street_address": "1 Main Street", "locality": "Ulm", "postal_code": "89073", "country": "Germany"}
PHONE = {"phone_number": "+49 731 5550", "phone_number_verified": False}
OF_SCOPE = {
    "profile": {*PROFILE, "name", "preferred_username", "updated_at"},
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": set(PHONE),
}
WISHES: tuple[Mapping[str, str], ...] = (
    {"display": "page"},
    {"display": "popup"},
    {"extra": "foobar"},
    {"ui_locales": "se"},
    {"claims_locales": "se"},
    {"ui_locales": "de-CH fr *", "claims_locales": "xx-unknown"},
    {"login_hint": "bob@example.org"},
    {"login_hint": "jane"},
    {"acr_values": "1 2"},
    {"acr_values": "urn:example:unknown"},
    {"scope": "openid email unknown-word"},
)
NEVER_IN_ID_TOKENS = {claim for claims in OF_SCOPE.values() for claim in claims}


@pytest.fixture
def jane(here: Site) -> User:
    """Somebody who has a value for every claim."""
    values = Changes(
        email="jane@example.org", display_name="Jane Doe", claims={**PROFILE, **PHONE, "address": dict(ADDRESS)}
    )
    return here.server.users.add("jane", PASSWORD, values)


@pytest.fixture(params=FLOWS)
def flow(request: pytest.FixtureRequest) -> str:
    """A response type."""
    return str(request.param)


@pytest.fixture
def party(here: Site, jane: User, flow: str) -> RelyingParty:
    """A client that may use that flow; like the certification tests it has a secret and no PKCE."""
    made = relying_party(
        here,
        response_types=(flow,),
        grant_types=("authorization_code", "refresh_token", "implicit"),
        scope="openid profile email address phone offline_access",
    )
    made.defaults.update(response_type=flow, code_challenge=None, code_challenge_method=None)  # type: ignore[arg-type]
    return made


class Told:
    """What a client has got in all ways that its flow has."""

    def __init__(self, party: RelyingParty, members: Mapping[str, str], code: Mapping[str, Any]) -> None:
        self._here, self.members, self.code = party.here, members, code
        tokens = [text for text in (members.get("id_token"), code.get("id_token")) if text]
        self.id_tokens = [claims_of(party.here, str(text)) for text in tokens]
        self.access_token = str(code.get("access_token") or members.get("access_token") or "")

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims of the last ID token."""
        return self.id_tokens[-1]

    def userinfo(self) -> dict[str, Any]:
        """What userinfo tells."""
        answer = self._here.http.get(USERINFO, headers=bearer(self.access_token))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json
        return told


def claims_of(here: Site, token: str) -> Mapping[str, Any]:
    """Return the claims of an ID token that verifies with the published key that it names."""
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    assert decoded.header["kid"] in {key.kid for key in keys.keys}
    claims: Mapping[str, Any] = decoded.claims
    assert claims["iss"] == ISSUER
    return claims


def sign_in(party: RelyingParty, browser: Browser, **parameters: str | None) -> Told:
    """Go through a flow; sign in and allow it where that is asked."""
    answer = party.start(browser, **parameters)
    if 'name="username"' in answer.text:
        answer = browser.sign_in()
    if 'name="decision"' in answer.text:
        answer = browser.allow()
    return redeemed(party, answered(answer))


def redeemed(party: RelyingParty, members: Mapping[str, str]) -> Told:
    """Redeem the code, if there is one."""
    assert "error" not in members, members
    code: Mapping[str, Any] = {}
    if "code" in members:
        answer = party.redeem(members["code"], code_verifier=None)
        assert answer.status_code == 200, answer.text
        code = answer.json
    return Told(party, members, code)


def test_the_answer_is_whole(party: RelyingParty, browser: Browser, jane: User):
    """State comes back, the nonce stands in each ID token, both ID tokens are of one person."""
    told = sign_in(party, browser)
    assert told.members["state"] == "af0ifjsldkj"
    assert [(one["sub"], one["aud"], one["nonce"]) for one in told.id_tokens] == [
        (jane.uid, party.client_id, "n-0S6_WzA2Mj")
    ] * len(told.id_tokens)
    assert told.id_tokens


def test_without_a_response_type_it_is_refused(party: RelyingParty, browser: Browser):
    """The client is told, with its state."""
    told = answered(party.start(browser, response_type=None))
    assert (told["error"], told["state"]) == ("invalid_request", "af0ifjsldkj")


def test_a_nonce_is_needed_where_an_id_token_comes_at_once(party: RelyingParty, browser: Browser, flow: str):
    """Elsewhere it may be left out, and then stands nowhere (OIDC Core §3.1.2.1, §3.2.2.1, §3.3.2.11)."""
    answer = party.start(browser, nonce=None)
    if "id_token" in flow:
        assert answered(answer)["error"] == "invalid_request"
        return
    browser.sign_in()
    told = redeemed(party, answered(browser.allow()))
    assert "nonce" not in told.claims


@proves("S-153", "OIDC Core §5.4")
def test_a_scope_gives_its_claims(party: RelyingParty, browser: Browser, flow: str):
    """At userinfo; in the ID token only where no access token comes."""
    for scope in (*OF_SCOPE, " ".join(OF_SCOPE)):
        told = sign_in(party, browser, scope=f"openid {scope}")
        expected = {claim for word in scope.split() for claim in OF_SCOPE[word]}
        if flow == "id_token":
            assert told.claims.keys() & NEVER_IN_ID_TOKENS == expected, scope
            continue
        info = told.userinfo()
        assert info.keys() == {"sub", *expected}, scope
        assert info["sub"] == told.claims["sub"]
        assert info.get("address", ADDRESS) == ADDRESS
        assert [one.keys() & NEVER_IN_ID_TOKENS for one in told.id_tokens] == [set()] * len(told.id_tokens)


def test_nothing_has_an_order(party: RelyingParty, browser: Browser):
    """Neither the words of a scope nor the parameters."""
    asked = party.request(scope="email openid")
    answer = browser.open(AUTHORIZE, query_string=dict(reversed(asked.items())))
    browser.sign_in()
    assert answer.status_code == 200
    assert redeemed(party, answered(browser.allow())).claims


def test_a_wish_never_fails(party: RelyingParty, browser: Browser):
    """What is not understood does not count; each answer says how the person signed in."""
    for more in WISHES:
        assert sign_in(party, browser, **more).claims["acr"] == "1", more


@proves("S-026")
def test_prompt_login_gives_a_newer_auth_time(here: Site, party: RelyingParty, browser: Browser):
    """However fresh the sign-in is."""
    first = sign_in(party, browser)
    here.clock.advance(2)
    page = party.start(browser, prompt="login")
    assert 'name="username"' in page.text
    second = redeemed(party, answered(browser.sign_in()))
    assert second.claims["auth_time"] == first.claims["auth_time"] + 2
    assert second.claims["sub"] == first.claims["sub"]


def test_prompt_none_needs_somebody_signed_in(party: RelyingParty, browser: Browser):
    """Else the client is told what is missing."""
    told = answered(party.start(browser, prompt="none"))
    assert told["error"] in ("login_required", "interaction_required", "account_selection_required")
    assert told.keys() & {"code", "id_token", "access_token"} == set()


def test_prompt_none_tells_of_the_same_sign_in(here: Site, party: RelyingParty, browser: Browser):
    """Without a page."""
    first = sign_in(party, browser)
    here.clock.advance(3)
    second = redeemed(party, answered(party.start(browser, prompt="none")))
    assert [second.claims[name] == first.claims[name] for name in ("sub", "auth_time", "iss", "aud")] == [True] * 4


@proves("S-026")
def test_a_sign_in_older_than_max_age_is_renewed(here: Site, party: RelyingParty, browser: Browser):
    """Of one second."""
    first = sign_in(party, browser)
    here.clock.advance(2)
    assert 'name="username"' in party.start(browser, max_age="1").text
    here.clock.advance(1)
    second = redeemed(party, answered(browser.sign_in()))
    assert second.claims["auth_time"] == first.claims["auth_time"] + 3


def test_a_sign_in_younger_than_max_age_counts(here: Site, party: RelyingParty, browser: Browser):
    """Of 10,000 seconds."""
    first = sign_in(party, browser)
    here.clock.advance(9999)
    second = redeemed(party, answered(party.start(browser, max_age="10000")))
    assert second.claims["auth_time"] == first.claims["auth_time"]


def test_an_id_token_says_who_is_meant(here: Site, party: RelyingParty, browser: Browser, jane: User):
    """With prompt=none it fits the person signed in, or the client is told that nobody fits; an old one does too."""
    first = sign_in(party, browser)
    hint = str(first.code.get("id_token") or first.members.get("id_token"))
    here.clock.advance(4000)
    told = redeemed(party, answered(party.start(browser, prompt="none", id_token_hint=hint)))
    assert told.claims["sub"] == jane.uid
    here.server.users.add("bob", PASSWORD, Changes())
    other = Browser(here)
    other.open("/login")
    other.sign_in("bob")
    assert answered(party.start(other, prompt="none", id_token_hint=hint))["error"] == "login_required"


@proves("S-014", "S-015", "S-018")
def test_an_unregistered_redirect_uri_shows_a_page(party: RelyingParty, browser: Browser):
    """And leads nowhere, without state and nonce too."""
    for more in ({}, {"state": None, "nonce": None}):
        answer = party.start(browser, redirect_uri=f"{REDIRECT_URI}/foobar", **more)  # type: ignore[arg-type]
        assert (answer.status_code, answer.mimetype) == (400, "text/html")
        assert "Location" not in answer.headers


def test_a_request_may_come_by_post(party: RelyingParty, browser: Browser):
    """From the client's page, in a form (OIDC Core §3.1.2.1)."""
    browser.open(AUTHORIZE, "POST", data=party.request())
    browser.sign_in()
    assert redeemed(party, answered(browser.allow())).claims


@proves("OIDC Core §5.5")
def test_an_essential_claim_comes_with_userinfo(party: RelyingParty, browser: Browser, flow: str):
    """Name without the scope profile; in the ID token where no access token comes."""
    place = "id_token" if flow == "id_token" else "userinfo"
    told = sign_in(party, browser, claims=f'{{"{place}": {{"name": {{"essential": true}}}}}}')
    found = told.claims if flow == "id_token" else told.userinfo()
    assert found["name"] == "Jane Doe"
    assert "nickname" not in found


def test_an_answer_by_form_has_all_of_it(party: RelyingParty, browser: Browser, flow: str, jane: User):
    """What the Form Post plans repeat: the same members, as hidden fields of a page that posts itself."""
    party.start(browser, response_mode="form_post")
    browser.sign_in()
    page = browser.allow()
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert f'action="{REDIRECT_URI}"' in page.text
    members = browser.hidden()
    assert members["state"] == "af0ifjsldkj"
    assert {name for name in ("code", "id_token", "access_token") if name in members} == {
        {"token": "access_token"}.get(word, word) for word in flow.split()
    }
    assert redeemed(party, members).claims["sub"] == jane.uid
