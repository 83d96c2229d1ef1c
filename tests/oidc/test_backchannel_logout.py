"""Back-channel logout: clients are called, at least once, whatever happens meanwhile (Back-Channel Logout 1.0)."""

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc import jwe, jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from auth_server import assembly
from auth_server.background import Background
from auth_server.domain.outbox import FIRST_PAUSE, GIVEN_UP_AFTER, LEASE
from auth_server.domain.users import Changes
from auth_server.errors import InvalidInput
from auth_server.store.records import User
from auth_server.store.state import Page
from tests import proves
from tests.people import alive, join, signed_in
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.servers.auth_server import AuthServer
from tests.servers.logout_listener import PATIENCE, LogoutListener, logout_listener
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.sites import HttpClient, Site, site

LOGOUT = "/api/v1/oauth/logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
OURS = ["127.0.0.0/8"]
KEY = b64encode(b"k" * 32).decode()


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A server that may call this machine."""
    return site(tmp_path, outbound_allow=OURS)


@pytest.fixture
def listen() -> Iterator[Callable[[], LogoutListener]]:
    """Make listeners."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(logout_listener())


@pytest.fixture
def listener(listen: Callable[[], LogoutListener]) -> LogoutListener:
    return listen()


def registered(here: Site, listener: LogoutListener, **members: Any) -> RelyingParty:
    """Register a client that wants to hear of logouts."""
    own = members.pop("metadata", {})
    return relying_party(here, metadata={"backchannel_logout_uri": listener.uri, **own}, **members)


@pytest.fixture
def party(here: Site, jane: User, listener: LogoutListener) -> RelyingParty:
    return registered(here, listener)


@pytest.fixture
def background(here: Site) -> Background:
    return Background(here.server)


def deliver(here: Site, background: Background, after: int = 1) -> None:
    """Let time pass, so that what is due is sent, and wait until the answers were noted."""
    here.clock.advance(after)
    background.tick()
    for thread in threading.enumerate():
        if thread.name == "courier":
            thread.join(PATIENCE)


def log_out(browser: Browser, hint: str) -> None:
    assert browser.open(LOGOUT, query_string={"id_token_hint": hint}).status_code == 200


def claims_of(token: str, here: Site) -> dict[str, Any]:
    """Return what a token of ours says, verified with what everybody may fetch."""
    keys = KeySet.import_key_set(here.http.get("/.well-known/jwks.json").json)
    return dict(jwt.decode(token, keys, algorithms=["RS256", "ES256", "EdDSA"]).claims)


def deliveries(here: Site) -> list[tuple[str, str]]:
    """Return what the audit says of deliveries: outcome and client, the newest first."""
    events = here.server.records.audit.page(Page())
    return [(one.outcome, one.client_id) for one in events if one.event == "logout.delivery"]


def is_alive(here: Site, token: str) -> bool:
    status = here.http.get(USERINFO, headers={"Authorization": f"Bearer {token}"}).status_code
    assert status in (200, 401)
    return status == 200


@proves("S-094", "S-095", "OpenID Connect Back-Channel Logout §2.4")
def test_each_client_of_the_sign_in_hears_of_its_end(
    here: Site, browser: Browser, party: RelyingParty, listen: Callable[[], LogoutListener], background: Background
):
    """By a logout token that nobody could take for an ID token; with the sub and sid that each knows."""
    mine, strange = listen(), listen()
    pairwise = registered(here, mine, metadata={"subject_type": "pairwise"})
    registered(here, strange)
    relying_party(here).tokens(browser)  # one that wants to hear nothing
    told = {one.client_id: claims_of(one.tokens(browser)["id_token"], here) for one in (pairwise, party)}
    hint = party.tokens(browser)["id_token"]
    log_out(browser, hint)
    deliver(here, background)
    token = mine.token()
    assert jws.extract_compact(token.encode()).protected["typ"] == "logout+jwt"
    known, claims = told[pairwise.client_id], claims_of(token, here)
    assert claims.pop("jti")
    assert claims == {
        "iss": here.server.issuer,
        "aud": pairwise.client_id,
        "sub": known["sub"],
        "sid": known["sid"],
        "iat": here.clock.now,
        "exp": here.clock.now + 120,
        "events": {EVENT: {}},
    }
    assert strange.received.empty()
    assert deliveries(here) == []  # what goes well is no event


def test_it_is_signed_as_the_client_wants(
    here: Site, browser: Browser, jane: User, listener: LogoutListener, background: Background
):
    """With its secret, if that is how its ID tokens are signed."""
    party = registered(here, listener, metadata={"id_token_signed_response_alg": "HS256"})
    log_out(browser, party.tokens(browser)["id_token"])
    deliver(here, background)
    claims = jwt.decode(listener.token(), OctKey.import_key(party.secret), algorithms=["HS256"]).claims
    assert claims["aud"] == party.client_id


def test_it_is_encrypted_as_the_client_wants(
    here: Site, browser: Browser, jane: User, listener: LogoutListener, background: Background
):
    """With its key, if that is how it gets ID tokens."""
    key = ECKey.generate_key("P-256", {"use": "enc"})
    wanted = {"id_token_encrypted_response_alg": "ECDH-ES", "id_token_encrypted_response_enc": "A128GCM"}
    party = registered(here, listener, metadata=wanted, jwks={"keys": [key.as_dict(private=False)]})
    encrypted = party.tokens(browser)["id_token"]
    algorithms = ["ECDH-ES", "A128GCM"]
    log_out(browser, str(jwe.decrypt_compact(encrypted, key, algorithms=algorithms).plaintext, "ascii"))
    deliver(here, background)
    inside = jwe.decrypt_compact(listener.token(), key, algorithms=algorithms).plaintext
    assert inside is not None
    assert claims_of(inside.decode(), here)["events"] == {EVENT: {}}


@proves("S-094")
def test_what_the_sign_in_gave_ends_with_it(here: Site, browser: Browser, party: RelyingParty):
    """Access tokens and codes, and refresh tokens that are not for offline use; those live on, as another browser's."""
    elsewhere = Browser(here)
    online = party.tokens(browser)
    unused = party.code(browser)
    offline = party.tokens(browser, scope="openid offline_access")
    other = party.tokens(elsewhere)
    log_out(browser, online["id_token"])
    assert not is_alive(here, online["access_token"])
    assert is_alive(here, offline["access_token"])
    assert is_alive(here, other["access_token"])
    answer = party.redeem(unused)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    refreshed = party.refresh(offline["refresh_token"])
    assert refreshed.status_code == 200
    assert is_alive(here, refreshed.json["access_token"])


@proves("S-094", "S-096")
def test_on_other_stores(
    tmp_path: Path, postgresql_server: PostgreSQL, redis_server: Redis, worker_id: str, listener: LogoutListener
):
    """PostgreSQL and Redis: it ends for every replica, and any of them tells the clients."""
    database = postgresql_server.create(f"logout_{worker_id}").replace("+psycopg", "")
    shared = {
        "database_url": database,
        "redis_url": redis_server.url,
        "key_encryption_key": KEY,
        "outbound_allow": OURS,
    }
    first = site(tmp_path / "first", **shared)
    other = site(tmp_path / "other", **shared)
    first.clock.now = other.clock.now
    jane = join(first)
    party, browser = registered(first, listener), Browser(first)
    online = party.tokens(browser)
    offline = party.tokens(browser, scope="openid offline_access")
    unused = party.code(browser)
    log_out(browser, online["id_token"])
    assert not is_alive(other, online["access_token"])
    assert is_alive(other, offline["access_token"])
    assert party.redeem(unused).status_code == 400
    deliver(other, Background(other.server))
    assert claims_of(listener.token(), other)["sub"] == jane.uid
    party.tokens(browser)
    other.server.users.change(jane.uid, Changes(enabled=False))
    deliver(first, Background(first.server))
    assert claims_of(listener.token(), first)["sub"] == jane.uid


@proves("S-096")
def test_a_slow_client_delays_nobody(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background,
    listen: Callable[[], LogoutListener],
):  # fmt: skip
    """The logout is answered at once, and the others are told while it lets us wait."""
    listener.open.clear()
    quick = listen()
    registered(here, quick).tokens(browser)
    log_out(browser, party.tokens(browser)["id_token"])
    assert listener.received.empty()
    here.clock.advance(1)
    background.tick()
    assert listener.token()
    assert quick.token()  # while the first still waits
    listener.open.set()


@proves("S-096")
def test_who_fails_is_asked_again(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """Later and later, each time with a new token; that it failed, and that it went well then, is written down."""
    listener.statuses[:] = [500, 503]
    log_out(browser, party.tokens(browser)["id_token"])
    deliver(here, background)
    first = claims_of(listener.token(), here)
    assert deliveries(here) == [("failed", party.client_id)]
    deliver(here, background, FIRST_PAUSE - 1)
    assert listener.received.empty()
    deliver(here, background)
    listener.token()
    deliver(here, background, FIRST_PAUSE)
    assert listener.received.empty()
    deliver(here, background, FIRST_PAUSE)
    third = claims_of(listener.token(), here)
    assert third["jti"] != first["jti"]
    assert third["exp"] == here.clock.now + 120
    assert deliveries(here) == [("ok", party.client_id), ("failed", party.client_id)]
    deliver(here, background, GIVEN_UP_AFTER)
    assert listener.received.empty()


@proves("S-096")
def test_it_is_given_up_in_the_end(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """After a day; the audit says so, and why."""
    listener.statuses[:] = [500] * 100
    log_out(browser, party.tokens(browser)["id_token"])
    tries = 0
    while deliveries(here)[:1] != [("given up", party.client_id)]:
        deliver(here, background, 3600)
        tries += not listener.received.empty()
        while not listener.received.empty():
            listener.received.get()
    assert 20 < tries <= 25
    newest = here.server.records.audit.page(Page(1))[0]
    assert newest.details["reason"] == "it answers 500"
    assert here.server.outbox.waiting(9) == []


@proves("S-096")
def test_one_that_is_away_is_no_hindrance(here: Site, browser: Browser, jane: User, background: Background):
    """Nobody listens at all."""
    with logout_listener() as gone:
        party = registered(here, gone)
    log_out(browser, party.tokens(browser)["id_token"])
    deliver(here, background)
    assert deliveries(here) == [("failed", party.client_id)]


@proves("S-096")
def test_a_killed_server_delivers_after_its_restart(tmp_path: Path, listener: LogoutListener):
    """It dies while the client lets it wait."""
    server = AuthServer(tmp_path, outbound_allow=OURS)
    server.start()
    try:
        application = assembly.application(server.inside, assembly.stores(server.settings))
        here = Site(server.inside, application, HttpClient(application), server.clock)  # type: ignore[arg-type]
        join(here)
        party, browser = registered(here, listener), Browser(here)
        listener.open.clear()
        log_out(browser, party.tokens(browser)["id_token"])
        server.clock.advance(1)
        first = listener.token()
        assert server.process is not None
        server.process.kill()
        listener.open.set()
        server.start()
        server.clock.advance(LEASE)
        second = listener.token()
        assert claims_of(second, here)["sid"] == claims_of(first, here)["sid"]
    finally:
        server.stop()


def test_an_admin_ends_sign_ins_too(
    here: Site, jane: User, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """Who disables or removes an account has its clients told, on all browsers."""
    browsers = (browser, Browser(here))
    sids = {claims_of(party.tokens(one)["id_token"], here)["sid"] for one in browsers}
    here.server.users.change(jane.uid, Changes(enabled=False))
    deliver(here, background)
    assert {claims_of(listener.token(), here)["sid"] for _ in browsers} == sids
    here.server.users.change(jane.uid, Changes(enabled=True))
    sid = claims_of(party.tokens(browser)["id_token"], here)["sid"]
    here.server.users.remove(jane.uid)
    deliver(here, background)
    claims = claims_of(listener.token(), here)
    assert (claims["sid"], claims["sub"]) == (sid, jane.uid)
    assert listener.received.empty()


def test_a_new_password_ends_the_other_sign_ins(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """The one in which it was changed goes on."""
    elsewhere = Browser(here)
    party.tokens(browser)
    sid = claims_of(party.tokens(elsewhere)["id_token"], here)["sid"]
    browser.open("/change-password")
    page = browser.send(new_password="Green-heron-7-waits", repeated_password="Green-heron-7-waits")
    assert "Your password was changed" in page.text
    deliver(here, background)
    assert claims_of(listener.token(), here)["sid"] == sid
    assert listener.received.empty()
    log_out(browser, party.tokens(browser)["id_token"])
    deliver(here, background)
    assert claims_of(listener.token(), here)["sid"] != sid


@proves("S-094")
def test_a_person_signs_out_everywhere(
    here: Site, jane: User, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """On all browsers, with all that was given there; app passwords go on."""
    elsewhere = Browser(here)
    given = [party.tokens(one, scope="openid offline_access") for one in (browser, elsewhere)]
    session, app_password = signed_in(here), here.app_password(jane, "sessions")
    browser.open("/account/")
    assert "You are signed out" in browser.send(everywhere="yes").text
    for one in (browser, elsewhere):
        assert answered(party.start(one, prompt="none"))["error"] == "login_required"
    for tokens in given:
        assert not is_alive(here, tokens["access_token"])
        assert party.refresh(tokens["refresh_token"]).status_code == 400
    assert not alive(here, session)
    assert alive(here, app_password)
    deliver(here, background)
    assert {claims_of(listener.token(), here)["sid"] for _ in given} == {
        claims_of(tokens["id_token"], here)["sid"] for tokens in given
    }


def test_an_application_whose_access_is_removed_hears_of_it(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background,
    listen: Callable[[], LogoutListener],
):  # fmt: skip
    """As the account page says; others do not."""
    other = listen()
    registered(here, other).tokens(browser)
    sid = claims_of(party.tokens(browser)["id_token"], here)["sid"]
    browser.open("/account/")
    assert "signed out of your account" in browser.send(withdraw=party.client_id).text
    deliver(here, background)
    assert claims_of(listener.token(), here)["sid"] == sid
    assert other.received.empty()


def test_a_client_that_is_gone_is_not_called(
    here: Site, browser: Browser, party: RelyingParty, listener: LogoutListener, background: Background
):
    """Nor is that a failure."""
    log_out(browser, party.tokens(browser)["id_token"])
    here.server.clients.remove(party.client_id)
    deliver(here, background)
    assert listener.received.empty()
    assert here.server.outbox.waiting(9) == []
    assert deliveries(here) == []


@pytest.mark.parametrize(
    "uri", ["http://app.example.org/", "ftp://a.example/", "https://a.example/#x", "https://u@a.example/"]
)
def test_only_https_is_registered(tmp_path: Path, uri: str):
    """Unless those who run the server allow private networks."""
    here = site(tmp_path)
    relying_party(here, metadata={"backchannel_logout_uri": "https://app.example.org/logout?x=1"})
    with pytest.raises(InvalidInput, match="backchannel_logout_uri"):
        relying_party(here, metadata={"backchannel_logout_uri": uri})


def test_discovery_says_it(here: Site):
    """In OpenID Connect's document."""
    document = orjson.loads(here.http.get("/.well-known/openid-configuration").data)
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
