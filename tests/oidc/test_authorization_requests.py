"""Where answers to authorization requests go, and what is refused before anybody signs in."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from auth_server.store.records import User
from tests import proves
from tests.relying_party import REDIRECT_URI, Browser, RelyingParty, answered, relying_party
from tests.sites import ISSUER, Site

NATIVE = {"token_endpoint_auth_method": "none", "metadata": {"application_type": "native"}}


def told_on_a_page(answer) -> bool:
    """Tell whether the person is told, and nothing is sent anywhere."""
    return (answer.status_code, answer.mimetype, "Location" in answer.headers) == (400, "text/html", False)


@proves("S-015")
@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.org/callback/more",
        "https://app.example.org/callback?x=1",
        "https://app.example.org/Callback",
        "https://app.example.org/a/../callback",
        "https://app.example.org/%2e%2e/callback",
        "https://app.example.org/callback;/..",
        "https://app.example.org\\callback",
        "https://app.example.org:8443/callback",
        "https://www.app.example.org/callback",
        "https://app.example.org@evil.example/callback",
        "https://app.example.org/callback#x",
        "HTTPS://app.example.org/callback",
        "//app.example.org/callback",
        "/callback",
    ],
)
def test_a_redirect_uri_is_compared_as_it_is(party: RelyingParty, browser: Browser, uri: str):
    """Character by character."""
    assert told_on_a_page(party.start(browser, redirect_uri=uri))


@proves("S-016")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_native_client_listens_on_any_port_of_this_machine(here: Site, jane: User, browser: Browser, host: str):
    """And nothing else may differ."""
    party = relying_party(here, redirect_uris=(f"http://{host}/cb",), **NATIVE)
    for port in ("", ":1", ":65535"):
        assert 'name="username"' in party.start(browser, redirect_uri=f"http://{host}{port}/cb").text
    for uri in (
        f"http://{host}:1/cb/",
        f"http://{host}:1/other",
        f"https://{host}:1/cb",
        f"http://{host}:1/cb?x=1",
        f"http://{host}:1/cb#x",
        f"http://{host}:65536/cb",
        f"http://{host}:x/cb",
        "http://localhost.evil.test/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://127.0.0.1@evil.test/cb",
        "http://evil.test:1/cb",
        "http://127.0.0.2/cb",
    ):
        assert told_on_a_page(party.start(browser, redirect_uri=uri)), uri


@proves("S-018", "S-014")
@pytest.mark.parametrize("response_type", ["code", "id_token", "code id_token token", "nonsense", None])
@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": None},
        {"nonce": None},
        {"prompt": "none login"},
        {"code_challenge": None},
        {"claims": "{"},
        {"max_age": "x"},
    ],
)
def test_the_redirect_uri_is_proven_before_all_else(
    party: RelyingParty, browser: Browser, response_type: str | None, wrong: dict[str, str | None]
):
    """Whatever else is wrong with a request."""
    asked = {"redirect_uri": "https://evil.example/cb", "response_type": response_type, **wrong}
    assert told_on_a_page(party.start(browser, **asked))


@proves("S-014")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_who_asks_and_where_to_go_are_said_once(party: RelyingParty, browser: Browser, name: str):
    """Even if both say the same."""
    pairs = [*party.request().items(), (name, party.request()[name])]
    assert told_on_a_page(browser.open("/api/v1/oauth/authorize", query_string=pairs))


@proves("S-014")
@pytest.mark.parametrize("name", ["scope", "state", "nonce", "prompt", "made_up"])
def test_nothing_else_is_said_twice_either(party: RelyingParty, browser: Browser, name: str):
    """The client is told."""
    pairs = [*party.request().items(), (name, "a"), (name, "b")]
    told = answered(browser.open("/api/v1/oauth/authorize", query_string=pairs))
    assert told["error"] == "invalid_request"


@proves("S-019")
def test_nothing_that_was_posted_is_sent_on(here: Site, party: RelyingParty, browser: Browser):
    """Every redirect after a form is a 303: the browser forgets what it sent."""
    party.start(browser)
    path = browser._path
    hidden = browser.hidden()
    sent = browser.http.post(
        path, data={**hidden, "username": "jane", "password": "Blue-whale-42-sings"}, base_url=ISSUER
    )
    assert sent.status_code == 303
    page = browser.open(sent.headers["Location"].removeprefix(ISSUER))
    assert 'name="decision"' in page.text
    assert browser.allow().status_code == 303


@proves("S-020")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
@pytest.mark.parametrize("error", [False, True])
def test_every_answer_says_whose_it_is(here: Site, party: RelyingParty, browser: Browser, mode: str, error: bool):
    """Success and error, in every mode (RFC 9207)."""
    party.code(browser)
    answer = party.start(browser, response_mode=mode, prompt="none" if not error else "none login")
    if mode == "form_post":
        assert f'name="iss" value="{ISSUER}"' in answer.text
        assert ('name="error"' if error else 'name="code"') in answer.text
    else:
        parts = urlsplit(answer.headers["Location"])
        told = dict(parse_qsl(parts.query if mode == "query" else parts.fragment))
        assert told["iss"] == ISSUER
        assert ("error" if error else "code") in told
    assert here.http.get("/.well-known/openid-configuration").json["authorization_response_iss_parameter_supported"]


@proves("S-023")
@pytest.mark.parametrize("word", ["admin:users", "admin:*", "introspect", "metrics", "*"])
def test_scopes_that_the_client_may_not_have_are_refused(party: RelyingParty, browser: Browser, word: str):
    """Those of this server; what it does not know is nothing."""
    assert answered(party.start(browser, scope=f"openid {word}"))["error"] == "invalid_scope"
    tokens = party.tokens(browser, scope="openid made-up-word")
    assert "made-up-word" not in tokens["scope"]
    told = party.post("/api/v1/oauth/introspect", token=tokens["access_token"]).json
    assert told["scope"] == "openid"


@proves("S-027")
@pytest.mark.parametrize("uri", ["http://127.0.0.1/cb", "org.example.app:/cb"])
def test_what_any_program_could_claim_to_be_is_asked_about_each_time(
    here: Site, jane: User, browser: Browser, uri: str
):
    """A public client on this device; its remembered consent counts for nothing."""
    party = relying_party(here, redirect_uris=(uri,), **NATIVE)
    for _ in range(2):
        page = party.start(browser, redirect_uri=uri)
        if 'name="username"' in page.text:
            page = browser.sign_in()
        assert 'name="decision"' in page.text
        assert "code" in answered(browser.allow())
    assert answered(party.start(browser, redirect_uri=uri, prompt="none"))["error"] == "consent_required"


@proves("S-033")
@pytest.mark.parametrize(
    "wrong",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "S512"},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": "short"},
    ],
)
def test_pkce_is_in_order_before_anybody_signs_in(
    here: Site, jane: User, browser: Browser, wrong: dict[str, str | None]
):
    """Of a public client; the others may leave it out, and nothing else."""
    public = relying_party(here, token_endpoint_auth_method="none")
    assert answered(public.start(browser, **wrong))["error"] == "invalid_request"
    told = relying_party(here).start(browser, **wrong)
    if wrong.get("code_challenge", "") is None:
        assert 'name="username"' in told.text
    else:
        assert answered(told)["error"] == "invalid_request"


@proves("S-031")
def test_a_code_is_for_its_client_its_redirect_uri_and_a_minute(
    here: Site, party: RelyingParty, jane: User, browser: Browser
):
    """Otherwise it is refused; nothing is written, and its own client still can."""
    other = relying_party(here)
    code = party.code(browser)
    before = here.stored()
    assert other.redeem(code).json["error"] == "invalid_grant"
    assert party.redeem(code, redirect_uri="https://app.example.org/other").json["error"] == "invalid_grant"
    assert here.stored() == before
    assert party.redeem(code).status_code == 200
    late = party.code(browser)
    here.clock.advance(60)
    assert party.redeem(late).json["error"] == "invalid_grant"
    bound = party.code(browser)
    assert party.redeem(bound, redirect_uri=None).status_code == 200, "PKCE binds the two"
    unbound = party.code(browser, code_challenge=None, code_challenge_method=None)
    assert party.redeem(unbound, redirect_uri=None, code_verifier=None).json["error"] == "invalid_grant"


@proves("S-032")
def test_a_verifier_without_a_challenge_is_refused(party: RelyingParty, browser: Browser):
    """Somebody took the challenge away."""
    code = party.code(browser, code_challenge=None, code_challenge_method=None)
    assert party.redeem(code).json["error"] == "invalid_grant"


@proves("S-039")
def test_a_refresh_token_is_its_clients_alone(here: Site, party: RelyingParty, browser: Browser):
    """Another one cannot use it, nor use it up."""
    token = party.tokens(browser, scope="openid offline_access")["refresh_token"]
    assert relying_party(here).refresh(token).json["error"] == "invalid_grant"
    public = relying_party(here, token_endpoint_auth_method="none")
    assert public.refresh(token).json["error"] == "invalid_grant"
    assert "refresh_token" in party.refresh(token).json


def test_a_request_may_be_posted(party: RelyingParty, browser: Browser):
    """As well as it may stand in a link (OIDC Core §3.1.2.1)."""
    assert 'name="username"' in browser.open("/api/v1/oauth/authorize", "POST", data=party.request()).text
    assert REDIRECT_URI in party.request().values()
