"""DPoP (RFC 9449) from the authorization request to the refresh: codes and refresh tokens that belong to a key."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.store.records import User
from tests import proves
from tests.people import join
from tests.proofs import Prover
from tests.relying_party import REDIRECT_URI, TOKEN, USERINFO, VERIFIER, Browser, RelyingParty, answered, relying_party
from tests.signing import EcKey, compact
from tests.sites import ISSUER, Site, site

OFFLINE = "openid offline_access"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def prover() -> Prover:
    return Prover(ISSUER)


@pytest.fixture
def public(here: Site, jane: User) -> RelyingParty:
    """A client that has nothing but a key."""
    return relying_party(here, token_endpoint_auth_method="none")


def userinfo(here: Site, prover: Prover, token: str) -> TestResponse:
    proof = prover.proof(here.clock.now, USERINFO, "GET", token=token)
    return here.http.get(USERINFO, headers={"Authorization": f"DPoP {token}", "DPoP": proof})


@proves("RFC 9449 §5", "S-101")
def test_a_whole_flow_with_a_key(here: Site, jane: User, browser: Browser, prover: Prover):
    """Code, userinfo, refresh, each with a proof; without one nothing, on refresh neither."""
    party = relying_party(here, require_dpop=True)
    code = party.code(browser, scope=OFFLINE)
    refused = party.redeem(code)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_dpop_proof")
    tokens = party.redeem(code, proof=prover.proof(here.clock.now, TOKEN)).json
    assert tokens["token_type"] == "DPoP"
    assert userinfo(here, prover, tokens["access_token"]).json["sub"] == jane.uid
    refused = party.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_dpop_proof")
    other = Prover(ISSUER)  # of a client that authenticates any key of its own will do (RFC 9449 §5)
    renewed = party.refresh(tokens["refresh_token"], proof=other.proof(here.clock.now, TOKEN)).json
    assert renewed["token_type"] == "DPoP"
    assert userinfo(here, prover, renewed["access_token"]).status_code == 401
    assert userinfo(here, other, renewed["access_token"]).json["sub"] == jane.uid


@proves("S-039", "RFC 9449 §5")
def test_a_public_clients_refresh_token_needs_its_key(
    here: Site, public: RelyingParty, browser: Browser, prover: Prover
):
    """Another key, or none: refused and not used up; the right one goes on, through several refreshes."""
    code, thief = public.code(browser, scope=OFFLINE), Prover(ISSUER)
    token = public.redeem(code, proof=prover.proof(here.clock.now, TOKEN)).json["refresh_token"]
    for _ in range(3):
        for proof in (None, thief.proof(here.clock.now, TOKEN)):
            refused = public.refresh(token, proof=proof)
            assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")
        renewed = public.refresh(token, proof=prover.proof(here.clock.now, TOKEN))
        assert renewed.status_code == 200, renewed.text
        token = renewed.json["refresh_token"]
        here.clock.advance(60)
    entitled = here.server.clients.add({"client_name": "api", "scope": "introspect"})
    credentials = (entitled.client.client_id, entitled.secret or "")
    told = here.http.post("/api/v1/oauth/introspect", data={"token": token}, auth=credentials).json
    assert told["cnf"] == {"jkt": prover.jkt}


@proves("RFC 9449 §5")
def test_a_public_clients_refresh_token_takes_the_key_of_the_first_proof(
    here: Site, public: RelyingParty, browser: Browser, prover: Prover
):
    """One that began without a key: the successor of the first refresh with a proof needs that key, and keeps it."""
    tokens = public.redeem(public.code(browser, scope=OFFLINE)).json
    plain = public.refresh(tokens["refresh_token"]).json
    assert (tokens["token_type"], plain["token_type"]) == ("Bearer", "Bearer")
    bound = public.refresh(plain["refresh_token"], proof=prover.proof(here.clock.now, TOKEN)).json
    assert bound["token_type"] == "DPoP"
    for token in (plain["refresh_token"], bound["refresh_token"]):
        for proof in (None, Prover(ISSUER).proof(here.clock.now, TOKEN)):
            assert public.refresh(token, proof=proof).json["error"] == "invalid_grant"
    again = public.refresh(plain["refresh_token"], proof=prover.proof(here.clock.now, TOKEN)).json
    assert again["refresh_token"] == bound["refresh_token"], "a repeated request"
    assert public.refresh(bound["refresh_token"], proof=prover.proof(here.clock.now, TOKEN)).status_code == 200


@proves("S-039")
def test_a_device_keeps_its_key(here: Site, jane: User, browser: Browser, prover: Prover):
    """What a device without a secret gets is bound to the key that it came back with."""
    device = relying_party(
        here, token_endpoint_auth_method="none", grant_types=(DEVICE, "refresh_token"), redirect_uris=(),
        scope=OFFLINE,
    )  # fmt: skip
    begun = device.post("/api/v1/oauth/device_authorization", scope=OFFLINE).json
    browser.open(begun["verification_uri_complete"].removeprefix(ISSUER))
    browser.sign_in()
    browser.allow()
    proof = prover.proof(here.clock.now, TOKEN)
    tokens = device.post(grant_type=DEVICE, device_code=begun["device_code"], proof=proof).json
    assert tokens["token_type"] == "DPoP"
    assert device.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert device.refresh(tokens["refresh_token"], proof=prover.proof(here.clock.now, TOKEN)).status_code == 200


@proves("S-102", "RFC 9449 §10")
def test_a_code_may_belong_to_a_key(here: Site, party: RelyingParty, browser: Browser, prover: Prover):
    """With another key's proof, or none, it is worth nothing; it is not used up, and nothing is written but the jti."""
    code = party.code(browser, dpop_jkt=prover.jkt)
    kept = here.stored()
    for proof in (None, Prover(ISSUER).proof(here.clock.now, TOKEN)):
        refused = party.redeem(code, proof=proof)
        assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")
    changed = {name for name, rows in here.stored().items() if rows != kept.get(name)}
    assert changed <= {"spent"}, changed
    assert party.redeem(code, proof=prover.proof(here.clock.now, TOKEN)).json["token_type"] == "DPoP"


@proves("RFC 9449 §10")
@pytest.mark.parametrize("wrong", ["x", "A" * 42, "A" * 44, "=" * 43])
def test_a_thumbprint_must_be_one(party: RelyingParty, browser: Browser, wrong: str):
    """Told to the client before anybody signs in."""
    assert answered(party.start(browser, dpop_jkt=wrong))["error"] == "invalid_request"


@proves("S-103", "RFC 9449 §8")
def test_to_be_asked_for_a_nonce_uses_nothing_up(tmp_path: Path, prover: Prover):
    """Code, refresh token and the assertion's jti are as good as before."""
    here = site(tmp_path, dpop_nonce_required=True)
    join(here)
    key = EcKey()
    party = relying_party(here, token_endpoint_auth_method="private_key_jwt", jwks=key.jwks)
    browser = Browser(here)

    def assertion(jti: str) -> str:
        claims = {"iss": party.client_id, "sub": party.client_id, "aud": ISSUER, "exp": here.clock.now + 60, "jti": jti}
        return compact({"alg": "ES256", "kid": "k1"}, claims, key.sign)

    def ask(jti: str, nonce: str | None, **form: str) -> TestResponse:
        sent: dict[str, Any] = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(jti), **form}
        headers = {"DPoP": prover.proof(here.clock.now, TOKEN, nonce=nonce)}
        return here.http.post(TOKEN, data=sent, headers=headers)

    def twice(jti: str, **form: str) -> dict[str, Any]:
        kept = here.stored()
        refused = ask(jti, None, **form)
        assert (refused.status_code, refused.json["error"]) == (400, "use_dpop_nonce")
        assert here.stored() == kept
        answer = ask(jti, refused.headers["DPoP-Nonce"], **form)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json
        return told

    code = {"grant_type": "authorization_code", "code": party.code(browser, scope=OFFLINE)}
    tokens = twice("a", **code, redirect_uri=REDIRECT_URI, code_verifier=VERIFIER)
    assert twice("b", grant_type="refresh_token", refresh_token=tokens["refresh_token"])["token_type"] == "DPoP"
