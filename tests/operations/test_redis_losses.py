"""A server on a Redis that goes away, comes back with older data, or forgets everything: over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auth_server.domain.users import Changes
from tests import proves
from tests.oidc.test_end_session import LOGOUT, is_signed_in
from tests.people import bearer, join
from tests.protocol.extensions.test_client_assertion import Signing
from tests.relying_party import USERINFO, Browser, RelyingParty, relying_party
from tests.servers.auth_server import AuthServer
from tests.servers.redis import Redis, running
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Answer, Visitor
from tests.sites import Site, site

OFFLINE = "openid offline_access"
REFUSED = (400, "invalid_grant")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own, to do harm to."""
    with running(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def here(redis: Redis, tmp_path: Path) -> Iterator[Site]:
    """A server on it, with a person."""
    here = site(tmp_path, redis_url=redis.url)
    join(here)
    yield here
    here.server.close()


@pytest.fixture
def party(here: Site) -> RelyingParty:
    return relying_party(here)


def answers(here: Site, token: str) -> int:
    """The status by which a token opens the person's claims."""
    return here.http.get(USERINFO, headers=bearer(token)).status_code


def told(answer: object) -> tuple[int, str]:
    """Status and error of an answer."""
    return answer.status_code, answer.json["error"]  # type: ignore[attr-defined]


class TestOlderSnapshot:
    """Redis is killed and starts with what it held some time ago."""

    @proves("S-133", "S-054")
    def test_a_revoked_token_stays_dead_and_others_live(self, here: Site, party: RelyingParty, redis: Redis) -> None:
        """One that was issued after the snapshot is lost, which is known as that of an unknown token."""
        browser = Browser(here)
        revoked, living = (party.tokens(browser)["access_token"] for _ in range(2))
        redis.ask("SAVE")
        lost = party.tokens(browser)["access_token"]
        assert party.post(REVOKE, token=revoked).status_code == 200
        redis.stop()
        redis.start()
        assert [answers(here, token) for token in (revoked, living, lost)] == [401, 200, 401]
        assert party.post(INTROSPECT, token=revoked).json == {"active": False}

    @proves("S-133", "S-054")
    def test_a_token_that_was_lost_when_it_was_revoked_stays_dead(
        self, here: Site, party: RelyingParty, redis: Redis
    ) -> None:
        """Its client was told that it is dead; then somebody puts a snapshot back."""
        token = party.tokens(Browser(here))["access_token"]
        redis.ask("SAVE")
        redis.ask("FLUSHALL")
        assert party.post(REVOKE, token=token).status_code == 200
        redis.stop()
        redis.start()
        assert answers(here, token) == 401

    @proves("S-133", "S-030")
    def test_a_code_that_was_redeemed_is_not_redeemed_again(
        self, here: Site, party: RelyingParty, redis: Redis
    ) -> None:
        """Who tries ends what it gave; one that was not redeemed is still good, once."""
        browser = Browser(here)
        used, unused = (party.code(browser, scope=OFFLINE) for _ in range(2))
        redis.ask("SAVE")
        tokens = party.redeem(used).json
        redis.stop()
        redis.start()
        assert told(party.redeem(used)) == REFUSED
        assert told(party.refresh(tokens["refresh_token"])) == REFUSED
        assert party.redeem(unused).status_code == 200
        assert told(party.redeem(unused)) == REFUSED

    @proves("S-133")
    def test_who_has_signed_out_stays_out(self, here: Site, party: RelyingParty, redis: Redis) -> None:
        """On the browser where that happened; what its sign-in gave is dead too, and others stay signed in."""
        leaving, staying = Browser(here), Browser(here)
        token = party.tokens(leaving)["access_token"]
        hint = party.tokens(staying)["id_token"]
        assert hint
        redis.ask("SAVE")
        leaving.open(LOGOUT)
        leaving.send(decision="allow")
        redis.stop()
        redis.start()
        assert answers(here, token) == 401
        assert 'name="username"' in party.start(leaving).text
        assert is_signed_in(party, staying)

    def test_a_new_password_stays_the_only_one(self, here: Site, party: RelyingParty, redis: Redis) -> None:
        """Sessions of before are dead, whatever Redis says."""
        token = party.tokens(Browser(here))["access_token"]
        session = here.http.post(SESSION, json={"username": "jane", "password": "Blue-whale-42-sings"}).json
        redis.ask("SAVE")
        jane = here.server.users.find("jane")
        here.server.users.change(jane.uid, Changes(password="Another-whale-43-sings"))
        redis.stop()
        redis.start()
        assert here.http.get(SESSION, headers=bearer(session["access_token"])).status_code == 401
        assert answers(here, token) == 401


class TestForgotten:
    """FLUSHALL."""

    @proves("S-133")
    def test_what_is_lost_is_refused_and_nothing_counts_twice(
        self, here: Site, party: RelyingParty, redis: Redis
    ) -> None:
        """Codes and requests that wait are unknown; who is signed in stays so, and refresh tokens go on."""
        browser = Browser(here)
        used, unused = party.code(browser, scope=OFFLINE), party.code(browser)
        tokens = party.redeem(used).json
        waiting = Browser(here)
        party.start(waiting)
        redis.ask("FLUSHALL")
        assert answers(here, tokens["access_token"]) == 401
        assert told(party.redeem(used)) == REFUSED
        assert told(party.redeem(unused)) == REFUSED
        assert waiting.sign_in().status_code in (400, 404, 410)
        assert is_signed_in(party, browser)
        again = party.refresh(tokens["refresh_token"])
        assert again.status_code == 200
        assert answers(here, again.json["access_token"]) == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AuthServer, Redis]]:
    """A server as processes, and its Redis."""
    folder = tmp_path_factory.mktemp("served")
    with running(folder / "redis") as redis:
        server = AuthServer(folder / "server", redis_url=redis.url)
        server.start()
        yield server, redis
        server.stop()


def away(answer: Answer) -> bool:
    """Whether an answer says that it cannot be known now, and when to ask again."""
    return answer.status == 503 and int(answer.headers["Retry-After"]) >= 1


@proves("S-132")
def test_while_redis_is_away_nobody_is_let_in(served: tuple[AuthServer, Redis]) -> None:
    """What could not be checked answers 503 with Retry-After, what needs no Redis goes on; back without a restart."""
    server, redis = served
    visitor = Visitor(server)
    client, signing = visitor.client("metrics introspect"), Signing(visitor)
    person = visitor.user()
    token, session = visitor.token(client), visitor.session(person)
    login = {"username": person.name, "password": "Blue-whale-42-sings"}
    unsent = {"grant_type": "authorization_code", "code": "x" * 43}
    questions: list[Callable[[], Answer]] = [
        lambda: visitor.ask_token(client),
        lambda: signing.send(signing.assertion()),
        lambda: visitor.post(TOKEN, unsent, basic=visitor.client(grant_types=("authorization_code",)).basic),
        lambda: visitor.post(INTROSPECT, {"token": token}, basic=client.basic),
        lambda: visitor.post(REVOKE, {"token": token}, basic=client.basic),
        lambda: visitor.call("POST", SESSION, json_body=login),
        lambda: visitor.call("GET", SESSION, bearer=session),
        lambda: visitor.call("GET", "/readyz"),
    ]
    before = [question().status for question in questions[:1]]
    redis.stop()
    assert [away(question()) for question in questions] == [True] * len(questions)
    for path in ("/.well-known/openid-configuration", "/.well-known/jwks.json", "/livez"):
        assert visitor.call("GET", path).status == 200
    redis.start()
    assert before == [200]
    assert visitor.everywhere(lambda: visitor.ask_token(client).status) == [200] * 8
    assert visitor.call("POST", SESSION, json_body=login).status == 200
    assert visitor.call("GET", "/readyz").status == 200


@proves("S-133", "RFC 7523 §3")
def test_an_assertion_counts_once_whatever_becomes_of_redis(served: tuple[AuthServer, Redis]) -> None:
    """After FLUSHALL and after a restart from a snapshot of before."""
    server, redis = served
    signing = Signing(Visitor(server))
    assertion = signing.assertion()
    redis.ask("SAVE")
    assert signing.send(assertion).status == 200
    redis.ask("FLUSHALL")
    assert signing.send(assertion).told == (401, "invalid_client")
    redis.stop()
    redis.start()
    assert signing.send(assertion).told == (401, "invalid_client")
    assert signing.send(signing.assertion()).status == 200


def test_a_full_redis_refuses_what_is_new(served: tuple[AuthServer, Redis]) -> None:
    """What is there can be asked for and revoked."""
    server, redis = served
    visitor = Visitor(server)
    client = visitor.client("metrics introspect")
    token = visitor.token(client)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        assert away(visitor.ask_token(client))
        assert visitor.introspect(token, client)["active"]
        assert visitor.post(REVOKE, {"token": token}, basic=client.basic).status == 200
        assert visitor.introspect(token, client) == {"active": False}
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert visitor.ask_token(client).status == 200
