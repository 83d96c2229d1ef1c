"""A server on a database that is killed, only reads, or is waited for by a worker that dies: over HTTP."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import text

from auth_server.store.engine import create, writing
from auth_server.store.state import Index, Kind, Page
from tests import proves
from tests.operations.test_worker_deaths import until_it_serves, workers
from tests.servers import mariadb, postgresql
from tests.servers.auth_server import ADMIN_PASSWORD, AuthServer
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.traffic import Traffic
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, Answer, Visitor

JWKS = "/.well-known/jwks.json"
PUBLISHED = ("/.well-known/openid-configuration", JWKS, "/livez")
REGISTER = "/api/v1/oauth/register"
KEYS, ROTATE = "/api/v1/admin/keys", "/api/v1/admin/keys/rotate"


@dataclass(frozen=True)
class Served:
    """A server as processes, and its database."""

    server: AuthServer
    database: PostgreSQL | MariaDB

    def is_away(self, answer: Answer) -> bool:
        """Whether an answer says that it cannot be known or done now, and when to ask again."""
        return answer.status == 503 and int(answer.headers["Retry-After"]) >= 1


@pytest.fixture(
    scope="module",
    params=[(postgresql.mortal, "gunicorn"), (mariadb.mortal, "granian")],
    ids=["postgresql", "mariadb"],
)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On each kind of database, and each of the web servers with one of them; tests leave both running."""
    mortal, kind = request.param
    with mortal() as database:
        url = database.create("served")
        server = AuthServer(
            tmp_path_factory.mktemp("served"),
            kind,
            real_time=True,
            database_url=url,
            registration="open",
            auth_burst=100000,  # all callers have one address
            refresh_token_grace=300,  # however long a busy machine takes to start the database again
        )
        server.start()
        yield Served(server, database)
        server.stop(signal.SIGKILL)


def sign_in(visitor: Visitor) -> Answer:
    """A login of the first admin."""
    return visitor.call("POST", SESSION, json_body={"username": "admin", "password": ADMIN_PASSWORD})


@proves("S-134")
def test_what_is_published_is_answered_while_the_database_is_away(served: Served):
    """Relying parties go on verifying, also at a worker that nobody had asked before."""
    visitor = Visitor(served.server)
    served.database.crash()
    try:
        for path in PUBLISHED:
            assert {answer.status for answer in visitor.everywhere(partial(visitor.call, "GET", path))} == {200}
        assert served.is_away(visitor.call("GET", "/readyz"))
    finally:
        served.database.start_again()
    until(lambda: visitor.call("GET", "/readyz").status == 200)


@proves("S-134", "S-055")
def test_a_database_that_is_killed_under_load_takes_nothing_acknowledged_with_it(served: Served):
    """What needs it is answered 503 with Retry-After meanwhile; then all goes on, without a restart of ours."""
    server, database = served.server, served.database
    visitor = Visitor(server)
    traffic = Traffic(server)
    client = visitor.client("introspect")
    kept, doomed = visitor.token(client), visitor.token(client)
    session = visitor.session(visitor.user())
    ends: list[Callable[[], Answer]] = [
        lambda: visitor.post(REVOKE, {"token": doomed}),
        lambda: visitor.post(REVOKE, {"token": doomed}, basic=client.basic),
        lambda: visitor.call("DELETE", SESSION, bearer=session),
    ]
    with traffic.flowing():
        traffic.goes_on(100)
        assert traffic.away() == 0
        database.crash()
        traffic.goes_on(20)
        assert served.is_away(visitor.ask_token(client))
        assert served.is_away(visitor.post(INTROSPECT, {"token": kept}, basic=client.basic))
        assert [served.is_away(end()) for end in ends] == [True] * len(ends)
        database.start_again()
        traffic.goes_on(40)
        away = traffic.away()
        traffic.goes_on(100)
        assert traffic.away() == away
    assert traffic.wrong() == []
    traffic.check_at(server)
    assert [visitor.introspect(token, client)["active"] for token in (kept, doomed)] == [True, True]
    assert [end().status for end in ends] == [200] * len(ends)
    assert [visitor.introspect(token, client)["active"] for token in (kept, doomed)] == [True, False]
    assert visitor.call("GET", SESSION, bearer=session).status == 401


@proves("S-134")
def test_what_needs_no_write_is_answered_while_the_database_only_reads(served: Served):
    """What would have to write is told to come again, and does nothing; afterwards all goes on by itself."""
    visitor = Visitor(served.server)
    client = visitor.client("introspect")
    token, session = visitor.token(client), visitor.session(visitor.user())
    admin = visitor.token(visitor.client("admin:keys"))
    keys = visitor.call("GET", KEYS, bearer=admin).json
    reads: list[Callable[[], Answer]] = [
        *(partial(visitor.call, "GET", path) for path in PUBLISHED),
        lambda: visitor.post(INTROSPECT, {"token": token}, basic=client.basic),
        lambda: visitor.call("GET", SESSION, bearer=session),
        lambda: visitor.call("GET", KEYS, bearer=admin),
    ]
    writes: list[Callable[[], Answer]] = [
        lambda: visitor.ask_token(client),
        lambda: sign_in(visitor),
        lambda: visitor.call("POST", ROTATE, bearer=admin, json_body={"alg": "ES256"}),
        lambda: visitor.post(REVOKE, {"token": token}, basic=client.basic),
        lambda: visitor.call("DELETE", SESSION, bearer=session),
    ]
    with served.database.only_reading():
        for write in writes:
            assert {served.is_away(answer) for answer in visitor.everywhere(write, 2)} == {True}
        for read in reads:
            assert {answer.status for answer in visitor.everywhere(read)} == {200}
        assert visitor.introspect(token, client)["active"]
        assert visitor.call("GET", KEYS, bearer=admin).json == keys
    assert [write().status for write in writes] == [200] * len(writes)


@proves("S-131")
def test_a_worker_that_dies_in_a_transaction_leaves_neither_half_of_it_nor_its_locks(served: Served):
    """It had begun to displace a client's only token by a new one, and to remove a client."""
    server, database = served.server, served.database
    visitor = Visitor(server)
    client = visitor.client("introspect", token_limit=1)
    first = visitor.token(client)
    registered = visitor.call("POST", REGISTER, json_body={"redirect_uris": ["https://app.example.org/cb"]}).json
    at, secret = f"{REGISTER}/{registered['client_id']}", registered["registration_access_token"]
    rows = create(database.url("served"))
    with ThreadPoolExecutor(2) as threads:
        with writing(rows) as holder:  # of rows that each of the two changes last
            holder.execute(text("SELECT 1 FROM state_entries FOR UPDATE"))
            holder.execute(text("SELECT 1 FROM generation FOR UPDATE"))
            lost: list[Future[Answer]] = [
                threads.submit(visitor.ask_token, client),
                threads.submit(visitor.call, "DELETE", at, bearer=secret),
            ]
            until(lambda: database.waiting("served") == 2)
            for worker in workers(server):
                os.kill(worker, signal.SIGKILL)
        for call in lost:
            with pytest.raises(OSError):
                call.result()
    rows.dispose()
    until_it_serves(server)
    assert len(server.inside.state.find(Kind.ACCESS_TOKEN, Index.CLIENT, client.client_id, Page(9), server.now())) == 1
    last = visitor.token(client)
    assert [visitor.introspect(token, client)["active"] for token in (first, last)] == [False, True]
    assert [visitor.call(method, at, bearer=secret).status for method in ("GET", "DELETE", "GET")] == [200, 204, 401]
