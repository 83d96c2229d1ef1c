"""A server on PostgreSQL and Redis whose PostgreSQL is away while Redis is there: over HTTP."""

import os
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests import proves
from tests.people import PASSWORD, join
from tests.protocol.extensions.test_client_assertion import Signing
from tests.relying_party import REDIRECT_URI, VERIFIER, Browser, relying_party
from tests.servers import postgresql
from tests.servers.auth_server import AuthServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.redis import Redis, running
from tests.servers.traffic import site_of
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Answer, Visitor

PUBLISHED = ("/.well-known/openid-configuration", "/.well-known/jwks.json", "/livez")


@dataclass(frozen=True)
class Served:
    """A server as a process, and its stores."""

    server: AuthServer
    database: PostgreSQL
    redis: Redis


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One thread answers, which has its connection to Redis from the first request on."""
    folder = tmp_path_factory.mktemp("beside")
    with postgresql.mortal() as database, running(folder / "redis") as redis:
        server = AuthServer(
            folder / "server",
            workers=1,
            threads=1,
            database_url=database.create("beside"),
            redis_url=redis.url,
            key_encryption_key=b64encode(os.urandom(32)).decode(),
            auth_burst=100000,  # all callers have one address
        )
        server.start()
        yield Served(server, database, redis)
        server.stop(signal.SIGKILL)


def is_away(answer: Answer) -> bool:
    """Whether an answer says that it cannot be known or done now, and when to ask again."""
    return answer.status == 503 and int(answer.headers["Retry-After"]) >= 1


@proves("S-055", "S-133", "S-134")
def test_what_redis_alone_can_answer_is_answered_while_the_database_is_away(served: Served):
    """Tokens are issued and checked; what must not be forgotten is refused, and none of it is done by half."""
    visitor, signing = Visitor(served.server), Signing(Visitor(served.server))
    here = site_of(served.server)
    join(here)
    party = relying_party(here)
    browser = Browser(here)
    tokens, code = party.tokens(browser, scope="openid offline_access"), party.code(browser)
    client = visitor.client("introspect")
    kept, doomed, dead = (visitor.token(client) for _ in range(3))
    assertion = signing.assertion()
    credentials = (party.client_id, party.secret or "")
    redeemed = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    redeemed |= {"code_verifier": VERIFIER}
    refreshed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    login = {"username": "jane", "password": PASSWORD}
    refused: list[Callable[[], Answer]] = [
        lambda: visitor.post(TOKEN, redeemed, basic=credentials),
        lambda: visitor.post(TOKEN, refreshed, basic=credentials),
        lambda: signing.send(assertion),
        lambda: visitor.post(INTROSPECT, {"token": dead}, basic=client.basic),  # it might be one that the database has
        lambda: visitor.post(REVOKE, {"token": doomed}),
        lambda: visitor.post(REVOKE, {"token": doomed}, basic=client.basic),
        lambda: visitor.post(REVOKE, {"token": tokens["refresh_token"]}),
        lambda: visitor.call("POST", SESSION, json_body=login),
        lambda: visitor.call("GET", "/readyz"),
    ]

    def active(*tokens: str) -> list[bool]:
        return [visitor.introspect(token, client)["active"] for token in tokens]

    served.redis.ask("SAVE")
    assert visitor.post(REVOKE, {"token": dead}, basic=client.basic).status == 200
    assert active(kept, doomed, dead) == [True, True, False]
    served.database.crash()
    try:
        for _ in range(2):
            assert [is_away(refusal()) for refusal in refused] == [True] * len(refused)
        for path in PUBLISHED:
            assert visitor.call("GET", path).status == 200
        late = visitor.token(client)
        assert active(kept, doomed, late) == [True, True, True]
    finally:
        served.database.start_again()
    until(lambda: visitor.call("GET", "/readyz").status == 200)
    assert active(kept, doomed, dead, late) == [True, True, False, True]
    assert [again().status for again in refused] == [200] * len(refused)
    assert active(kept, doomed, dead, late) == [True, False, False, True]
    assert visitor.post(TOKEN, redeemed, basic=credentials).told == (400, "invalid_grant")
    assert signing.send(assertion).told == (401, "invalid_client")
    served.redis.stop()
    served.redis.start()  # with what it held before either was revoked
    assert active(kept, doomed, dead) == [True, False, False]
