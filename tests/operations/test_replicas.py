"""Two replicas on the same stores and nothing else: what one does the other knows, also with clocks apart."""

import os
import re
import signal
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pytest
from joserfc import jws
from sqlalchemy import make_url
from werkzeug.test import Client as HttpClient

from auth_server.domain.users import Changes
from auth_server.protocol.server import Server
from auth_server.store import recent
from auth_server.store.state import Page
from tests import proves
from tests.oidc.test_end_session import LOGOUT
from tests.people import bearer
from tests.protocol.extensions.test_client_assertion import GRANT, REFUSED, TYPE, Signing
from tests.relying_party import USERINFO, Browser, RelyingParty, answered, relying_party
from tests.servers import proxy
from tests.servers.auth_server import AuthServer
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis
from tests.servers.remote import site_at
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Answer, Registered, Visitor
from tests.sites import Site

DAY = 86400
TERM = 0.02  # seconds, as of every process but those of tests
REGISTER, ROTATE = "/api/v1/oauth/register", "/api/v1/admin/keys/rotate"
JWKS = "/.well-known/jwks.json"
PASSWORD = "Blue-whale-42-sings"
ONLINE, OFFLINE = "openid", "openid offline_access"
NO_GRANT = (400, "invalid_grant")
T = TypeVar("T")
R = TypeVar("R")


class Replicas:
    """Servers with folders and clocks of their own over the same stores.

    Args:
        urls: of the stores, by setting.
        ways: what leads one of them, but not the other, to those.
    """

    def __init__(self, folder: Path, urls: Mapping[str, str], ways: Mapping[str, Proxy], **settings: Any) -> None:
        shared = {"key_encryption_key": b64encode(b"k" * 32).decode(), "workers": 1}
        shared |= {"issuer": "https://auth.example.org", **settings}
        self.ways = ways
        by_proxy = {name: _through(ways[name], url) for name, url in urls.items()}
        self.a = AuthServer(folder / "a", **shared, **by_proxy)
        self.b = AuthServer(folder / "b", **shared, **urls)
        self.at_a, self.at_b = Visitor(self.a), Visitor(self.b)
        with ThreadPoolExecutor(2) as together:
            list(together.map(AuthServer.start, (self.a, self.b)))

    @contextmanager
    def cut_off(self, store: str) -> Iterator[None]:
        """Keep the first from a store meanwhile."""
        with self.ways[store].cut():
            yield
        self.a.inside.close()  # what it had opened is cut too, and no test is to find that out

    def stop(self) -> None:
        for one in (self.a, self.b):
            one.stop(signal.SIGKILL)


def _through(way: Proxy, url: str) -> str:
    plain = make_url(url).set(host="127.0.0.1", port=way.port, query={})
    if plain.get_backend_name() == "mysql":
        plain = plain.set(query={"ssl_disabled": "true"})
    return plain.render_as_string(hide_password=False)


@pytest.fixture(
    scope="module", params=["postgresql", "mariadb", "postgresql and redis", "mariadb and redis"], ids=lambda it: it
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two replicas for all tests, started at once on an empty database."""
    kind, _, other = request.param.partition(" and ")
    database: PostgreSQL | MariaDB = request.getfixturevalue(f"{kind}_server")
    urls = {"database_url": database.create(f"replicas_{os.urandom(4).hex()}")}
    places: dict[str, int | Path] = {"database_url": database.socket}
    if other:
        redis: Redis = request.getfixturevalue("redis_server")
        redis.ask("FLUSHALL")
        urls["redis_url"], places["redis_url"] = redis.url, redis.port
    with ExitStack() as stack:
        ways = {name: stack.enter_context(proxy.before(place)) for name, place in places.items()}
        folder = tmp_path_factory.mktemp("replicas")
        two = Replicas(folder, urls, ways, registration="open", key_rotation_interval=DAY)
        stack.callback(two.stop)
        yield two


@pytest.fixture
def two(started: Replicas) -> Replicas:
    """They, with clocks that are right when the test begins."""
    now = int(time.time())
    for one in (started.a, started.b):
        one.clock.advance(now - one.clock())
    return started


@contextmanager
def command(server: AuthServer) -> Iterator[Server]:
    """What a command does: it has ended when nobody goes by what was so before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "TERM", TERM)  # tests that change something inside of a server do not wait else
        yield server.inside
        server.inside.state.settle()


def kids(visitor: Visitor) -> set[str]:
    """Return the names of the keys that a replica publishes."""
    return {key["kid"] for key in visitor.call("GET", JWKS).json["keys"]}


def active(visitor: Visitor, token: str, client: Registered) -> bool:
    """Tell whether a replica takes a token for good."""
    return bool(visitor.introspect(token, client)["active"])


def test_who_starts_together_on_an_empty_database_makes_one_of_each(two: Replicas) -> None:
    """Whoever is first migrates and makes the keys and the first admin, and the other goes on from there."""
    keys = two.a.inside.records.keys.all()
    assert Counter((key.alg, key.status) for key in keys).most_common(1)[0][1] == 1
    assert [user.name for user in two.a.inside.users.page("", Page(9)) if user.role == "admin"] == ["admin"]
    for one, visitor in ((two.a, two.at_a), (two.b, two.at_b)):
        until(lambda visitor=visitor: kids(visitor) == {key.kid for key in keys})  # a copy may be a moment old
        assert '"level":"error"' not in one.log()


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_token_of_one_counts_at_the_other_until_either_revokes_it(two: Replicas, form: str) -> None:
    """When the revocation is acknowledged, it is dead everywhere."""
    client = two.at_a.client("introspect", token_format=form)
    token = two.at_a.token(client)
    assert active(two.at_b, token, client)
    assert two.at_b.post("/api/v1/oauth/revoke", {"token": token}, basic=client.basic).status == 200
    assert not active(two.at_a, token, client)


def test_a_session_of_one_is_a_session_of_the_other(two: Replicas) -> None:
    """Signed in at the one, signed out at the other."""
    user = two.at_a.user(PASSWORD)
    login = {"username": user.name, "password": PASSWORD}
    session = two.at_a.call("POST", SESSION, json_body=login).json["access_token"]
    assert two.at_b.call("GET", SESSION, bearer=session).status == 200
    assert two.at_b.call("DELETE", SESSION, bearer=session).status == 200
    assert two.at_a.call("GET", SESSION, bearer=session).status == 401


@proves("S-065")
def test_wrong_secrets_are_counted_together(two: Replicas) -> None:
    """Ten of an address, wherever it tries them."""
    client = two.at_a.client()
    two.at_b.address = two.at_a.address
    form = {"grant_type": "client_credentials"}
    tries = [one.post(TOKEN, form, basic=(client.client_id, "x" * 43)) for one in (two.at_a, two.at_b) * 5]
    assert [answer.status for answer in tries] == [401] * 10
    for one in (two.at_a, two.at_b):
        refused = one.post(TOKEN, form, basic=client.basic)
        assert refused.status == 429
        assert refused.headers["Retry-After"] in ("59", "60")  # a second may have begun since
    two.at_a.move()
    two.at_b.move()


@proves("S-065")
def test_wrong_secrets_at_the_same_moment_are_counted_one_by_one(two: Replicas) -> None:
    """Ten of an address are answered, though each looked before there were so many."""
    client = two.at_a.client()
    everywhere = [Visitor(one) for one in (two.a, two.b) * 4]
    for one in everywhere:
        one.address = two.at_a.address

    def guess(one: Visitor) -> list[int]:
        form = {"grant_type": "client_credentials"}
        return [one.post(TOKEN, form, basic=(client.client_id, "x" * 43)).status for _ in range(4)]

    with ThreadPoolExecutor(len(everywhere)) as threads:
        answers = Counter(chain.from_iterable(threads.map(guess, everywhere)))
    two.at_a.move()
    assert answers == {401: 10, 429: 22}


def test_a_client_that_one_removes_is_unknown_to_the_other(two: Replicas) -> None:
    """As soon as the removal is acknowledged."""
    new = {"redirect_uris": ["https://app.example.org/cb"], "grant_types": ["authorization_code"]}
    made = two.at_a.call("POST", REGISTER, json_body=new).json
    at, own = f"{REGISTER}/{made['client_id']}", made["registration_access_token"]
    client = Registered(made["client_id"], made["client_secret"])
    code = {"grant_type": "authorization_code", "code": "x" * 43}
    assert two.at_b.call("GET", at, bearer=own).status == 200
    assert two.at_b.post(TOKEN, code, basic=client.basic).told == (400, "invalid_grant")
    assert two.at_a.call("DELETE", at, bearer=own).status == 204
    assert two.at_b.call("GET", at, bearer=own).status == 401
    assert two.at_b.post(TOKEN, code, basic=client.basic).told == (401, "invalid_client")


@proves("S-121", "S-122")
def test_a_key_that_one_rotates_signs_at_the_other(two: Replicas) -> None:
    """With the first token after the answer; and what has been signed with a key that one removes is dead."""
    client = two.at_a.client("introspect", token_format="jwt")
    admin = two.at_a.token(two.at_a.client("admin:keys"))
    former = two.at_b.token(client)
    told = two.at_a.call("POST", ROTATE, bearer=admin, json_body={"now": True, "alg": "ES256"}).json
    token = two.at_b.token(client)
    assert _kid(token) == told["kid"] != _kid(former)
    assert active(two.at_b, former, client)
    with command(two.a) as inside:
        inside.keyring.remove(_kid(former))
    assert [active(two.at_b, one, client) for one in (former, token)] == [False, True]


def _kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


@proves("S-137", "RFC 7519 §4.1.4")
def test_clocks_may_be_apart(two: Replicas) -> None:
    """By half a minute nobody notices; by a day, the others keep what the wrong one would take away."""
    two.b.clock.advance(30)
    for form in ("opaque", "jwt"):
        for here, there in ((two.at_a, two.at_b), (two.at_b, two.at_a)):
            client = here.client("introspect", token_format=form)
            for one in (here, there):
                token = one.token(client)
                assert active(here, token, client)
                assert active(there, token, client)
    user = two.at_b.user()
    session = two.at_b.session(user)
    assert two.at_a.call("GET", SESSION, bearer=session).status == 200
    client = two.at_a.client("introspect")
    token = two.at_a.token(client)
    keys = two.a.inside.records.keys.all()
    two.b.clock.advance(40 * DAY)
    until(lambda: re.search(r"this machine's clock is \+34\d{5} s off", two.b.log()), 10)
    two.at_b.post(TOKEN, GRANT, basic=(client.client_id, "x" * 43))
    assert two.a.inside.records.keys.all() == keys
    assert active(two.at_a, token, client)
    assert two.at_a.ask_token(client).status == 200


# ---- people
@dataclass(frozen=True)
class Held:
    """What a person holds who has signed in on a browser, which a client knows of."""

    uid: str
    browser: Browser
    party: RelyingParty
    session: str
    app_password: str
    child: str
    tokens: Mapping[str, str]

    @classmethod
    def at(cls, two: Replicas, scope: str) -> "Held":
        """All of it made at one replica, but the session of the app password.

        Args:
            scope: what the client asks for.
        """
        user, here = two.at_a.user(PASSWORD), site_at(Visitor(two.a))
        browser, party = signed_in(here, user.name), relying_party(here)
        app_password = two.at_a.app_password(user, "sessions")
        child = two.at_b.call("POST", SESSION, bearer=app_password).json["access_token"]
        tokens = party.tokens(browser, scope=scope)
        return cls(user.uid, browser, party, two.at_a.session(user), app_password, child, tokens)

    def counting(self, visitor: Visitor) -> set[str]:
        """What of it a replica takes for good."""
        party = at(self.party, visitor)
        ask = visitor.call
        told = {
            "session": ask("GET", SESSION, bearer=self.session).status == 200,
            "app password": ask("POST", SESSION, bearer=self.app_password).status == 200,
            "its session": ask("GET", SESSION, bearer=self.child).status == 200,
            "access token": opens(party, self.tokens["access_token"]),
            "sign-in": "code" in answered(party.start(moved(self.browser, party), prompt="none")),
        }
        if "refresh_token" in self.tokens:
            told["refresh token"] = party.post(INTROSPECT, token=self.tokens["refresh_token"]).json["active"]
        return {name for name, counts in told.items() if counts}


PERSONAL = {"session", "app password", "its session"}
OF_CLIENTS = {"access token", "sign-in"}


def signed_in(here: Site, name: str) -> Browser:
    """A browser on which a person has just signed in."""
    browser = Browser(here)
    browser.open("/login")
    assert browser.sign_in(name, PASSWORD).status_code == 200
    return browser


def at(party: RelyingParty, visitor: Visitor) -> RelyingParty:
    """The same client, which asks one of the replicas."""
    return replace(party, here=site_at(visitor))


def moved(browser: Browser, party: RelyingParty) -> Browser:
    """The same browser with its cookies, which a load balancer leads to where the client asks."""
    browser.http.application = party.here.application
    return browser


def opens(party: RelyingParty, token: str) -> bool:
    """Whether an access token opens the person's claims."""
    return party.here.http.get(USERINFO, headers=bearer(token)).status_code == 200


def told(answer: Any) -> tuple[int, str]:
    """Status and error of an answer to a client."""
    return answer.status_code, answer.json["error"]


def at_once(call: Callable[[T], R], them: list[T]) -> list[R]:
    """Make a call with each of them at the same moment."""
    together = threading.Barrier(len(them))

    def one(it: T) -> R:
        together.wait()
        return call(it)

    with ThreadPoolExecutor(len(them)) as threads:
        return list(threads.map(one, them))


@proves("S-060", "S-034", "S-042", "S-078")
def test_whom_one_disables_is_nobody_to_the_other(two: Replicas) -> None:
    """Though it has just answered for the person; and what was dead stays so when the person is enabled again."""
    held = Held.at(two, OFFLINE)
    code, line = (held.party.code(held.browser, scope=OFFLINE) for _ in range(2))
    lines = [held.tokens["refresh_token"], held.party.redeem(line).json["refresh_token"]]
    for visitor in (two.at_a, two.at_b):
        assert held.counting(visitor) == {*PERSONAL, *OF_CLIENTS, "refresh token"}
    for enabled, unused in zip((False, True), lines, strict=True):
        with command(two.a) as inside:
            inside.users.change(held.uid, Changes(enabled=enabled))
        for visitor in (two.at_b, two.at_a):
            assert held.counting(visitor) == set()
            assert told(at(held.party, visitor).redeem(code)) == NO_GRANT
            assert told(at(held.party, visitor).refresh(unused)) == NO_GRANT


@proves("S-059", "S-094")
def test_who_signs_out_at_one_is_signed_out_at_the_other(two: Replicas) -> None:
    """On that browser, and what clients were given while that lasts is dead; what the person holds elsewhere lives."""
    held = Held.at(two, ONLINE)
    for visitor in (two.at_b, two.at_a):
        assert held.counting(visitor) == PERSONAL | OF_CLIENTS
    moved(held.browser, held.party).open(LOGOUT, query_string={"id_token_hint": held.tokens["id_token"]})
    for visitor in (two.at_b, two.at_a):
        assert held.counting(visitor) == PERSONAL


@proves("S-054", "S-046")
def test_a_line_that_is_revoked_at_one_is_dead_at_the_other(two: Replicas) -> None:
    """The refresh token, and every access token that it or its predecessors gave; what another grant gave lives."""
    at_a, at_b = (site_at(Visitor(one)) for one in (two.a, two.b))
    browser = signed_in(at_a, two.at_a.user(PASSWORD).name)
    for form in ("opaque", "jwt"):
        party = relying_party(at_a, token_format=form)
        there = replace(party, here=at_b)
        first = party.tokens(browser, scope=OFFLINE)
        second = there.refresh(first["refresh_token"]).json
        other = party.tokens(browser, scope=OFFLINE)
        tokens = [first["access_token"], second["access_token"], other["access_token"]]
        assert [opens(there, token) for token in tokens] == [True] * 3, form
        assert party.post(REVOKE, token=second["refresh_token"]).status_code == 200
        for one in (there, party):
            assert [opens(one, token) for token in tokens] == [False, False, True], form
            assert told(one.refresh(second["refresh_token"])) == NO_GRANT
        assert there.refresh(other["refresh_token"]).status_code == 200


@proves("S-024")
def test_a_consent_form_that_both_get_at_the_same_moment_gives_one_code(two: Replicas) -> None:
    """However often it is sent: some are told to wait a moment, and then get that code too."""
    sites = [site_at(Visitor(one)) for one in (two.a, two.b)] * 3
    browser, party = signed_in(sites[0], two.at_a.user(PASSWORD).name), relying_party(sites[0])
    for _ in range(3):
        party.start(browser, prompt="consent")
        form, cookies = {**browser.hidden(), "decision": "allow"}, {"Cookie": browser.cookies()}

        def send(here: Site, form: Any = form, cookies: Any = cookies) -> Any:
            http = HttpClient(here.application, use_cookies=False)
            return http.post("/consent", base_url=here.server.issuer, data=form, headers=cookies)

        answers = at_once(send, sites) + [send(here) for here in sites]
        assert {answer.status_code for answer in answers[6:]} == {303}
        assert len({answered(answer)["code"] for answer in answers if answer.status_code == 303}) == 1
        assert all("You have answered already" in answer.text for answer in answers if answer.status_code != 303)


@proves("S-030", "S-029", "S-037")
def test_codes_and_refresh_tokens_that_both_take_at_the_same_moment_leave_one_line(two: Replicas) -> None:
    """Of a code, one of many gets anything, which is dead then; of a refresh token all get the same successor."""
    at_a, at_b = (site_at(Visitor(one)) for one in (two.a, two.b))
    browser, party = signed_in(at_a, two.at_a.user(PASSWORD).name), relying_party(at_a)
    there = replace(party, here=at_b)
    for _ in range(3):
        code = party.code(browser, scope=OFFLINE)
        answers = at_once(lambda one, code=code: one.redeem(code), [party, there] * 2)
        (won,) = (answer.json for answer in answers if answer.status_code == 200)
        assert Counter(told(answer) for answer in answers if answer.status_code != 200) == {NO_GRANT: 3}
        for one in (there, party):
            assert not opens(one, won["access_token"])
            assert told(one.refresh(won["refresh_token"])) == NO_GRANT
    line = [party.tokens(browser, scope=OFFLINE)["refresh_token"]]
    for _ in range(3):
        answers = at_once(lambda one: one.refresh(line[-1]), [party, there] * 2)
        assert [answer.status_code for answer in answers] == [200] * 4
        (successor,) = {answer.json["refresh_token"] for answer in answers}
        line.append(successor)
    for one in (there, party):
        counts = [one.post(INTROSPECT, token=token).json["active"] for token in line]
        assert counts == [False, False, False, True]


# ---- clients
@proves("S-005")
def test_an_assertion_that_one_has_taken_is_worth_nothing_at_the_other(two: Replicas) -> None:
    """Whatever it is sent to; and of both, asked at the same moment, one takes it."""
    client = Signing(two.at_a)
    assertion = client.assertion()
    assert client.send(assertion).status == 200
    client.visitor = two.at_b
    for path in (TOKEN, INTROSPECT, REVOKE):
        assert client.send(assertion, path).told == REFUSED
    assert client.send(client.assertion()).status == 200
    form = {**GRANT, "client_assertion_type": TYPE}

    def send(visitor: Visitor) -> Answer:
        return visitor.post(TOKEN, {**form, "client_assertion": both})

    for _ in range(3):
        both = client.assertion()
        answers = at_once(send, [two.at_a, two.at_b] * 2)
        assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


@proves("S-055", "S-132", "S-134")
def test_one_that_is_cut_off_from_a_store_claims_nothing(two: Replicas) -> None:
    """503 with Retry-After, and the other goes on; what is asked again afterwards is done, and known to both."""
    client, user = two.at_a.client("introspect"), two.at_a.user()
    for store in two.ways:
        token, session = two.at_a.token(client), two.at_a.session(user)
        ends: list[Callable[[], Answer]] = [
            lambda token=token: two.at_a.post(REVOKE, {"token": token}, basic=client.basic),
            lambda session=session: two.at_a.call("DELETE", SESSION, bearer=session),
        ]
        with two.cut_off(store):
            for end in ends:
                answer = end()
                assert answer.status == 503, store
                assert int(answer.headers["Retry-After"]) >= 1
            assert active(two.at_b, token, client), store
            assert two.at_b.call("GET", SESSION, bearer=session).status == 200, store
        assert [end().status for end in ends] == [200, 200], store
        for visitor in (two.at_b, two.at_a):
            assert not active(visitor, token, client), store
            assert visitor.call("GET", SESSION, bearer=session).status == 401, store
