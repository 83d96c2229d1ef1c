"""A process may answer by what a store far away said a moment ago, and yet nobody sees what has been ended."""

import os
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from auth_server.domain.users import Changes
from auth_server.errors import Unavailable
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store import recent
from auth_server.store.raw_connections import Connections
from auth_server.store.recent import MARK, MARKS, Recent, mark_of, new_mark
from auth_server.store.redis_connection import RedisConnection
from auth_server.store.state import Index, Kind
from tests import proves
from tests.people import PASSWORD, bearer, join, signed_in
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.servers.visitors import INTROSPECT
from tests.sites import Site, site

TERM = 0.02
KEY = bytes(range(32))
STORES = ["postgresql", "mariadb", "postgresql and redis", "redis"]
OTHER = "mariadb and redis"  # for what both of them have a part in


# ---- what was heard, by a clock that the test moves
@dataclass
class Time:
    """Seconds that pass when somebody sleeps, or the test says so."""

    now: float = 100.0
    slept: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def term(monkeypatch: pytest.MonkeyPatch) -> float:
    """The real one, which other tests do without."""
    monkeypatch.setattr(recent, "TERM", TERM)
    return TERM


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def heard(clock: Time, term: float) -> Recent:
    return Recent(clock, clock.sleep)


def marks(first: bytes = b"") -> bytes:
    """All marks of a store, of which the one for KEY can be chosen."""
    some = bytes(MARK * (MARKS + 1))
    return first + some[len(first) :]


def test_what_was_heard_counts_from_before_the_question(heard: Recent, clock: Time) -> None:
    """However long the answer took."""
    heard.hear(clock.now - TERM / 2, marks(), 7)
    assert heard.mark(KEY) == mark_of(KEY, marks())
    clock.now += TERM / 2
    assert heard.now() is None
    assert heard.mark(KEY) is None


def test_a_late_answer_does_not_shorten_a_newer_one(heard: Recent, clock: Time) -> None:
    heard.hear(clock.now, marks(b"newer..."), 8)
    heard.hear(clock.now - TERM, marks(), 7)
    now = heard.now()
    assert now is not None
    assert now.generation == 8


def test_who_ended_something_waits_for_as_long_as_others_may_go_by_what_they_heard(heard: Recent, clock: Time) -> None:
    """Once, and no longer than is left; a quarter more than they may, for clocks that go by another rate."""
    heard.settle()
    assert clock.slept == 0
    heard.end()
    clock.now += TERM / 4
    heard.settle()
    assert clock.slept == pytest.approx(TERM)
    heard.settle()
    assert clock.slept == pytest.approx(TERM)


def test_another_thread_has_nothing_to_wait_for(heard: Recent, clock: Time) -> None:
    heard.end()
    other = threading.Thread(target=heard.settle)
    other.start()
    other.join()
    assert clock.slept == 0


def test_one_asks_for_a_bucket_before_the_others_have_to(heard: Recent, clock: Time) -> None:
    heard.hear(clock.now, marks(), 7)
    heard.hear_untouched(clock.now, "one")
    assert heard.untouched("one")
    clock.now += TERM / 2
    assert [heard.untouched("one") is None for _ in range(3)] == [True, False, False]
    clock.now += TERM / 2
    assert heard.untouched("one") is None


def test_a_bucket_that_is_drawn_from_is_asked_for(heard: Recent, clock: Time) -> None:
    heard.hear(clock.now, marks(), 7)
    heard.hear_untouched(clock.now, "one")
    heard.touch("one")
    assert heard.untouched("one") is None


def test_marks_part_keys_by_their_first_byte() -> None:
    """All change with the first of them, and each with its own."""
    before = os.urandom(MARK * (MARKS + 1))
    all_changed = new_mark() + before[MARK:]
    one_changed = before[: 5 * MARK] + new_mark() + before[6 * MARK :]
    keys = [bytes([number]) * 32 for number in range(MARKS)]
    assert all(mark_of(key, before) != mark_of(key, all_changed) for key in keys)
    assert [key[0] for key in keys if mark_of(key, before) != mark_of(key, one_changed)] == [4]
    assert len({mark_of(key, before) for key in keys}) == MARKS


# ---- two replicas
@dataclass
class Two:
    """Replicas with the same stores, and how often this process has asked those."""

    a: Site
    b: Site
    service: tuple[str, str]
    trips: list[str] = field(default_factory=list)

    def token(self, **members: Any) -> tuple[str, tuple[str, str]]:
        """A token that one has just given out, and whose it is."""
        made = self.a.server.clients.add({"client_name": "test", "scope": "metrics", "token_limit": -1, **members})
        pair = made.client.client_id, made.secret or ""
        return self.again(pair), pair

    def again(self, pair: tuple[str, str]) -> str:
        """One more for the same client."""
        form = {"grant_type": "client_credentials"}
        return str(self.a.http.post("/api/v1/oauth/token", data=form, auth=pair).json["access_token"])

    def is_alive(self, token: str) -> bool:
        """What the other says."""
        answer = self.b.http.post(INTROSPECT, data={"token": token}, auth=self.service)
        assert answer.status_code == 200, answer.data
        return bool(answer.json["active"])

    def asked(self) -> int:
        """How often a store has been asked since this was called last."""
        number = len(self.trips)
        self.trips.clear()
        return number


@pytest.fixture(params=STORES)
def two(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: float) -> Iterator[Two]:
    """Replicas of each kind whose state is far away; the records of the last are in a file that both have."""
    shared = {"key_encryption_key": b64encode(b"k" * 32).decode()}
    name = f"recent_{os.urandom(4).hex()}"
    if "postgresql" in request.param:
        database: PostgreSQL = request.getfixturevalue("postgresql_server")
        shared["database_url"] = database.create(name)
    if "mariadb" in request.param:
        mariadb: MariaDB = request.getfixturevalue("mariadb_server")
        shared["database_url"] = mariadb.create(name)
    if "redis" in request.param:
        redis: Redis = request.getfixturevalue("redis_server")
        redis.command("FLUSHALL")
        shared["redis_url"] = redis.url
    homes = ("a", "b") if "database_url" in shared else ("a", "a")
    a, b = (site(tmp_path / home, **shared) for home in homes)
    made = a.server.clients.add({"client_name": "service", "scope": "introspect"})
    a.server.state.settle()
    both = Two(a, b, (made.client.client_id, made.secret or ""))
    for owner, way in ((RedisConnection, "exchange"), (Connections, "run")):
        counted(monkeypatch, owner, way, both.trips)
    yield both
    a.server.close()
    b.server.close()


def counted(patch: pytest.MonkeyPatch, owner: type, name: str, trips: list[str]) -> None:
    """Have each call of a method noted."""
    way = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        trips.append(name)
        return way(*arguments, **named)

    patch.setattr(owner, name, call)


def test_what_is_asked_again_and_again_is_asked_of_the_store_now_and_then(two: Two, monkeypatch: Any) -> None:
    """Once in half of a term, while the token and the client stay the same."""
    token, _ = two.token()
    monkeypatch.setattr(recent, "TERM", 600)
    assert two.is_alive(token)
    two.asked()
    assert all(two.is_alive(token) for _ in range(50))
    assert two.asked() == 0
    two.b.clock.advance(1)  # what is remembered of a token is read anew, whatever else is known
    assert two.is_alive(token)
    assert two.asked() == 1


@proves("S-046", "S-132")
@pytest.mark.parametrize("two", [*STORES, OTHER], indirect=True)
def test_a_revocation_that_is_acknowledged_is_seen_by_who_was_just_answered(two: Two) -> None:
    """Over and over, while another replica answers from memory all the time."""
    for _ in range(10):
        token, pair = two.token()
        stop = threading.Event()
        late: list[bool] = []

        def ask(token: str = token, stop: threading.Event = stop, late: list[bool] = late) -> None:
            while True:
                over = stop.is_set()
                alive = two.is_alive(token)
                if over:
                    late.append(alive)
                    return

        assert two.is_alive(token)
        asking = [threading.Thread(target=ask) for _ in range(2)]
        for one in asking:
            one.start()
        answer = two.a.http.post("/api/v1/oauth/revoke", data={"token": token}, auth=pair)
        stop.set()
        assert answer.status_code == 200
        assert not two.is_alive(token)
        for one in asking:
            one.join()
        assert late == [False, False]


@proves("S-046")
@pytest.mark.parametrize("end", ["client", "limit", "user", "all", "logout"])
def test_each_end_of_a_token_is_seen_by_who_was_just_answered(two: Two, end: str) -> None:
    """Though the other would answer from memory for very much longer, if it were not for the mark or the generation."""
    server = two.a.server
    token, pair = two.token(token_limit=1 if end == "limit" else -1)
    if end in ("user", "logout"):
        user = join(two.a)
        token = signed_in(two.a)
    assert all(two.is_alive(token) for _ in range(3))
    if end == "client":
        server.clients.change(pair[0], {"enabled": False})
    elif end == "limit":
        two.again(pair)
    elif end == "user":
        server.users.change(user.uid, Changes(enabled=False))
    elif end == "all":
        server.state.revoke(Index.ALL, "", Kind.ACCESS_TOKEN)
    else:
        assert two.a.http.delete("/api/v1/session", headers=bearer(token)).status_code == 200
    server.state.settle()
    assert not two.is_alive(token)


def test_a_token_that_another_displaces_is_never_answered_from_memory(two: Two, monkeypatch: Any) -> None:
    """Nobody waits for that: a client with a limit would get fifty tokens a second and no more."""
    token, pair = two.token(token_limit=1)
    monkeypatch.setattr(recent, "TERM", 600)
    assert all(two.is_alive(token) for _ in range(3))
    two.again(pair)
    assert not two.is_alive(token)


def test_who_changes_the_password_stays_signed_in_also_by_what_others_remember(two: Two) -> None:
    """A memory may say that a token counts, never that it does not."""
    user = join(two.a)
    token = signed_in(two.a)
    two.a.server.state.settle()
    change = {"old": PASSWORD, "new": "Grey-whale-43-sings"}
    assert all(two.is_alive(token) for _ in range(3))
    path = f"/api/v1/users/{user.uid}/password"
    assert two.a.http.put(path, json=change, headers=bearer(token)).status_code == 200
    assert two.is_alive(token)


@proves("S-054")
def test_who_asks_for_what_another_has_just_ended_waits_as_well(two: Two) -> None:
    """Whoever finds nothing cannot know since when."""
    token, pair = two.token()
    assert two.is_alive(token)
    key = two.b.server.tokens.find(token)
    assert key is not None
    two.a.server.state.revoke(Index.KEY, key.token.session_id, Kind.ACCESS_TOKEN)  # and has not settled
    before = time.monotonic()
    answer = two.a.http.post("/api/v1/oauth/revoke", data={"token": token}, auth=pair)
    assert answer.status_code == 200
    assert time.monotonic() - before >= TERM
    assert not two.is_alive(token)


def test_a_token_of_a_person_is_remembered_though_its_client_has_a_limit(two: Two, monkeypatch: Any) -> None:
    """That is for tokens that the client asks for itself; no person is signed out by them."""
    user = join(two.a)
    web = {"grant_types": ["authorization_code", "client_credentials"], "redirect_uris": ["https://app.example.org/"]}
    new = two.a.server.clients.add({"client_name": "app", "scope": "openid metrics", "token_limit": 1, **web})
    two.a.server.state.settle()
    allowed = Authorization("client", "oauth2", "authorization_code", "openid", 3600, client=new.client, user=user)
    token = issue(replace(allowed, family=os.urandom(32)), two.a.server).value
    monkeypatch.setattr(recent, "TERM", 600)
    assert two.is_alive(token)
    two.asked()
    assert all(two.is_alive(token) for _ in range(10))
    assert two.asked() == 0
    assert new.secret is not None
    own = [two.again((new.client.client_id, new.secret)) for _ in range(3)]
    assert [two.is_alive(one) for one in (token, *own)] == [True, False, False, True]


@pytest.mark.parametrize("two", ["redis", "postgresql and redis", OTHER], indirect=True)
def test_a_redis_that_has_lost_everything_brings_no_token_back(two: Two, request: pytest.FixtureRequest) -> None:
    """Also not by a mark that is as it was before there were any."""
    redis: Redis = request.getfixturevalue("redis_server")
    for _ in range(3):
        token, pair = two.token()
        assert all(two.is_alive(token) for _ in range(3))
        assert two.a.http.post("/api/v1/oauth/revoke", data={"token": token}, auth=pair).status_code == 200
        redis.command("FLUSHALL")
        assert not two.is_alive(token)
        assert not two.is_alive(token)


@pytest.mark.parametrize("two", ["postgresql and redis"], indirect=True)
def test_a_change_that_could_not_be_published_is_acknowledged_when_all_have_found_out(
    two: Two, request: pytest.FixtureRequest
) -> None:
    """Redis takes nothing for a moment; each replica looks at the database once a second."""
    redis: Redis = request.getfixturevalue("redis_server")
    user = join(two.a)
    token = signed_in(two.a)
    assert two.is_alive(token)
    redis.command("CONFIG SET min-replicas-to-write 1")
    try:
        before = time.monotonic()
        with suppress(Unavailable):
            two.a.server.users.change(user.uid, Changes(enabled=False))
        with suppress(Unavailable):
            two.b.server.records.publish()  # as its background does within a second
        two.a.server.state.settle()
        assert time.monotonic() - before > 1
        assert not two.is_alive(token)
    finally:
        redis.command("CONFIG SET min-replicas-to-write 0")
