"""What a client may demand of a sign-in, and what it hears of a person."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_server.domain.users import Changes
from auth_server.store.records import User
from tests import proves
from tests.authenticators import activated
from tests.people import bearer, join, signed_in
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.sites import Site, site

CLAIMS = {"given_name": "Jane", "phone_number": "+49 30 1", "groups": ["staff"], "salary": 1}


def told_in(here: Site, tokens: dict[str, str]) -> dict[str, object]:
    """Return the claims of the ID token."""
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    return dict(jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims)


def info(here: Site, tokens: dict[str, str]) -> dict[str, object]:
    """Return what userinfo tells."""
    told: dict[str, object] = here.http.get(USERINFO, headers=bearer(tokens["access_token"])).json
    return told


def wanted(**asked: object) -> str:
    """A claims parameter for the ID token."""
    return json.dumps({"id_token": asked})


@pytest.mark.parametrize(("asked", "acr"), [("1 2", "1"), ("2", "1"), ("urn:gold 1", "1"), (None, "1")])
def test_acr_values_are_a_wish(here: Site, party: RelyingParty, browser: Browser, asked: str | None, acr: str):
    """The ID token says what was done."""
    assert told_in(here, party.tokens(browser, acr_values=asked))["acr"] == acr


def test_a_second_factor_is_both_classes(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """The client hears the first one that it named."""
    phone = activated(here, jane, signed_in(here))
    party.start(browser)
    browser.sign_in()
    browser.send(passcode=phone.next_code())
    browser.allow()
    for asked, acr in ((None, "2"), ("1 2", "1"), ("2 1", "2"), ("urn:gold", "2")):
        assert told_in(here, party.tokens(browser, acr_values=asked))["acr"] == acr


@pytest.mark.parametrize("asked", [{"value": "2"}, {"values": ["2", "urn:gold"]}])
def test_an_essential_class_that_cannot_be_had_is_told(party: RelyingParty, browser: Browser, asked: dict[str, object]):
    """Nobody is let in with less (OIDC Core §5.5.1.1)."""
    party.start(browser, claims=wanted(acr={"essential": True, **asked}))
    assert answered(browser.sign_in())["error"] == "unmet_authentication_requirements"
    told = answered(party.start(browser, prompt="none", claims=wanted(acr={"essential": True, **asked})))
    assert told["error"] == "unmet_authentication_requirements"
    assert told_in(party.here, party.tokens(browser, claims=wanted(acr=asked)))["acr"] == "1"


def test_whoever_can_prove_more_is_asked_to(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """A sign-in by password alone is not enough, though it is fresh."""
    party.tokens(browser)
    phone = activated(here, jane, signed_in(here))
    browser.open("/login")
    browser.sign_in()
    browser.send(passcode=phone.next_code())
    asked = wanted(acr={"essential": True, "values": ["2"]})
    assert "code" in answered(party.start(browser, claims=asked, prompt="none"))


def test_only_the_person_who_is_named_will_do(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """By `sub` in the claims or by an ID token; another one who signs in gives an error."""
    bob = join(here, "bob")
    hint = party.tokens(browser)["id_token"]
    assert answered(party.start(browser, prompt="none", claims=wanted(sub={"value": bob.uid})))["error"] == (
        "login_required"
    )
    assert "code" in answered(party.start(browser, prompt="none", claims=wanted(sub={"value": jane.uid})))
    both = answered(party.start(browser, id_token_hint=hint, claims=wanted(sub={"value": bob.uid})))
    assert both["error"] == "invalid_request"
    stranger = Browser(here)
    party.start(stranger, id_token_hint=hint)
    assert answered(stranger.sign_in("bob"))["error"] == "login_required"


@proves("S-153")
def test_a_client_hears_what_was_granted_and_no_more(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """Neither by scope nor by name, and nobody's word is taken for an address being theirs."""
    here.server.users.change(jane.uid, Changes(claims={**CLAIMS, "email_verified": True}))
    told = info(here, party.tokens(browser, scope="openid profile"))
    assert told.keys() >= {"sub", "preferred_username", "given_name"}
    assert told.keys() & {"email", "phone_number", "groups", "salary", "email_verified"} == set()
    asked = json.dumps({"userinfo": {"email": None, "phone_number": {"essential": True}, "salary": None}})
    tokens = party.tokens(browser, claims=asked)
    told = info(here, tokens)
    assert (told["sub"], told["email"], told["phone_number"]) == (jane.uid, "jane@example.org", CLAIMS["phone_number"])
    assert told.get("email_verified", False) is False
    assert "salary" not in told
    assert told_in(here, tokens).keys() & {"email", "phone_number", "salary"} == set()


@proves("S-152")
def test_clients_of_other_sectors_cannot_compare_persons(here: Site, jane: User, browser: Browser):
    """Not by `sub` and not by `sid`, in any place; those of one sector can by `sub`."""
    parties = [
        relying_party(here, metadata={"subject_type": "pairwise"}, redirect_uris=(uri,), scope="openid")
        for uri in ("https://a.example/cb", "https://b.example/cb", "https://a.example/other")
    ]
    heard = []
    for party, uri in zip(
        parties, ("https://a.example/cb", "https://b.example/cb", "https://a.example/other"), strict=True
    ):
        tokens = party.redeem(party.code(browser, redirect_uri=uri), redirect_uri=uri).json
        claims = told_in(here, tokens)
        inside = party.post("/api/v1/oauth/introspect", token=tokens["access_token"]).json
        assert claims["sub"] == info(here, tokens)["sub"] == inside["sub"] != jane.uid
        heard.append((claims["sub"], claims["sid"]))
    assert heard[0][0] == heard[2][0] != heard[1][0]
    assert len({sid for _, sid in heard}) == 3


def test_scopes_of_ones_own_stand_for_claims(tmp_path, browser: Browser):
    """By a setting; discovery names them, and the page says what is given away."""
    here = site(tmp_path / "own", scope_claims={"team": ["groups", "salary"]})
    jane = join(here)
    here.server.users.change(jane.uid, Changes(claims=CLAIMS))
    party, browser = relying_party(here, scope="openid team"), Browser(here)
    party.start(browser, scope="openid team")
    page = browser.sign_in()
    assert "groups, salary" in page.text
    tokens = party.redeem(answered(browser.allow())["code"]).json
    told = info(here, tokens)
    assert (told["groups"], told["salary"]) == (["staff"], 1)
    known = here.http.get("/.well-known/openid-configuration").json
    assert {"groups", "salary"} <= set(known["claims_supported"])
    assert "team" in known["scopes_supported"]
