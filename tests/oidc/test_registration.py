"""Clients that register themselves and look after that: RFC 7591, RFC 7592, OpenID Connect Registration."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey
from werkzeug.test import TestResponse

from auth_server.background import Background
from auth_server.domain.audit import Actor
from auth_server.domain.keys import generate
from auth_server.store.state import Page
from tests import proves
from tests.people import bearer, join
from tests.relying_party import REDIRECT_URI, TOKEN, USERINFO, Browser, RelyingParty, relying_party
from tests.sites import ISSUER, Site, site

REGISTER = "/api/v1/oauth/register"
WEB = {"redirect_uris": [REDIRECT_URI]}
SCOPE = "address email offline_access openid phone profile"
DAY = 86400


@pytest.fixture
def here(tmp_path: Path) -> Site:
    made = site(tmp_path, registration="open")
    join(made)
    return made


def register(here: Site, token: str = "", address: str = "192.0.2.1", **members: Any) -> TestResponse:
    """Ask to register a client."""
    headers = bearer(token) if token else {}
    return here.http.post(REGISTER, json=members, headers=headers, environ_base={"REMOTE_ADDR": address})


def registered(here: Site, **members: Any) -> dict[str, Any]:
    """Register a client, and return what is told of it."""
    return answer_of(register(here, **{**WEB, **members}))


def answer_of(answer: TestResponse) -> dict[str, Any]:
    """Return what is told of a client that was registered."""
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json
    return told


def ask(here: Site, told: dict[str, Any], method: str = "GET", token: str = "", **members: Any) -> TestResponse:
    """Ask about a registration, with its own token unless another is given."""
    path = told["registration_client_uri"].removeprefix(ISSUER)
    body = {"json": {"client_id": told["client_id"], **members}} if method == "PUT" else {}
    headers = bearer(token or told["registration_access_token"])
    return here.http.open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.1"}, **body)


def refused(answer: TestResponse, *errors: str) -> None:
    """See that an answer is one of these errors, in the form that all have here."""
    assert answer.status_code == 400, answer.text
    assert answer.json["error"] in errors, answer.text
    assert set(answer.json) == {"error", "error_description", "code", "message"}
    assert answer.json["code"] == 400


def party_of(here: Site, told: dict[str, Any]) -> RelyingParty:
    """Return a client that uses its registration."""
    return RelyingParty(here, told["client_id"], told.get("client_secret"))


# ---- who may
@proves("S-081")
def test_where_registration_is_off_nobody_finds_it(tmp_path: Path):
    """Neither its endpoint nor a word in discovery."""
    here = site(tmp_path)
    before = here.stored()
    assert register(here, **WEB).status_code == 404
    for method in ("GET", "PUT", "DELETE"):
        assert here.http.open(f"{REGISTER}/c", method=method).status_code == 404
    for document in ("oauth-authorization-server", "openid-configuration"):
        assert "registration_endpoint" not in here.http.get(f"/.well-known/{document}").json
    assert here.stored() == before


def test_discovery_names_the_endpoint(here: Site):
    """Where there is one."""
    assert here.http.get("/.well-known/openid-configuration").json["registration_endpoint"] == ISSUER + REGISTER


@proves("S-081", "RFC 7591 §3")
def test_an_initial_access_token_has_its_uses(tmp_path: Path):
    """Without one, with a wrong, used-up or expired one nothing is registered; what was refused takes no use."""
    here = site(tmp_path, registration="token")
    made = here.server.initial_tokens.new(2, 60, Actor("test"))
    before = here.stored()["clients"]
    for token in ("", "x" * 43, here.token("metrics")):
        answer = register(here, token, **WEB)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    refused(register(here, made.value), "invalid_redirect_uri")
    assert [register(here, made.value, **WEB).status_code for _ in range(3)] == [201, 201, 401]
    late = here.server.initial_tokens.new(1, 60, Actor("test"))
    here.clock.advance(60)
    assert register(here, late.value, **WEB).status_code == 401
    assert len(here.stored()["clients"]) == len(before) + 3  # two of these, and the one with the scope metrics
    assert made.value not in str(here.stored())


def test_a_token_counts_where_none_is_needed(here: Site):
    """And a wrong one is refused there too."""
    made = here.server.initial_tokens.new(1, 60, Actor("test"))
    assert register(here, made.value, **WEB).status_code == 201
    assert register(here, made.value, **WEB).status_code == 401


# ---- what is registered
@proves("RFC 7591 §3.2.1", "OIDC Registration §3.2")
def test_the_answer_has_all_that_is_in_force(here: Site):
    """Defaults too; it is not to be kept by anybody on the way."""
    answer = register(here, **WEB)
    told = answer.json
    assert answer.headers["Cache-Control"] == "no-store"
    secret, token, name = told.pop("client_secret"), told.pop("registration_access_token"), told.pop("client_name")
    assert told == {
        "client_id": told["client_id"],
        "client_id_issued_at": here.clock.now,
        "client_secret_expires_at": 0,
        "registration_client_uri": f"{ISSUER}{REGISTER}/{told['client_id']}",
        "application_type": "web",
        "redirect_uris": [REDIRECT_URI],
        "post_logout_redirect_uris": [],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": SCOPE,
        "subject_type": "public",
        "id_token_signed_response_alg": "RS256",
    }
    assert (len(secret), bool(name)) == (43, True)
    kept = str(here.stored())
    assert secret not in kept
    assert token not in kept


EVERYTHING: dict[str, Any] = {
    "redirect_uris": [REDIRECT_URI, "http://127.0.0.1:8080/callback"],
    "post_logout_redirect_uris": ["https://app.example.org/bye"],
    "application_type": "web",
    "client_name": "Album",
    "client_name#de": "Fotoalbum",
    "client_uri": "https://app.example.org/",
    "logo_uri": "https://app.example.org/logo.png",
    "policy_uri": "https://app.example.org/policy",
    "policy_uri#de": "https://app.example.org/de/policy",
    "tos_uri": "https://app.example.org/tos",
    "contacts": ["jane@example.org"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "email openid",
    "token_endpoint_auth_method": "client_secret_post",
    "subject_type": "public",
    "id_token_signed_response_alg": "ES256",
    "userinfo_signed_response_alg": "RS256",
    "default_max_age": 3600,
    "require_auth_time": True,
    "default_acr_values": ["1"],
    "initiate_login_uri": "https://app.example.org/login",
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.0",
}


@proves("RFC 7591 §2", "OIDC Registration §2")
def test_every_member_is_kept(here: Site):
    """As it was sent, and told again later."""
    told = registered(here, **EVERYTHING)
    assert {name: told[name] for name in EVERYTHING} == EVERYTHING
    later = ask(here, told).json
    assert {name: later[name] for name in EVERYTHING} == EVERYTHING
    shown = here.server.clients.find(told["client_id"])
    assert (shown.strict_auth_method, shown.first_party) == (True, False)


def test_what_nobody_here_knows_is_ignored(here: Site):
    """And null counts as absent (RFC 7591 §2)."""
    told = registered(here, shoe_size=44, client_uri=None, **{"x#de": [1], "scope": None})
    assert not {"shoe_size", "client_uri", "x#de"} & told.keys()


@proves("S-082")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", "mine"),
        ("client_secret", "s" * 43),
        ("client_secret_expires_at", 1),
        ("first_party", True),
        ("skip_consent", True),
        ("role", "admin"),
        ("audience", ["https://api.example"]),
        ("resource", ["https://api.example"]),
        ("token_format", "jwt"),
        ("access_token_ttl", 2678400),
        ("token_limit", -1),
        ("owner_uid", "usm4k2r8d0wq1x7b"),
        ("enabled", False),
        ("strict_auth_method", False),
        ("registration_access_token", "t" * 43),
        ("scope", "openid admin:users introspect *"),
    ],
)
def test_what_only_an_admin_may_set_is_not_set(here: Site, name: str, value: Any):
    """Neither at first nor later; the answer tells what is in force."""
    first = registered(here)
    usual = here.server.clients.find(first["client_id"])
    told = registered(here, **{name: value})
    client = here.server.clients.find(told["client_id"])
    assert told.get(name) != value
    assert client.scope == ("openid" if name == "scope" else SCOPE)
    for field in ("first_party", "role", "audience", "resource", "token_format", "access_token_ttl", "token_limit"):
        assert getattr(client, field) == getattr(usual, field), field
    assert (client.owner_uid, client.enabled, client.strict_auth_method) == (None, True, True)
    assert client.client_id != "mine"
    assert not here.server.clients.secret_matches(client, "s" * 43)
    answer = ask(here, first, "PUT", **{**WEB, name: value})
    assert answer.status_code in (200, 400), answer.text
    after = here.server.clients.find(first["client_id"])
    for field in ("client_id", "first_party", "role", "audience", "token_format", "access_token_ttl", "enabled"):
        assert getattr(after, field) == getattr(usual, field), field
    assert after.scope in (SCOPE, "openid")


def test_scopes_that_may_not_be_registered_alone_are_refused(here: Site):
    """Nothing would be left."""
    refused(register(here, **WEB, scope="admin:users"), "invalid_client_metadata")


def test_the_settings_say_which_scopes_may_be_registered(tmp_path: Path):
    """Whatever they are."""
    here = site(tmp_path, registration="open", registration_scopes=["openid", "photos"])
    assert registered(here)["scope"] == "openid photos"
    assert registered(here, scope="openid email photos")["scope"] == "openid photos"


@proves("S-028")
def test_a_name_is_cut_and_tidied(here: Site):
    """People are shown no more than fits, and nothing that turns the writing round."""
    told = registered(here, client_name="<b>Al\u202ebum</b>\u0000" + "x" * 5000)
    assert told["client_name"].startswith("<b>Album</b>xx")
    assert len(told["client_name"]) == 160
    browser = Browser(here)
    page = party_of(here, told).start(browser)
    page = browser.sign_in()
    assert "<b>" not in page.text
    assert "&lt;b&gt;Album&lt;/b&gt;" in page.text
    assert "Not verified" in page.text
    assert "app.example.org" in page.text


# ---- what is refused
def jwks(**members: Any) -> dict[str, Any]:
    """A client's key, with more members."""
    return {"keys": [{**RSAKey.import_key(generate("RS256")).as_dict(private=False), **members}]}


def statement(alg: str) -> str:
    parts = ({"alg": alg, "typ": "JWT"}, {"iss": "https://elsewhere.example", "client_name": "Album"})
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "" if alg == "none" else "c2lnbmF0dXJl"])


def test_words_of_a_response_type_may_come_in_any_order(here: Site) -> None:
    """They are a set (OAuth 2.0 Multiple Response Type Encoding Practices §3)."""
    told = registered(here, response_types=["id_token code"], grant_types=["implicit", "authorization_code"])
    assert told["response_types"] == ["code id_token"]


URI, META = "invalid_redirect_uri", "invalid_client_metadata"
DANGEROUS: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": []}, URI),
    ({"redirect_uris": None}, URI),
    ({"redirect_uris": ["https://app.example.org/cb#fragment"]}, URI),
    ({"redirect_uris": ["https://app.example.org/cb#"]}, URI),
    ({"redirect_uris": ["http://app.example.org/cb"]}, URI),
    ({"redirect_uris": ["org.example.app:/cb"]}, URI),
    ({"redirect_uris": ["/cb"]}, URI),
    ({"redirect_uris": ["https://user@app.example.org/cb"]}, URI),
    ({"redirect_uris": ["app:/cb"], "application_type": "native"}, URI),
    ({"redirect_uris": ["http://app.example.org/cb"], "application_type": "native"}, URI),
    (
        {"redirect_uris": ["http://localhost/cb"], "grant_types": ["implicit"], "response_types": ["id_token"]},
        URI,
    ),
    ({"response_types": ["id_token"]}, META),
    ({"response_types": ["code id_token"], "grant_types": ["authorization_code"]}, META),
    ({"response_types": ["code"], "grant_types": ["implicit"]}, META),
    ({"response_types": ["none"]}, META),
    ({"grant_types": ["password"]}, META),
    ({"token_endpoint_auth_method": "private_key_jwt"}, META),
    ({"token_endpoint_auth_method": "magic"}, META),
    ({"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]}, META),
    ({"jwks": {"keys": []}}, META),
    ({"jwks": jwks(d="AQAB")}, META),
    ({"jwks": {"keys": [OctKey.generate_key(256).as_dict()]}}, META),
    ({"jwks": jwks(), "jwks_uri": "https://app.example.org/jwks"}, META),
    ({"client_uri": "javascript:alert(1)"}, META),
    ({"logo_uri": "data:image/png;base64,AAAA"}, META),
    ({"policy_uri": "app.example.org/policy"}, META),
    ({"tos_uri#de": "ftp://app.example.org/tos"}, META),
    ({"tos_uri#nothing!": "https://app.example.org/tos"}, META),
    ({"initiate_login_uri": "http://app.example.org/login"}, META),
    ({"post_logout_redirect_uris": ["javascript:alert(1)"]}, META),
    ({"default_max_age": -1}, META),
    ({"default_max_age": 2**70}, META),
    ({"scope": "a  b"}, META),
    ({"software_statement": statement("none")}, "invalid_software_statement"),
    ({"software_statement": "nonsense"}, "invalid_software_statement"),
    ({"software_statement": 1}, "invalid_software_statement"),
    ({"software_statement": statement("RS256")}, "unapproved_software_statement"),
]


@proves("S-083", "RFC 7591 §3.2.2")
@pytest.mark.parametrize(("members", "error"), DANGEROUS, ids=range(len(DANGEROUS)))
def test_dangerous_metadata_is_refused(here: Site, members: dict[str, Any], error: str):
    """At first and later, and nothing is written."""
    told = registered(here)
    before = here.stored()
    refused(register(here, **{**WEB, **members}), error)
    refused(ask(here, told, "PUT", **{**WEB, **members}), error)
    assert here.stored() == before


@proves("S-017")
@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "about:blank"]
)
@pytest.mark.parametrize("kind", ["web", "native"])
def test_a_redirect_uri_that_runs_code_is_refused(here: Site, uri: str, kind: str):
    """Whatever the application says it is."""
    refused(register(here, redirect_uris=[REDIRECT_URI, uri], application_type=kind), "invalid_redirect_uri")


@proves("RFC 8252 §7")
@pytest.mark.parametrize(
    "uri", ["org.example.app:/cb", "http://127.0.0.1/cb", "http://[::1]/cb", "https://app.example.org/cb"]
)
def test_native_applications_have_ways_back_of_their_own(here: Site, uri: str):
    """Schemes with a dot, the machine's own addresses, and claimed https."""
    told = registered(here, redirect_uris=[uri], application_type="native", token_endpoint_auth_method="none")
    assert not {"client_secret", "client_secret_expires_at"} & told.keys()


@proves("S-048", "OIDC Core §16.19")
def test_weak_algorithms_of_id_tokens_are_refused(here: Site):
    """None for nobody, and no MAC for who has no secret; for others the secret is long enough."""
    for alg in ("none", "None", "RSA1_5", ""):
        refused(register(here, **WEB, id_token_signed_response_alg=alg), META)
    refused(register(here, **WEB, id_token_signed_response_alg="HS256", token_endpoint_auth_method="none"), META)
    told = registered(here, id_token_signed_response_alg="HS256")
    assert len(told["client_secret"]) >= 43
    tokens = party_of(here, told).tokens(Browser(here))
    assert tokens["id_token"].count(".") == 2


WRONG: tuple[Any, ...] = (
    0,
    -1,
    1.5,
    True,
    [],
    [[]],
    [1],
    {},
    {"a": 1},
    "",
    "x\n",
    "\ud83d\ude00" * 3000,
    ["x" * 5000],
    2**64,
)


@pytest.mark.parametrize(
    "name",
    [
        *EVERYTHING,
        "jwks",
        "jwks_uri",
        "token_endpoint_auth_signing_alg",
        "require_pkce",
        "sector_identifier_uri",
        "dpop_bound_access_tokens",
        "require_pushed_authorization_requests",
    ],
)
def test_no_value_upsets_the_server(here: Site, name: str):
    """Of whatever type: it is taken or refused, never a bug."""
    told = registered(here)
    for value in WRONG:
        for answer in (register(here, **{**WEB, name: value}), ask(here, told, "PUT", **{**WEB, name: value})):
            assert answer.status_code in (200, 201, 400), (name, value, answer.text)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    members=st.dictionaries(st.sampled_from([*EVERYTHING, "jwks", "software_statement", "x#y"]), ANYTHING, max_size=4)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_is_answered(here: Site, members: dict[str, Any]):
    """201, or 400 with an error of RFC 7591; 429 when it is too much."""
    answer = register(here, **{**WEB, **members})
    assert answer.status_code in (201, 400, 429), answer.text


def test_a_body_that_is_no_object_is_refused(here: Site):
    """Nor is a form one."""
    for body in (b"", b"[]", b"null", b'"x"', b"{", b'{"client_name": "a", "client_name": "b"}'):
        answer = here.http.post(REGISTER, data=body, content_type="application/json")
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_request"), body
    assert here.http.post(REGISTER, data={"client_name": "x"}).status_code == 415


# ---- what can be done with it
def test_a_registered_client_signs_people_in(here: Site):
    """From registration to claims."""
    told = registered(here, grant_types=["authorization_code", "refresh_token"])
    party = party_of(here, told)
    tokens = party.tokens(Browser(here), scope="openid email offline_access")
    assert here.http.get(USERINFO, headers=bearer(tokens["access_token"])).json["email"] == "jane@example.org"
    assert party.refresh(tokens["refresh_token"]).status_code == 200


@proves("S-003")
def test_only_the_registered_method_counts(here: Site):
    """Clients of the command line may use either; one that has registered itself has chosen."""
    for method, other in (("client_secret_basic", "post"), ("client_secret_post", "basic")):
        told = registered(here, token_endpoint_auth_method=method, grant_types=["client_credentials"])
        form = {"grant_type": "client_credentials", "scope": "email"}
        pair = (told["client_id"], told["client_secret"])
        by_header = here.http.post(TOKEN, data=form, auth=pair)
        by_form = here.http.post(TOKEN, data={**form, "client_id": pair[0], "client_secret": pair[1]})
        right, wrong = (by_form, by_header) if other == "basic" else (by_header, by_form)
        assert (right.status_code, wrong.status_code) == (200, 401)


@proves("S-049")
def test_a_client_never_passes_for_a_person(here: Site):
    """It does not choose its id, and its own tokens tell of nobody."""
    told = registered(
        here, client_id="jane", grant_types=["client_credentials"], token_endpoint_auth_method="client_secret_post"
    )
    assert told["client_id"] != "jane"
    form = {
        "grant_type": "client_credentials",
        "scope": "openid",
        "client_id": told["client_id"],
        "client_secret": told["client_secret"],
    }
    token = here.http.post(TOKEN, data=form).json["access_token"]
    assert here.http.get(USERINFO, headers=bearer(token)).status_code in (401, 403)
    living = here.server.tokens.find(token)
    assert living is not None
    assert living.user is None


def test_pages_of_registered_clients_may_not_ask_for_passwords(here: Site):
    """Their origins count at the token endpoint, but not at PhotoPrism's session API (docs/decisions/0015)."""
    registered(here, token_endpoint_auth_method="none")
    relying_party(here, token_endpoint_auth_method="none", redirect_uris=("https://known.example/cb",))
    for origin, everywhere in (("https://app.example.org", False), ("https://known.example", True)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for path, allowed in ((TOKEN, True), (USERINFO, True), ("/api/v1/session", everywhere)):
            answer = here.http.options(path, headers=headers)
            assert ("Access-Control-Allow-Origin" in answer.headers) == allowed, (origin, path)


# ---- looking after it
@proves("RFC 7592 §2.1")
def test_a_client_reads_its_registration(here: Site):
    """All of it but the secret, of which only a digest is kept."""
    told = registered(here)
    answer = ask(here, told)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    hidden = ("client_secret", "client_secret_expires_at")
    assert answer.json == {name: value for name, value in told.items() if name not in hidden}


@proves("RFC 7592 §2.2")
def test_a_client_replaces_its_registration(here: Site):
    """What is left out gets its default again; its secret stays."""
    told = registered(here, client_uri="https://app.example.org/", scope="openid email", client_name="Album")
    other = "https://app.example.org/other"
    answer = ask(here, told, "PUT", redirect_uris=[other], client_name="Photos", client_secret=told["client_secret"])
    assert answer.status_code == 200, answer.text
    assert (answer.json["redirect_uris"], answer.json["client_name"]) == ([other], "Photos")
    assert answer.json["scope"] == SCOPE
    assert "client_uri" not in answer.json
    assert "client_secret" not in answer.json
    assert answer.json["registration_access_token"] == told["registration_access_token"]
    client = here.server.clients.find(told["client_id"])
    assert here.server.clients.secret_matches(client, told["client_secret"])


@pytest.mark.parametrize(
    "members", [{"token_endpoint_auth_method": "client_secret_post"}, {"id_token_signed_response_alg": "HS256"}]
)
def test_a_change_that_needs_a_secret_brings_one(here: Site, members: dict[str, str]):
    """And one that needs none takes it away."""
    public = {"token_endpoint_auth_method": "none"}
    told = registered(here, **(public if "token_endpoint_auth_method" in members else {}))
    answer = ask(here, told, "PUT", **WEB, **members).json
    assert (len(answer["client_secret"]), answer["client_secret_expires_at"]) == (43, 0)
    assert "client_secret" not in ask(here, told, "PUT", **WEB, **public).json
    assert here.server.clients.find(told["client_id"]).secrets == ()


@proves("RFC 7592 §2.2")
def test_a_client_says_who_it_is_and_chooses_no_secret(here: Site):
    """Nor sends what only the server makes."""
    told = registered(here)
    before = here.stored()
    for members in (
        {"client_id": "another"},
        {"client_id": None},
        {"client_secret": "s" * 43},
        {"client_secret": 1},
        {"registration_access_token": told["registration_access_token"]},
        {"client_id_issued_at": 1},
    ):
        refused(ask(here, told, "PUT", **{**WEB, **members}), "invalid_client_metadata")
    assert here.stored() == before


def test_what_an_admin_has_set_stays(here: Site):
    """Also when the client replaces the rest."""
    told = registered(here)
    here.server.clients.change(told["client_id"], {"first_party": True, "scope": f"{SCOPE} photos", "token_limit": 3})
    answer = ask(here, told, "PUT", **WEB, scope="openid photos metrics")
    assert answer.json["scope"] == "openid photos"
    client = here.server.clients.find(told["client_id"])
    assert (client.first_party, client.token_limit) == (True, 3)


@proves("S-084", "RFC 7592 §2.3")
def test_what_a_removed_client_held_is_dead(here: Site):
    """Tokens, consents, and its registration access token."""
    told = registered(here, grant_types=["authorization_code", "refresh_token"])
    party, browser = party_of(here, told), Browser(here)
    tokens = party.tokens(browser, scope="openid offline_access")
    answer = ask(here, told, "DELETE")
    assert (answer.status_code, answer.data) == (204, b"")
    assert here.http.get(USERINFO, headers=bearer(tokens["access_token"])).status_code == 401
    assert party.refresh(tokens["refresh_token"]).status_code == 401
    assert party.start(browser).status_code == 400
    assert [ask(here, told, method, **WEB).status_code for method in ("GET", "PUT", "DELETE")] == [401, 401, 401]
    assert here.stored()["consents"] == here.stored()["refresh_families"] == []


@proves("S-084")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_its_own_token_opens_a_registration(here: Site, method: str):
    """Not another client's, nor a client's secret, an initial token, an access token or none."""
    mine, other = registered(here), registered(here)
    initial = here.server.initial_tokens.new(1, 60, Actor("test")).value
    made = relying_party(here)
    before = here.stored()["clients"]
    for token in (other["registration_access_token"], mine["client_secret"], initial, here.session(join(here, "bob"))):
        answer = ask(here, mine, method, token, **WEB)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    path = mine["registration_client_uri"].removeprefix(ISSUER)
    assert here.http.open(path, method=method, json={}).status_code == 401
    of_admin = {**mine, "registration_client_uri": f"{ISSUER}{REGISTER}/{made.client_id}"}
    assert ask(here, of_admin, method, **WEB).status_code == 401
    assert here.stored()["clients"] == before


@proves("S-084")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_disabled_client_stays_disabled(here: Site, method: str):
    """Whatever it asks."""
    told = registered(here)
    here.server.clients.change(told["client_id"], {"enabled": False})
    before = here.stored()["clients"]
    answer = ask(here, told, method, **WEB, enabled=True)
    assert (answer.status_code, answer.json["error"]) == (403, "access_denied")
    assert here.stored()["clients"] == before


# ---- floods
@proves("S-091")
def test_an_address_registers_no_more_than_its_share(tmp_path: Path):
    """Others are not held up, and who waits may go on; an initial access token has its own limit."""
    here = site(tmp_path, registration="open", registration_burst=3, registration_refill=30)
    assert [register(here, **WEB).status_code for _ in range(4)] == [201, 201, 201, 429]
    answer = register(here, **WEB)
    assert answer.json == {"error": "rate limit exceeded", "code": 429}
    assert int(answer.headers["Retry-After"]) == 30
    assert register(here, address="192.0.2.2", **WEB).status_code == 201
    made = here.server.initial_tokens.new(1, 60, Actor("test"))
    assert register(here, made.value, **WEB).status_code == 201
    here.clock.advance(30)
    assert [register(here, **WEB).status_code for _ in range(2)] == [201, 429]
    assert len(here.stored()["clients"]) == 6
    here.clock.advance(30)
    told = answer_of(register(here, **WEB))
    assert ask(here, told, "PUT", **WEB).status_code == 429
    assert ask(here, told).status_code == 200


@proves("S-091")
def test_what_nobody_uses_goes_and_what_is_used_stays(here: Site):
    """By consent, by refresh token, or by a token of its own that lives; an admin's clients stay in any case."""
    here.server.clients.add({"client_id": "kept", "scope": "metrics"})
    ticket = here.server.initial_tokens.new(1, 60, Actor("test"))
    invited = register(here, ticket.value, **WEB).json["client_id"]
    unused = [registered(here)["client_id"] for _ in range(3)]
    used = registered(here, grant_types=["authorization_code", "refresh_token"])
    tokens = party_of(here, used).tokens(Browser(here), scope="openid offline_access")
    robot = registered(here, grant_types=["client_credentials"])
    background = Background(here.server)
    background.tick()
    here.clock.advance(30 * DAY - 3600)
    pair = (robot["client_id"], robot["client_secret"])
    lasting = here.http.post(TOKEN, data={"grant_type": "client_credentials"}, auth=pair).json["access_token"]
    here.clock.advance(3600)
    background.tick()
    left = {client.client_id for client in here.server.clients.page("", Page())}
    assert left == {"kept", invited, used["client_id"], robot["client_id"]}
    assert not left & set(unused)
    assert here.server.tokens.find(lasting) is not None
    assert here.server.tokens.find(tokens["access_token"]) is None  # its hour is over
    here.clock.advance(2 * DAY)
    background.tick()
    assert robot["client_id"] not in {client.client_id for client in here.server.clients.page("", Page())}
    assert here.stored()["initial_tokens"] == []
