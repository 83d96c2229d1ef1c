"""Pushed authorization requests (RFC 9126): from the client's own request to the person's answer."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.protocol.endpoints.pushed_authorization import FLOOD, PREFIX
from auth_server.store.records import User
from auth_server.store.state import Kind
from tests import proves
from tests.people import join
from tests.proofs import Prover
from tests.relying_party import AUTHORIZE, TOKEN, Browser, RelyingParty, answered, relying_party
from tests.signing import EcKey, compact
from tests.sites import ISSUER, Site, site

PAR = "/api/v1/oauth/par"


def push(party: RelyingParty, proof: str | None = None, **parameters: str | None) -> TestResponse:
    """Push a request."""
    return party.post(PAR, proof=proof, **party.request(**parameters))


def pushed(party: RelyingParty, **parameters: Any) -> str:
    """Push a request that is in order; return its name."""
    answer = push(party, **parameters)
    assert answer.status_code == 201, answer.text
    name: str = answer.json["request_uri"]
    return name


def follow(browser: Browser, client_id: str, name: str, **beside: str) -> TestResponse:
    """Open a pushed request."""
    return browser.open(AUTHORIZE, query_string={"client_id": client_id, "request_uri": name, **beside})


def is_page(answer: TestResponse) -> bool:
    """Tell whether a person is told, and nobody else."""
    return answer.status_code == 400 and "Location" not in answer.headers and answer.mimetype == "text/html"


@proves("RFC 9126 §2.2", "RFC 9126 §4")
def test_a_pushed_request_is_answered(here: Site, party: RelyingParty, browser: Browser):
    """The browser carries its name; the rest is as ever, and the store holds the name's digest only."""
    answer = push(party, state="pushed")
    assert (answer.status_code, answer.json["expires_in"]) == (201, 60)
    assert answer.headers["Cache-Control"] == "no-store"
    name = answer.json["request_uri"]
    assert name.startswith(PREFIX)
    assert len(name) == len(PREFIX) + 43
    assert name.removeprefix(PREFIX) not in str(here.stored())
    follow(browser, party.client_id, name)
    browser.sign_in()
    told = answered(browser.allow())
    assert (told["state"], told["iss"]) == ("pushed", ISSUER)
    assert party.redeem(told["code"]).status_code == 200


@proves("S-107", "RFC 9126 §4", "RFC 9101 §5")
def test_nothing_beside_the_name_counts(party: RelyingParty, browser: Browser):
    """Another scope, place or state in the browser changes nothing."""
    beside = {"scope": "openid email", "redirect_uri": "https://evil.test/cb", "state": "evil", "prompt": "none"}
    follow(browser, party.client_id, pushed(party, state="good"), **beside)
    browser.sign_in()
    told = answered(browser.allow())
    assert told["state"] == "good"
    assert party.redeem(told["code"]).json["scope"] == "openid"


@proves("S-107", "RFC 9126 §2.2", "RFC 9126 §7.3")
def test_a_name_is_its_clients_alone(here: Site, party: RelyingParty, browser: Browser):
    """Another client, an invented name, none: a page; the owner's request is not used up by that."""
    other, name = relying_party(here), pushed(party)
    assert is_page(follow(browser, other.client_id, name))
    assert is_page(follow(browser, "", name))
    assert is_page(follow(browser, party.client_id, PREFIX + "x" * 43))
    assert is_page(follow(browser, party.client_id, PREFIX))
    assert is_page(follow(browser, party.client_id, name, request="e30.e30."))
    assert is_page(browser.open(AUTHORIZE, query_string=[("client_id", party.client_id), *[("request_uri", name)] * 2]))
    assert 'name="username"' in follow(browser, party.client_id, name).text


@proves("S-107")
def test_a_name_expires(here: Site, party: RelyingParty, browser: Browser):
    """After PAR_TTL it opens nothing; who has opened it before may take their time."""
    opened, late = pushed(party), pushed(party)
    follow(browser, party.client_id, opened)
    here.clock.advance(60)
    assert is_page(follow(Browser(here), party.client_id, late))
    here.clock.advance(1800)
    browser.sign_in()
    assert "code" in answered(browser.allow())


@proves("S-107", "RFC 9126 §7.3")
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_request_is_answered_once(here: Site, party: RelyingParty, decision: str):
    """Opened twice before that it works; afterwards there is a page, in the other window too."""
    name, first, second = pushed(party, prompt="consent"), Browser(here), Browser(here)
    for window in (first, second):
        follow(window, party.client_id, name)
        follow(window, party.client_id, name)
        window.sign_in()
    told = answered(first.send(decision=decision))
    assert ("code" in told) == (decision == "allow")
    assert is_page(second.allow())
    assert is_page(follow(first, party.client_id, name))


@proves("S-108", "RFC 9126 §2.1", "RFC 9126 §2.3")
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"request_uri": PREFIX + "x"}, "invalid_request"),
        ({"redirect_uri": "https://app.example.org/other"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "id_token"}, "unauthorized_client"),
        ({"response_type": "magic"}, "unsupported_response_type"),
        ({"scope": "admin:users"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"claims": "{"}, "invalid_request"),
        ({"dpop_jkt": "x"}, "invalid_request"),
        ({"request": "e30.e30.AA"}, "invalid_request_object"),
        ({"ui_locales": "de " * 10000}, "invalid_request"),
    ],
)
def test_what_is_not_in_order_is_told_at_once(
    here: Site, party: RelyingParty, parameters: dict[str, str | None], error: str
):
    """400 with the code that the authorization endpoint would give; nothing waits."""
    kept = here.stored()
    answer = push(party, **parameters)
    assert (answer.status_code, answer.json["error"]) == (400, error)
    assert here.stored() == kept


@proves("S-033")
@pytest.mark.parametrize("method", ["plain", None, "S512"])
def test_pkce_is_checked_when_it_is_pushed(party: RelyingParty, method: str | None):
    answer = push(party, code_challenge_method=method)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@proves("S-033", "S-108")
def test_a_public_client_pushes_too(here: Site, jane: User, browser: Browser):
    """By its client_id, and with PKCE."""
    party = relying_party(here, token_endpoint_auth_method="none")
    refused = push(party, code_challenge=None, code_challenge_method=None)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    follow(browser, party.client_id, pushed(party))
    browser.sign_in()
    assert "code" in answered(browser.allow())


@proves("S-108", "RFC 9126 §2.1")
def test_only_the_client_pushes(here: Site, party: RelyingParty):
    """Without its credentials, or with wrong ones: 401; by another method: 405."""
    request = party.request()
    nameless = {name: value for name, value in request.items() if name != "client_id"}
    for data, auth in ((request, None), (request, party.client_id), (nameless, None), (nameless, "nobody")):
        answer = here.http.post(PAR, data=data, auth=(auth, "x" * 43) if auth else None)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    for method in ("GET", "PUT", "DELETE"):
        answer = here.http.open(PAR, method=method)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
    query = here.http.post(f"{PAR}?scope=openid", data=request, auth=(party.client_id, party.secret or ""))
    assert (query.status_code, query.json["error"]) == (400, "invalid_request")


@proves("S-108", "S-011")
def test_a_parameter_stands_there_once(here: Site, party: RelyingParty):
    body = "scope=openid&scope=email&response_type=code"
    credentials = (party.client_id, party.secret or "")
    form = "application/x-www-form-urlencoded"
    answer = here.http.post(PAR, data=body, content_type=form, auth=credentials)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@proves("S-109", "RFC 9126 §5", "RFC 9126 §6")
@pytest.mark.parametrize("by", ["client", "server"])
def test_who_must_push_gets_nothing_otherwise(tmp_path: Path, by: str):
    """The client is told, before anybody signs in; discovery says so where it is the server's rule."""
    here = site(tmp_path, par_required=by == "server")
    join(here)
    party, browser = relying_party(here, require_par=by == "client"), Browser(here)
    assert answered(party.start(browser))["error"] == "invalid_request"
    told = here.http.get("/.well-known/openid-configuration").json
    assert told["require_pushed_authorization_requests"] is (by == "server")
    assert told["pushed_authorization_request_endpoint"] == ISSUER + PAR
    follow(browser, party.client_id, pushed(party))
    browser.sign_in()
    assert "code" in answered(browser.allow())


@proves("RFC 9126 §3")
def test_a_request_object_may_be_pushed(here: Site, jane: User, browser: Browser):
    """Its parameters count; a client that must sign its requests pushes nothing else."""
    key = EcKey()
    values = {"request_object_signing_alg": "ES256", "require_signed_request_object": True}
    party = relying_party(here, jwks=key.jwks, metadata=values)
    refused = push(party)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    claims = {**party.request(state="signed"), "iss": party.client_id, "aud": ISSUER, "exp": here.clock.now + 30}
    answer = party.post(PAR, request=compact({"alg": "ES256", "kid": "k1"}, claims, key.sign))
    assert answer.status_code == 201, answer.text
    here.clock.advance(45)  # the object has expired, what it said waits
    follow(browser, party.client_id, answer.json["request_uri"])
    browser.sign_in()
    assert answered(browser.allow())["state"] == "signed"


@proves("S-102", "RFC 9449 §10.1")
def test_the_code_belongs_to_the_key_that_pushed(here: Site, party: RelyingParty, browser: Browser):
    """A proof at par names the key; a dpop_jkt beside it must agree."""
    prover, thief = Prover(ISSUER), Prover(ISSUER)
    proof = lambda who, path: who.proof(here.clock.now, path)  # noqa: E731
    refused = push(party, proof(prover, PAR), dpop_jkt=thief.jkt)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_dpop_proof")
    assert push(party, proof(prover, PAR), dpop_jkt=prover.jkt).status_code == 201
    used = proof(prover, PAR)
    follow(browser, party.client_id, pushed(party, proof=used))
    replay = push(party, used)
    assert (replay.status_code, replay.json["error"]) == (400, "invalid_dpop_proof")  # S-098
    browser.sign_in()
    code = answered(browser.allow())["code"]
    assert party.redeem(code, proof=proof(thief, TOKEN)).json["error"] == "invalid_grant"
    assert party.redeem(code, proof=proof(prover, TOKEN)).json["token_type"] == "DPoP"


@proves("S-091")
@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
def test_pushing_has_an_end(here: Site, jane: User, browser: Browser, method: str):
    """Beyond the quota 429; those that are answered count no more, others go with time, and what expired is purged."""
    party, other = relying_party(here, token_endpoint_auth_method=method), relying_party(here)
    source = party.client_id if method != "none" else ""
    for _ in range(FLOOD.burst - 1):
        here.server.throttles.pushed(source, "", FLOOD)  # this browser and program have no address
    name = pushed(party)
    assert push(party).status_code == 429
    assert push(other).status_code == 201
    follow(browser, party.client_id, name)
    browser.sign_in()
    browser.allow()
    assert push(party).status_code == 201
    here.clock.advance(5 * 3600)
    here.server.state.purge(here.clock.now, 1000)
    assert not list(here.server.state.each(Kind.PUSHED_REQUEST, 0))


@proves("S-013")
def test_a_removed_client_leaves_nothing_behind(here: Site, party: RelyingParty, browser: Browser):
    name = pushed(party)
    here.server.clients.remove(party.client_id)
    assert is_page(follow(browser, party.client_id, name))
    assert not list(here.server.state.each(Kind.PUSHED_REQUEST, 0))
