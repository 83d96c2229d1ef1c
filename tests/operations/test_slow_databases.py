"""A server on a database that says nothing for a while, or is slow: over HTTP."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from auth_server.store import raw_connections
from tests import proves
from tests.servers import proxy
from tests.servers.auth_server import AuthServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.proxy import Proxy
from tests.servers.visitors import INTROSPECT, REVOKE, Answer, Registered, Visitor

PATIENCE = 1.0  # seconds that the server waits for an answer; six else
CONNECT = 2  # seconds that it waits for a new connection
LONGEST = PATIENCE + CONNECT + 1  # by a connection that lay idle, then by a new one; and what a busy machine takes
AT_ONCE = 1.2  # seconds, on a busy machine; who waits for a new connection waits CONNECT
DELAY = 0.05  # seconds, each way
PUBLISHED = ("/.well-known/openid-configuration", "/.well-known/jwks.json", "/livez")


@dataclass(frozen=True)
class Slow:
    """A server as processes, and what stands between it and its database."""

    server: AuthServer
    between: Proxy


@dataclass(frozen=True)
class Holder:
    """A client that asks about its own token."""

    visitor: Visitor
    client: Registered
    token: str

    def ask(self) -> Answer:
        return self.visitor.post(INTROSPECT, {"token": self.token}, basic=self.client.basic)

    def revoke(self) -> Answer:
        return self.visitor.post(REVOKE, {"token": self.token}, basic=self.client.basic)

    def is_told_of_its_own(self) -> bool:
        """Whether the answer is about this token, and no other one."""
        told = self.ask()
        return told.status == 200 and told.json["active"] and told.json["client_id"] == self.client.client_id


@pytest.fixture(scope="module")
def slow(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    """On PostgreSQL; tests leave the proxy as it was."""
    name = f"slow_{os.urandom(4).hex()}"
    postgresql_server.create(name)
    with proxy.before(postgresql_server.folder / ".s.PGSQL.5432") as between:
        server = AuthServer(
            tmp_path_factory.mktemp("slow"),
            real_time=True,
            patience=PATIENCE,
            database_url=f"postgresql+psycopg://test@127.0.0.1:{between.port}/{name}?connect_timeout={CONNECT}",
            auth_burst=100000,  # all callers of a test have one address
        )
        server.start()
        yield Slow(server, between)
        server.stop(signal.SIGKILL)


def holders(visitor: Visitor, number: int = 8) -> list[Holder]:
    """As many, each with a token of its own."""
    clients = [visitor.client("introspect") for _ in range(number)]
    return [Holder(visitor, client, visitor.token(client)) for client in clients]


def together(calls: list[Callable[[], object]]) -> list[tuple[object, float]]:
    """Make all calls at the same time; return what each gives, and how many seconds it took."""

    def timed(call: Callable[[], object]) -> tuple[object, float]:
        begun = time.monotonic()
        return call(), time.monotonic() - begun

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(timed, calls))


def is_away(answer: object) -> bool:
    """Whether an answer says that it cannot be known or done now, and when to ask again."""
    assert isinstance(answer, Answer)
    return answer.status == 503 and int(answer.headers["Retry-After"]) >= 1


@proves("S-134", "S-135", "S-055")
def test_what_needs_a_silent_database_is_refused_and_all_else_is_answered_at_once(slow: Slow):
    """No late answer is taken for that to another question, and all goes on by itself when it speaks again."""
    visitor = Visitor(slow.server)
    known = holders(visitor)
    assert {told for told, _ in together([one.is_told_of_its_own for one in known])} == {True}
    asks: list[Callable[[], object]] = [one.ask for one in known]
    others: list[Callable[[], object]] = [
        partial(visitor.ask_token, known[0].client),
        known[0].revoke,
        partial(visitor.call, "GET", "/readyz"),
    ]
    time.sleep(raw_connections.UNUSED)  # before an idle connection is used it is looked at
    slow.between.hold(20)  # an answer may stop in the middle
    try:
        told = together([*asks, *others])
        assert [is_away(answer) for answer, _ in told] == [True] * len(told)
        assert max(seconds for _, seconds in told) < LONGEST
        end = time.monotonic() + CONNECT + 0.3  # whoever is asked in turn whether it speaks again
        while time.monotonic() < end:
            for answer, seconds in together([partial(visitor.call, "GET", path) for path in PUBLISHED]):
                assert isinstance(answer, Answer)
                assert answer.status == 200
                assert seconds < AT_ONCE
    finally:
        slow.between.release()
    until(lambda: {answer.status for answer in visitor.everywhere(partial(visitor.call, "GET", "/readyz"))} == {200})
    for _ in range(3):
        assert {told for told, _ in together([one.is_told_of_its_own for one in known])} == {True}
    assert known[0].revoke().status == 200
    assert known[0].ask().json == {"active": False}
    assert visitor.ask_token(known[0].client).status == 200


@proves("S-134")
def test_a_slow_database_makes_answers_late_and_not_wrong(slow: Slow):
    """Every question to it takes a tenth of a second more, and a revocation counts when it is acknowledged."""
    visitor = Visitor(slow.server)
    known, (ending,) = holders(visitor, 4), holders(visitor, 1)
    together([one.is_told_of_its_own for one in known])
    slow.between.delay = DELAY
    try:
        calls: list[Callable[[], object]] = [one.is_told_of_its_own for one in known]
        calls += [lambda: ending.revoke().status == 200 and ending.ask().json == {"active": False}]
        calls += [lambda: bool(visitor.token(known[0].client))]
        told = together(calls)
        assert [answer for answer, _ in told] == [True] * len(calls)
        assert max(seconds for _, seconds in told) > 2 * DELAY
        for path in (*PUBLISHED, "/readyz"):
            assert visitor.call("GET", path).status == 200
    finally:
        slow.between.delay = 0.0
