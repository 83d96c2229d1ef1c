"""What people have allowed a client, they have allowed the one that they saw."""

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from auth_server.store.records import User
from tests import proves
from tests.people import bearer, join
from tests.relying_party import REDIRECT_URI, USERINFO, Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site

LOGOUT = "/api/v1/oauth/logout"


@proves("S-028")
@pytest.mark.parametrize(
    "changed",
    [
        {"client_name": "Your Bank"},
        {"redirect_uris": (REDIRECT_URI, "https://evil.example/cb")},
        {"metadata": {"subject_type": "pairwise"}},
    ],
)
def test_a_client_with_another_face_is_asked_about_again(
    here: Site, party: RelyingParty, browser: Browser, changed: dict[str, object]
):
    """Nobody is sent to a place, or to a name, that they have never seen."""
    party.code(browser)
    assert "code" in answered(party.start(browser, prompt="none"))
    here.server.clients.change(party.client_id, {"metadata": {"client_uri": "https://app.example.org/"}})
    assert "code" in answered(party.start(browser, prompt="none")), "that changes nothing"
    here.server.clients.change(party.client_id, changed)
    assert answered(party.start(browser, prompt="none"))["error"] == "consent_required"


@proves("S-092", "S-008")
def test_a_client_cannot_make_a_hint_itself(here: Site, jane: User, browser: Browser):
    """With the secret that it shares with the server, it could name anybody."""
    party = relying_party(here, token_endpoint_auth_method="client_secret_jwt")
    browser.open("/login")
    browser.sign_in()
    now = here.clock.now
    claims = {"iss": ISSUER, "aud": party.client_id, "sub": jane.uid, "iat": now, "exp": now + 60, "auth_time": now}
    forged = jws.serialize_compact(
        {"alg": "HS256", "typ": "JWT"}, str(claims).replace("'", '"').encode(), OctKey.import_key(party.secret or "")
    )
    browser.open(LOGOUT, query_string={"id_token_hint": forged})
    assert browser.open("/account/").request.path == "/account/"


@proves("S-045")
def test_an_answer_of_userinfo_is_no_hint(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """Though it is signed by the same key, for the same client."""
    signed = relying_party(here, metadata={"userinfo_signed_response_alg": "RS256"})
    tokens = signed.tokens(browser)
    told = here.http.get(USERINFO, headers=bearer(tokens["access_token"]))
    assert told.mimetype == "application/jwt"
    answer = browser.open(LOGOUT, query_string={"id_token_hint": told.text})
    assert 'name="decision"' in answer.text or answer.status_code == 400
    assert browser.open("/account/").request.path == "/account/"


@proves("S-152", "S-153")
def test_introspection_names_nobody_to_pairwise_clients(here: Site, jane: User, browser: Browser):
    """Unless the person has allowed their profile."""
    party = relying_party(here, metadata={"subject_type": "pairwise"})
    for scope, named in (("openid", False), ("openid profile", True)):
        token = party.tokens(browser, scope=scope)["access_token"]
        told = party.post("/api/v1/oauth/introspect", token=token).json
        assert ("username" in told) == named


@proves("S-152")
def test_this_machine_is_nobodys_sector(here: Site, jane: User, browser: Browser):
    """Nor is a host, of a client that needs no redirect to be answered."""
    device = "urn:ietf:params:oauth:grant-type:device_code"
    grants = ("authorization_code", device)
    heard = set()
    for uri, more in (("http://127.0.0.1/cb", {}), (REDIRECT_URI, {}), (REDIRECT_URI, {"grant_types": grants})) * 2:
        party = relying_party(here, redirect_uris=(uri,), metadata={"subject_type": "pairwise"}, **more)
        tokens = party.redeem(party.code(browser, redirect_uri=uri), redirect_uri=uri).json
        heard.add(here.http.get(USERINFO, headers=bearer(tokens["access_token"])).json["sub"])
    assert len(heard) == 2 + 1 + 2


@proves("S-026")
def test_no_sign_in_is_young_enough_for_none(party: RelyingParty, browser: Browser):
    """Even one of this very second."""
    party.code(browser)
    assert answered(party.start(browser, prompt="none", max_age="0"))["error"] == "login_required"
    party.start(browser, max_age="0")
    assert "code" in answered(browser.sign_in())


@proves("S-014")
def test_a_scope_by_default_needs_a_redirect_uri_too(party: RelyingParty, browser: Browser):
    """An OpenID request is one, whoever names its scope."""
    answer = party.start(browser, scope=None, redirect_uri=None)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_an_office_is_no_flood(here: Site, party: RelyingParty):
    """Many may be about to sign in from one address."""
    join(here, "bob")
    for _ in range(200):
        assert party.start(Browser(here)).status_code == 200
