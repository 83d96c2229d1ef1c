"""What the certification tests of the OpenID Foundation ask of codes, tokens, userinfo and discovery.

docs/conformance.md says which of their modules each test stands for.
"""

from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_server.protocol.interaction import FLOOD
from auth_server.store.records import User
from tests import proves
from tests.people import bearer
from tests.relying_party import (
    REDIRECT_URI,
    TOKEN,
    USERINFO,
    VERIFIER,
    Browser,
    RelyingParty,
    answered,
    relying_party,
)
from tests.signing import decoded
from tests.sites import ISSUER, Site, site

WITH_QUERY = f"{REDIRECT_URI}?bar=baz"
OFFLINE = "openid offline_access"
JWKS = "/.well-known/jwks.json"


@proves("S-029", "RFC 9700 §4.5")
@pytest.mark.parametrize("seconds", [0, 31, 59])
def test_a_code_used_twice_ends_what_it_gave(here: Site, party: RelyingParty, browser: Browser, seconds: int):
    """At once, and after thirty seconds, which some servers allow."""
    code = party.code(browser, scope=OFFLINE)
    first = party.redeem(code).json
    here.clock.advance(seconds)
    second = party.redeem(code)
    assert (second.status_code, second.json["error"]) == (400, "invalid_grant")
    assert here.http.get(USERINFO, headers=bearer(first["access_token"])).status_code == 401
    assert party.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


@proves("OIDC Core §5.3.1")
def test_userinfo_takes_the_token_in_three_places(here: Site, party: RelyingParty, browser: Browser, jane: User):
    """GET with a header, POST with a header, POST with a form; the answer is JSON and is not kept."""
    token = party.tokens(browser, scope="openid email")["access_token"]
    answers = [
        here.http.get(USERINFO, headers=bearer(token)),
        here.http.post(USERINFO, headers=bearer(token)),
        here.http.post(USERINFO, data={"access_token": token}),
    ]
    told = {"sub": jane.uid, "email": "jane@example.org", "email_verified": False}
    for answer in answers:
        assert (answer.status_code, answer.mimetype, answer.json) == (200, "application/json", told)
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_comes_in_a_header_or_in_the_form(here: Site, jane: User, browser: Browser, method: str):
    """As the client is registered; both redeem a code."""
    party = relying_party(here, token_endpoint_auth_method=method)
    code = party.code(browser)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
    if method == "client_secret_post":
        answer = here.http.post(TOKEN, data={**form, "client_id": party.client_id, "client_secret": party.secret})
    else:
        answer = here.http.post(TOKEN, data=form, auth=(party.client_id, str(party.secret)))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["token_type"] == "Bearer"


def test_a_client_that_knows_no_pkce_signs_people_in(party: RelyingParty, browser: Browser):
    """Where it has a secret; one that does use it must prove it (test_code_flow)."""
    code = party.code(browser, code_challenge=None, code_challenge_method=None)
    assert party.redeem(code, code_verifier=None).status_code == 200


@proves("S-039", "OIDC Core §12.2")
def test_a_refresh_tells_of_the_same_sign_in(here: Site, party: RelyingParty, browser: Browser, jane: User):
    """Issuer, person, client and auth_time stay, iat is new; another client is refused."""
    tokens = party.tokens(browser, scope=OFFLINE, prompt="consent")
    first = claims_of(here, tokens["id_token"])
    here.clock.advance(60)
    stranger = relying_party(here).refresh(tokens["refresh_token"])
    assert (stranger.status_code, stranger.json["error"]) == (400, "invalid_grant")
    renewed = party.refresh(tokens["refresh_token"]).json
    second = claims_of(here, renewed["id_token"])
    assert [second[name] == first[name] for name in ("iss", "sub", "aud", "auth_time")] == [True] * 4
    assert second["iat"] == first["iat"] + 60
    assert here.http.get(USERINFO, headers=bearer(renewed["access_token"])).json["sub"] == jane.uid


@proves("OIDC Core §10.1.1", "S-121")
def test_the_client_sees_a_key_rotation(here: Site, party: RelyingParty, browser: Browser):
    """The new key has another kid and is published; what the old one signed still verifies."""
    before = party.tokens(browser)["id_token"]
    here.server.keyring.rotate("RS256", now=True)
    after = party.redeem(answered(party.start(browser))["code"]).json["id_token"]
    kids = [decoded(token)[0]["kid"] for token in (before, after)]
    assert kids[0] != kids[1]
    assert set(kids) <= {key["kid"] for key in here.http.get(JWKS).json["keys"]}
    assert claims_of(here, before)["sub"] == claims_of(here, after)["sub"]


@proves("S-015", "S-018")
@pytest.mark.parametrize(
    "wrong",
    [
        None,
        f"{REDIRECT_URI}?foo=bar",  # none is registered with a query
        f"{WITH_QUERY}&more=1",
        f"{REDIRECT_URI}?bar=other",
        f"{REDIRECT_URI}#fragment",
    ],
)
def test_a_redirect_uri_is_registered_with_its_query(here: Site, jane: User, browser: Browser, wrong: str | None):
    """Missing, with a query added or another one: a page says so."""
    uris = (REDIRECT_URI, WITH_QUERY) if wrong and WITH_QUERY in wrong else (REDIRECT_URI,)
    answer = relying_party(here, redirect_uris=uris).start(browser, redirect_uri=wrong)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "Location" not in answer.headers


def test_a_registered_query_stays_in_the_answer(here: Site, jane: User, browser: Browser):
    """What is added comes after it."""
    party = relying_party(here, redirect_uris=(WITH_QUERY,))
    party.start(browser, redirect_uri=WITH_QUERY)
    browser.sign_in()
    location = browser.allow().headers["Location"]
    assert location.startswith(f"{WITH_QUERY}&")
    assert party.redeem(answered(browser.page)["code"], redirect_uri=WITH_QUERY).status_code == 200


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_userinfo_is_signed_for_whoever_wants_it(here: Site, jane: User, browser: Browser, alg: str):
    """As a JWT with issuer and audience; the ID token too, by its own algorithm."""
    wanted = {"userinfo_signed_response_alg": alg, "id_token_signed_response_alg": alg}
    party = relying_party(here, metadata=wanted)
    tokens = party.tokens(browser, scope="openid email")
    answer = here.http.get(USERINFO, headers=bearer(tokens["access_token"]))
    assert answer.mimetype == "application/jwt"
    keys = KeySet.import_key_set(here.http.get(JWKS).json)
    for token in (answer.text, tokens["id_token"]):
        told = jwt.decode(token, keys, algorithms=[alg])
        assert (told.header["alg"], told.claims["iss"], told.claims["aud"]) == (alg, ISSUER, party.client_id)
        assert told.claims["sub"] == jane.uid


@proves("OIDC Discovery §3", "S-159")
def test_discovery_has_what_the_profiles_need(tmp_path: Path):
    """Every member that is required, https everywhere, and nothing weaker than the plans allow."""
    told = site(tmp_path, registration="open").http.get("/.well-known/openid-configuration").json
    assert told["issuer"] == ISSUER
    uris = {name: value for name, value in told.items() if name.endswith(("_endpoint", "_uri", "_iframe"))}
    assert [name for name, value in uris.items() if not value.startswith(f"{ISSUER}/")] == []
    wanted = ("authorization", "token", "userinfo", "registration", "end_session", "introspection", "revocation")
    assert {f"{name}_endpoint" for name in wanted} <= told.keys()
    assert {"openid", "profile", "email", "address", "phone", "offline_access"} <= set(told["scopes_supported"])
    assert set(told["response_types_supported"]) == {
        "code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"
    }  # fmt: skip
    assert set(told["response_modes_supported"]) == {"query", "fragment", "form_post"}
    assert set(told["subject_types_supported"]) == {"public", "pairwise"}
    assert "RS256" in told["id_token_signing_alg_values_supported"]
    assert "none" not in told["id_token_signing_alg_values_supported"]
    assert {"sub", "name", "email", "auth_time", "acr"} <= set(told["claims_supported"])
    assert {"authorization_code", "implicit", "refresh_token"} <= set(told["grant_types_supported"])
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert (told["claims_parameter_supported"], told["request_parameter_supported"]) == (True, True)
    assert told["request_uri_parameter_supported"] is True


@proves("S-123")
def test_published_keys_are_public_and_have_names(here: Site):
    """What the discovery module looks at: kid, use and alg on each, no private member, no two alike."""
    keys = here.http.get(JWKS).json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert {key["use"] for key in keys} == {"sig"}
    assert {"RS256", "ES256"} <= {key["alg"] for key in keys}
    assert [key for key in keys if key.keys() & {"d", "p", "q", "k", "oth"}] == []


def claims_of(here: Site, token: str) -> dict[str, Any]:
    """Return the claims of an ID token that verifies."""
    keys = KeySet.import_key_set(here.http.get(JWKS).json)
    return dict(jwt.decode(token, keys, algorithms=["RS256"]).claims)


@proves("S-091")
def test_requests_that_were_answered_count_against_nobody(here: Site, party: RelyingParty, jane: User):
    """A whole plan of the suite, or an office behind one address, signs in one after the other; what is left undone
    is limited."""
    for _ in range(70):
        party.code(Browser(here))
    statuses = [party.start(Browser(here)).status_code for _ in range(FLOOD.burst + 1)]
    assert (set(statuses[:-1]), statuses[-1]) == ({200}, 429)
