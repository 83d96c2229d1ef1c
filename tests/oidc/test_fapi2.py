"""Clients of the FAPI 2.0 Security Profile: what is demanded of them, and a whole flow of theirs."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.errors import InvalidInput
from auth_server.store.records import User
from tests import proves
from tests.oidc.test_bound_flows import ASSERTION_TYPE, userinfo
from tests.people import join
from tests.proofs import Prover
from tests.relying_party import AUTHORIZE, CHALLENGE, REDIRECT_URI, TOKEN, USERINFO, VERIFIER, Browser, answered
from tests.signing import EcKey, compact, decoded, mac
from tests.sites import ISSUER, Site, site

PAR, INTROSPECT = "/api/v1/oauth/par", "/api/v1/oauth/introspect"
SCOPE = "openid offline_access"
_jtis = count()


@dataclass(frozen=True)
class Bank:
    """A program that keeps to the profile."""

    here: Site
    client_id: str
    key: EcKey
    prover: Prover = field(default_factory=lambda: Prover(ISSUER))

    def assertion(self, header: dict[str, Any] | None = None, **changes: object) -> str:
        """Return a good client assertion with *changes*."""
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "exp": self.here.clock.now + 60}
        claims |= {"jti": f"fapi-{next(_jtis)}", **changes}
        return compact({"alg": "ES256", "kid": self.key.kid, **(header or {})}, claims, self.key.sign)

    def post(self, path: str, proof: str | None = None, assertion: str | None = None, **form: str) -> TestResponse:
        """Send a form, with an assertion."""
        sent = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion or self.assertion(), **form}
        return self.here.http.post(path, data=sent, headers={} if proof is None else {"DPoP": proof})

    def proof(self, path: str = TOKEN, **changes: Any) -> str:
        return self.prover.proof(self.here.clock.now, path, **changes)

    def push(self, **changes: str | None) -> TestResponse:
        """Push a request that is in order, with *changes*; None leaves one out."""
        usual: dict[str, str | None] = {
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": SCOPE,
            "state": "s",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return self.post(PAR, **{name: value for name, value in {**usual, **changes}.items() if value is not None})

    def code(self, browser: Browser) -> str:
        """Return a code that a person has allowed."""
        name = self.push().json["request_uri"]
        answer = browser.open(AUTHORIZE, query_string={"client_id": self.client_id, "request_uri": name})
        if 'name="username"' in answer.text:
            answer = browser.sign_in()
        if 'name="decision"' in answer.text:
            answer = browser.allow()
        told = answered(answer)
        assert (told["iss"], told["state"]) == (ISSUER, "s")  # RFC 9207
        return told["code"]

    def redeem(self, code: str, proof: str | None = None) -> TestResponse:
        form = {"code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        return self.post(TOKEN, proof or self.proof(), grant_type="authorization_code", **form)

    def refresh(self, token: str, proof: str | None = None) -> TestResponse:
        return self.post(TOKEN, proof, grant_type="refresh_token", refresh_token=token)


def values(key: EcKey, **changes: Any) -> dict[str, Any]:
    """Members of a client of the profile."""
    return {
        "client_name": "Bank",
        "profile": "fapi2",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": key.jwks,
        "redirect_uris": (REDIRECT_URI,),
        "grant_types": ("authorization_code", "refresh_token"),
        **changes,
    }


@pytest.fixture
def bank(here: Site, jane: User) -> Bank:
    key = EcKey()
    return Bank(here, here.server.clients.add(values(key)).client.client_id, key)


@proves("S-040", "FAPI 2.0 SP §5.3.2.1-9")
def test_a_refresh_leaves_the_token_good(here: Site, bank: Bank, jane: User, browser: Browser):
    """The same one works again at once, after 30 seconds, after days; always with proof of a key, and until the end."""
    tokens = bank.redeem(bank.code(browser)).json
    token = tokens["refresh_token"]
    for seconds in (0, 1, 30, 31, 3600, 10 * 86400):
        here.clock.advance(seconds)
        assert bank.refresh(token).json["error"] == "invalid_dpop_proof"
        renewed = bank.refresh(token, bank.proof())
        assert renewed.status_code == 200, renewed.text
        assert (renewed.json["refresh_token"], renewed.json["token_type"]) == (token, "DPoP")
        assert userinfo(here, bank.prover, renewed.json["access_token"]).json["sub"] == jane.uid
    here.clock.advance(4 * 86400)  # REFRESH_TOKEN_TTL is over (S-041)
    assert bank.refresh(token, bank.proof()).json["error"] == "invalid_grant"


@proves("S-040", "S-042", "S-054")
def test_a_refresh_token_that_stays_can_be_ended(here: Site, bank: Bank, browser: Browser):
    """By the client; and with it all that came of the same authorization."""
    tokens = bank.redeem(bank.code(browser)).json
    renewed = bank.refresh(tokens["refresh_token"], bank.proof()).json
    assert bank.post("/api/v1/oauth/revoke", token=tokens["refresh_token"]).status_code == 200
    assert bank.refresh(tokens["refresh_token"], bank.proof()).json["error"] == "invalid_grant"
    assert userinfo(here, bank.prover, renewed["access_token"]).status_code == 401


@proves("FAPI 2.0 SP §5.3.2", "S-101")
def test_a_whole_flow(here: Site, bank: Bank, jane: User, browser: Browser):
    """Pushed, allowed, redeemed: a bound token, an ID token by an algorithm of the profile."""
    code = bank.code(browser)
    assert bank.post(TOKEN, grant_type="authorization_code", code=code).json["error"] == "invalid_dpop_proof"
    tokens = bank.redeem(code).json
    assert decoded(tokens["id_token"])[0]["alg"] in ("ES256", "PS256", "EdDSA")
    told = bank.post(INTROSPECT, token=tokens["access_token"]).json
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": bank.prover.jkt})
    assert here.http.get(USERINFO, headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code == 401


@proves("FAPI 2.0 SP §5.3.2.1")
def test_a_code_lives_a_minute(tmp_path: Path):
    """Whatever CODE_TTL says."""
    here = site(tmp_path, code_ttl=300)
    join(here)
    key = EcKey()
    bank, browser = Bank(here, here.server.clients.add(values(key)).client.client_id, key), Browser(here)
    good, late = bank.code(browser), bank.code(browser)
    here.clock.advance(59)
    assert bank.redeem(good).status_code == 200
    here.clock.advance(1)
    assert bank.redeem(late).json["error"] == "invalid_grant"


@proves("S-006", "FAPI 2.0 SP §5.3.2.1-8")
@pytest.mark.parametrize("audience", [[ISSUER], ISSUER + TOKEN, ISSUER + PAR, [ISSUER, ISSUER + TOKEN], ISSUER + "/"])
def test_an_assertion_is_for_the_issuer_alone(bank: Bank, audience: object):
    """As a text; nothing else that others may write."""
    for path in (PAR, TOKEN, INTROSPECT):
        refused = bank.post(path, assertion=bank.assertion(aud=audience), token="x", grant_type="refresh_token")
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_client"), path
    assert bank.push().status_code == 201


@proves("FAPI 2.0 SP §5.4.1", "S-008")
def test_weak_algorithms_count_nowhere(here: Site, jane: User):
    """RS256 in assertions and proofs, though others may use it."""
    key = EcKey()
    bank = Bank(here, here.server.clients.add(values(key)).client.client_id, key)
    for header in ({"alg": "RS256"}, {"alg": "ES384"}, {"alg": "none"}):
        assert bank.post(PAR, assertion=bank.assertion(header)).json["error"] == "invalid_client"
    for alg in ("RS256", "ES384", "ES512"):
        proof = bank.proof(header={"alg": alg}, sign=mac(b"x" * 43))
        refused = bank.post(TOKEN, proof, grant_type="client_credentials").json
        assert refused["error"] == "invalid_dpop_proof"
        assert f"alg one of {', '.join(('ES256', 'PS256', 'EdDSA', 'Ed25519'))}" in refused["error_description"]


@proves("S-022", "S-109")
def test_only_pushed_requests_for_a_code_count(bank: Bank, browser: Browser):
    """In the browser, and when they are pushed."""
    plain = {"client_id": bank.client_id, "redirect_uri": REDIRECT_URI, "scope": "openid", "nonce": "n", "state": "s"}
    pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    told = answered(browser.open(AUTHORIZE, query_string={**plain, **pkce, "response_type": "code"}))
    assert (told["error"], told["state"]) == ("invalid_request", "s")
    for response_type in ("token", "id_token", "code id_token", "id_token token", "code token"):
        told = answered(browser.open(AUTHORIZE, query_string={**plain, **pkce, "response_type": response_type}))
        assert told["error"] == "unsupported_response_type"
        pushed = bank.push(response_type=response_type, nonce="n")
        assert (pushed.status_code, pushed.json["error"]) == (400, "unsupported_response_type")


@proves("S-033", "FAPI 2.0 SP §5.3.2.2")
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"redirect_uri": None},
        {"redirect_uri": None, "scope": "offline_access"},
        {"redirect_uri": "https://app.example.org/other"},
    ],
)
def test_a_request_that_leaves_something_out_is_refused(bank: Bank, changes: dict[str, str | None]):
    """PKCE, and where the answer goes."""
    pushed = bank.push(**changes)
    assert (pushed.status_code, pushed.json["error"]) == (400, "invalid_request")


@proves("FAPI 2.0 SP §5.3.2")
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"token_endpoint_auth_method": "client_secret_basic", "jwks": None}, "private_key_jwt"),
        ({"token_endpoint_auth_method": "none", "jwks": None}, "private_key_jwt"),
        ({"redirect_uris": (REDIRECT_URI, "http://127.0.0.1/cb")}, "redirect URIs with https"),
        ({"redirect_uris": (REDIRECT_URI, "org.example.app:/cb")}, "redirect URIs with https"),
        ({"redirect_uris": (), "scope": "openid"}, "a redirect URI"),
        ({"response_types": ("code", "code id_token"), "grant_types": ("authorization_code", "implicit")}, "code"),
        ({"grant_types": ("urn:ietf:params:oauth:grant-type:device_code",)}, "no grant type but"),
        ({"metadata": {"token_endpoint_auth_signing_alg": "RS256"}}, "token_endpoint_auth_signing_alg among"),
        ({"metadata": {"id_token_signed_response_alg": "RS256"}}, "id_token_signed_response_alg among"),
        ({"metadata": {"request_object_signing_alg": "ES384"}}, "request_object_signing_alg among"),
        ({"profile": "fapi9"}, "oauth21, fapi2"),
    ],
)
def test_a_client_that_does_not_fit_is_told_what_is_missing(here: Site, changes: dict[str, Any], missing: str):
    """When it is registered, and when it is changed."""
    with pytest.raises(InvalidInput, match=missing):
        here.server.clients.add(values(EcKey(), **changes))


@proves("S-082")
def test_no_client_chooses_its_profile(tmp_path: Path):
    """Nor leaves it: it is an admin's to set, and a replacement of the metadata leaves it as it is."""
    here, key = site(tmp_path, registration="open"), EcKey()
    metadata = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks}
    told = here.http.post("/api/v1/oauth/register", json={**metadata, "profile": "fapi2"}).json
    assert "profile" not in told
    assert here.server.clients.find(told["client_id"]).profile == "oauth21"
    here.server.clients.change(told["client_id"], {"profile": "fapi2"})
    path = f"/api/v1/oauth/register/{told['client_id']}"
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    body = {**metadata, "client_id": told["client_id"], "profile": "oauth21"}
    assert here.http.put(path, json=body, headers=headers).status_code == 200
    client = here.server.clients.find(told["client_id"])
    assert (client.profile, client.require_par, client.require_dpop) == ("fapi2", True, True)
    refused = here.http.put(path, json={**body, "token_endpoint_auth_method": "none"}, headers=headers)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_client_metadata")
