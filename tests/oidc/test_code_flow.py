"""The authorization code flow, from the link to the claims."""

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_server.domain.users import Changes
from auth_server.store.records import User
from auth_server.store.state import Page
from tests import proves
from tests.people import bearer
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site

OFFLINE = "openid email profile offline_access"


def test_a_person_signs_in_and_allows_a_client(here: Site, party: RelyingParty, jane: User, browser: Browser):
    """Login, consent, code, tokens, claims: each as the specifications have it."""
    page = party.start(browser, scope=OFFLINE)
    assert (page.status_code, 'name="username"' in page.text) == (200, True)
    page = browser.sign_in()
    assert "Album" in page.text
    told = answered(browser.allow())
    assert {name: told[name] for name in ("state", "iss")} == {"state": "af0ifjsldkj", "iss": ISSUER}
    tokens = party.redeem(told["code"])
    assert tokens.status_code == 200, tokens.text
    assert tokens.json["refresh_token"].startswith("rt_")
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    decoded = jwt.decode(tokens.json["id_token"], keys, algorithms=["RS256"])
    assert decoded.header["alg"] == "RS256"
    claims = decoded.claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, party.client_id, jane.uid)
    assert (claims["nonce"], claims["auth_time"], claims["acr"]) == ("n-0S6_WzA2Mj", here.clock.now, "1")
    assert claims["exp"] == here.clock.now + 600
    info = here.http.get(USERINFO, headers=bearer(tokens.json["access_token"]))
    assert info.json["sub"] == jane.uid
    assert (info.json["email"], info.json["email_verified"]) == ("jane@example.org", False)
    assert info.json["preferred_username"] == "jane"


def test_what_was_allowed_is_not_asked_again(party: RelyingParty, browser: Browser):
    """Neither for the same nor for less; for more it is."""
    party.tokens(browser, scope="openid email")
    assert "code" in answered(party.start(browser, scope="openid email"))
    assert "code" in answered(party.start(browser, scope="openid"))
    assert 'name="decision"' in party.start(browser, scope="openid profile").text


def test_whoever_says_no_is_asked_again(party: RelyingParty, browser: Browser):
    """The client is told, and nothing is remembered."""
    party.start(browser)
    browser.sign_in()
    assert answered(browser.send(decision="deny"))["error"] == "access_denied"
    assert 'name="decision"' in party.start(browser).text


@proves("S-029")
def test_a_second_redemption_revokes_what_the_first_gave(here: Site, party: RelyingParty, browser: Browser):
    """Somebody else knows the code: all of it ends, and the audit names whose it was."""
    code = party.code(browser, scope=OFFLINE)
    first = party.redeem(code).json
    second = party.redeem(code)
    assert (second.status_code, second.json["error"]) == (400, "invalid_grant")
    event = here.server.records.audit.page(Page(1))[0]
    assert (event.event, event.actor) == ("code.reuse", here.server.users.find("jane").uid)
    assert here.http.get(USERINFO, headers=bearer(first["access_token"])).status_code == 401
    assert party.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


@proves("S-036", "S-038")
def test_a_refresh_token_has_one_successor(here: Site, party: RelyingParty, browser: Browser):
    """Soon after it gives the same one again; later, or when that was used, everything ends."""
    first = party.tokens(browser, scope=OFFLINE)["refresh_token"]
    second = party.refresh(first).json["refresh_token"]
    assert second != first
    here.clock.advance(9)
    assert party.refresh(first).json["refresh_token"] == second
    here.clock.advance(1)
    reused = party.refresh(first)
    assert (reused.status_code, reused.json["error"]) == (400, "invalid_grant")
    assert party.refresh(second).json["error"] == "invalid_grant"


def test_the_grace_ends_with_the_successors_use(party: RelyingParty, browser: Browser):
    """Whoever has the third has had the second's answer."""
    first = party.tokens(browser, scope=OFFLINE)["refresh_token"]
    second = party.refresh(first).json["refresh_token"]
    party.refresh(second)
    assert party.refresh(first).json["error"] == "invalid_grant"


@proves("S-041")
def test_a_line_ends_whatever_its_use(here: Site, party: RelyingParty, browser: Browser):
    """Counted from the first grant."""
    token = party.tokens(browser, scope=OFFLINE)["refresh_token"]
    for _ in range(3):
        here.clock.advance(5 * 86400)
        answer = party.refresh(token)
        token = answer.json.get("refresh_token", "")
    assert answer.json["error"] == "invalid_grant"


@proves("S-034", "S-042")
@pytest.mark.parametrize("change", [Changes(enabled=False), Changes(password="Another-whale-43-sings")])
def test_nothing_outlives_its_person(here: Site, party: RelyingParty, browser: Browser, jane: User, change: Changes):
    """Neither codes nor refresh tokens nor access tokens, after a disable or a new password."""
    tokens, code = party.tokens(browser, scope=OFFLINE), party.code(browser, scope=OFFLINE)
    here.server.users.change(jane.uid, change)
    assert party.redeem(code).json["error"] == "invalid_grant"
    assert party.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert here.http.get(USERINFO, headers=bearer(tokens["access_token"])).status_code == 401


def test_prompt_none_never_shows_a_page(party: RelyingParty, browser: Browser):
    """It says what would have to be done."""
    assert answered(party.start(browser, prompt="none"))["error"] == "login_required"
    party.start(browser)
    browser.sign_in()
    assert answered(party.start(browser, prompt="none"))["error"] == "consent_required"
    party.code(browser)
    assert "code" in answered(party.start(browser, prompt="none"))


@proves("S-026")
def test_prompt_login_asks_again(here: Site, party: RelyingParty, browser: Browser):
    """However fresh the sign-in is, and each time."""
    party.tokens(browser)
    for _ in range(2):
        assert 'name="username"' in party.start(browser, prompt="login").text
    here.clock.advance(5)
    assert "code" in answered(browser.sign_in())


@proves("S-032")
@pytest.mark.parametrize("verifier", [None, "", "x" * 43])
def test_a_code_needs_its_verifier(party: RelyingParty, browser: Browser, verifier: str | None):
    """Missing, empty or wrong: it is refused."""
    answer = party.redeem(party.code(browser), code_verifier=verifier)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")


@proves("S-014", "S-015")
@pytest.mark.parametrize(
    "wrong",
    [{"client_id": "nobody"}, {"redirect_uri": None}, {"redirect_uri": "https://app.example.org/callback/"}],
)
def test_what_is_not_proven_is_told_on_a_page(party: RelyingParty, browser: Browser, wrong: dict[str, str | None]):
    """Nothing is sent anywhere."""
    answer = party.start(browser, **wrong)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert "Location" not in answer.headers


def test_a_refresh_token_is_introspected_by_its_client(here: Site, party: RelyingParty, browser: Browser):
    """As long as it counts; by nobody else."""
    first = party.tokens(browser, scope=OFFLINE)["refresh_token"]
    told = party.post("/api/v1/oauth/introspect", token=first).json
    assert (told["active"], told["client_id"], told["username"]) == (True, party.client_id, "jane")
    other = relying_party(here)
    assert other.post("/api/v1/oauth/introspect", token=first).json == {"active": False}
    party.refresh(first)
    assert party.post("/api/v1/oauth/introspect", token=first).json == {"active": False}


@proves("S-054", "S-053")
def test_revoking_a_refresh_token_ends_all_of_its_line(here: Site, party: RelyingParty, browser: Browser):
    """By its own client only."""
    tokens = party.tokens(browser, scope=OFFLINE)
    other = relying_party(here).post("/api/v1/oauth/revoke", token=tokens["refresh_token"])
    assert (other.status_code, other.json["error"]) == (400, "invalid_grant")
    assert party.post("/api/v1/oauth/revoke", token=tokens["refresh_token"]).status_code == 200
    assert here.http.get(USERINFO, headers=bearer(tokens["access_token"])).status_code == 401
    assert party.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_what_a_client_gets_for_itself_signs_nobody_out(here: Site, jane: User, browser: Browser):
    """Its limit is one for its own tokens: the people who are signed in to it are many."""
    grants = ("authorization_code", "refresh_token", "client_credentials")
    party = relying_party(here, grant_types=grants, scope="openid metrics", token_limit=1)
    person = party.tokens(browser, scope="openid")["access_token"]
    own = [party.post(grant_type="client_credentials", scope="metrics").json["access_token"] for _ in range(2)]
    asked = [party.post("/api/v1/oauth/introspect", token=token).json["active"] for token in (person, *own)]
    assert asked == [True, False, True]
