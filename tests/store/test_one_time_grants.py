"""Codes and refresh tokens, used by many at once: threads of processes over one store, as replicas are."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from auth_server.store.records import Records
from auth_server.store.state import State
from tests import proves
from tests.people import bearer, join
from tests.relying_party import USERINFO, Browser, RelyingParty, relying_party
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.sites import Site, site
from tests.store.conformance.crowd import Crowd

THREADS, ROUNDS = 7, 3  # of each of the crowd's eight processes: 56 at once
SCOPE = "openid offline_access"
_numbers = count()


class Replica:
    """A server over the stores that the others have too."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.here = site(folder, **settings)

    def check(self) -> None:
        self.here.server.records.check()

    def close(self) -> None:
        self.here.server.close()


@pytest.fixture(params=["embedded", "redis", "postgresql", "postgresql and redis", "mariadb"])
def settings(request: pytest.FixtureRequest, worker_id: str) -> dict[str, str]:
    """Where everything is kept."""
    given = {}
    if "redis" in request.param:
        redis: Redis = request.getfixturevalue("redis_server")
        redis.ask("FLUSHALL")  # the clock stands still, and the throttles of an earlier test with it
        given["redis_url"] = redis.url
    for kind in ("postgresql", "mariadb"):
        if kind in request.param:
            database: PostgreSQL | MariaDB = request.getfixturevalue(f"{kind}_server")
            given["database_url"] = database.create(f"grants_{worker_id}_{next(_numbers)}")
    return given


@pytest.fixture
def here(tmp_path: Path, settings: dict[str, str]) -> Iterator[Site]:
    here = site(tmp_path, **settings)
    yield here
    here.server.close()


@pytest.fixture
def party(here: Site) -> RelyingParty:
    join(here)
    return relying_party(here)


@pytest.fixture
def open_replica(here: Site, tmp_path: Path, settings: dict[str, str]) -> Callable[[], Replica]:
    return partial(Replica, tmp_path, settings)


def ask(replica: Replica, _: int, client_id: str, secret: str, use: str, value: str) -> list[tuple[int, str]]:
    """Redeem a code, or use a refresh token, by several threads; return statuses and refresh tokens, or errors."""
    party = RelyingParty(replica.here, client_id, secret)

    def once(_: int) -> tuple[int, str]:
        answer = party.redeem(value) if use == "code" else party.refresh(value)
        return answer.status_code, answer.json.get("refresh_token") or answer.json["error"]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(once, range(THREADS)))


def crowded(crowd: Crowd, open_replica: Callable[[], Replica], party: RelyingParty, use: str, value: str) -> Counter:
    """Return how often there was which answer."""
    answers = crowd.run(ask, open_replica, party.client_id, party.secret, use, value)
    return Counter(answer for some in answers for answer in some)


@proves("S-030", "S-029")
def test_of_many_who_redeem_a_code_one_succeeds(
    here: Site, party: RelyingParty, crowd: Crowd, open_replica: Callable[[], Replica]
):
    """And what it got counts no more, for somebody else had the code."""
    for _ in range(ROUNDS):
        answers = crowded(crowd, open_replica, party, "code", party.code(Browser(here), scope=SCOPE))
        assert answers.total() == crowd.size * THREADS
        won = [answer for answer in answers if answer[0] == 200]
        assert sum(answers[answer] for answer in won) == 1
        assert answers[400, "invalid_grant"] == crowd.size * THREADS - 1
        for _, token in won:
            assert party.refresh(token).json["error"] == "invalid_grant"


@proves("S-037")
def test_of_many_who_refresh_all_get_one_successor(
    here: Site, party: RelyingParty, crowd: Crowd, open_replica: Callable[[], Replica]
):
    """Nobody is signed out, and there is one living line."""
    token = party.tokens(Browser(here), scope=SCOPE)["refresh_token"]
    for _ in range(ROUNDS):
        answers = crowded(crowd, open_replica, party, "refresh", token)
        assert {status for status, _ in answers} == {200}
        (successor,) = {value for _, value in answers}
        assert successor != token
        token = successor
    told = party.refresh(token).json
    assert here.http.get(USERINFO, headers=bearer(told["access_token"])).status_code == 200


def test_a_replica_is_a_store_to_the_crowd():
    """What `Crowd` asks of a store it may ask of a replica."""
    assert all(
        hasattr(Replica, name) and hasattr(kind, name) for name in ("check", "close") for kind in (Records, State)
    )
