"""With PostgreSQL and Redis the generation of the records comes along with what Redis answers, and is as exact."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth_server.background import Background
from auth_server.domain.users import Changes
from auth_server.errors import Conflict, Unavailable
from tests import proves
from tests.people import SESSION, alive, bearer, join, signed_in
from tests.servers import postgresql
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.redis import Redis, running
from tests.servers.visitors import INTROSPECT
from tests.sites import Site, site

NUMBER = "as:generation"


@dataclass(frozen=True)
class Two:
    """Two replicas, and what they share."""

    a: Site
    b: Site
    redis: Redis
    database: PostgreSQL

    def published(self) -> int:
        """The generation that Redis has."""
        return int(self.redis.command("GET", NUMBER).splitlines()[1])


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Replicas over a database and a Redis of their own, to do harm to."""
    with postgresql.mortal() as database, running(tmp_path / "redis") as redis:
        shared = {
            "database_url": database.create("generation"),
            "redis_url": redis.url,
            "key_encryption_key": b64encode(b"k" * 32).decode(),
        }
        a, b = (site(tmp_path / name, **shared) for name in ("a", "b"))
        yield Two(a, b, redis, database)
        a.server.close()
        b.server.close()


def introspected(here: Site, token: str, client: tuple[str, str]) -> bool:
    """Whether a replica takes a token for good."""
    answer = here.http.post(INTROSPECT, data={"token": token}, auth=client)
    assert answer.status_code == 200, answer.data
    return bool(answer.json["active"])


@proves("S-046")
def test_a_change_at_one_is_known_to_the_other_when_it_is_acknowledged(two: Two) -> None:
    """A person is disabled at one; the other had a copy that said otherwise."""
    user = join(two.a)
    session = signed_in(two.a)
    assert alive(two.b, session)
    before = two.published()
    two.a.server.users.change(user.uid, Changes(enabled=False))
    assert two.published() > before
    assert not alive(two.b, session)


def test_what_is_rolled_back_is_not_published(two: Two) -> None:
    """Else the change that gets this number later would go unnoticed."""
    join(two.a)
    before = two.published()
    with pytest.raises(Conflict):
        join(two.a)
    assert two.published() == before


@pytest.mark.parametrize("loss", [("DEL", NUMBER), ("SET", NUMBER, "1"), ("SET", NUMBER, "9999")])
def test_a_number_that_redis_lost_or_has_from_elsewhere_is_put_right(two: Two, loss: tuple[str, ...]) -> None:
    """By the background work of any replica, within a second."""
    join(two.a)
    right = two.published()
    two.redis.command(*loss)
    assert two.b.server.users.find("jane").enabled
    two.b.server.records.publish()
    assert two.published() == right


def test_a_redis_with_an_old_number_is_not_used_before_that_is_put_right(two: Two) -> None:
    """It starts again from a snapshot; copies that somebody has from that time do not count."""
    user = join(two.a)
    session = signed_in(two.a)
    assert alive(two.b, session)
    two.redis.command("SAVE")
    two.a.server.users.change(user.uid, Changes(enabled=False))
    two.redis.stop()
    two.redis.start()
    assert not alive(two.b, session)


def test_a_redis_that_takes_no_writes_is_not_asked(two: Two) -> None:
    """What is changed then cannot be published; within a second every replica goes to the database instead."""
    user = join(two.a)
    session = signed_in(two.a)
    assert alive(two.b, session)
    two.redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
    change = Changes(display_name="Jane")
    two.a.server.users.change(user.uid, change)
    with pytest.raises(Unavailable):
        two.b.server.records.publish()
    found = two.b.http.get(SESSION, headers=bearer(session)).json
    assert found["user"]["DisplayName"] == "Jane"
    two.redis.command("CONFIG", "SET", "min-replicas-to-write", "0")
    two.b.server.records.publish()
    two.a.server.users.change(user.uid, Changes(enabled=False))
    assert not alive(two.b, session)


def test_a_redis_that_another_database_used_is_put_right_before_it_is_used(two: Two, tmp_path: Path) -> None:
    """Its number is higher than any of the new database, so no change would be noticed."""
    join(two.a)
    two.redis.command("SET", NUMBER, "9999")
    settings = {"redis_url": two.redis.url, "key_encryption_key": b64encode(b"k" * 32).decode()}
    here = site(tmp_path / "c", database_url=two.database.create("another"), **settings)
    user = join(here)
    session = signed_in(here)
    assert two.published() < 9999
    here.server.users.change(user.uid, Changes(enabled=False))
    assert not alive(here, session)
    here.server.close()


@proves("S-134")
def test_tokens_are_issued_and_checked_while_the_database_is_away(two: Two) -> None:
    """Nobody can change records then, so the copies are true."""
    client = two.a.server.clients.add({"client_name": "test", "scope": "introspect"})
    pair = (client.client.client_id, client.secret or "")
    form = {"grant_type": "client_credentials"}
    token = two.a.http.post("/api/v1/oauth/token", data=form, auth=pair).json["access_token"]
    assert introspected(two.a, token, pair)
    two.database.crash()
    assert introspected(two.a, token, pair)
    assert two.a.http.post("/api/v1/oauth/token", data=form, auth=pair).status_code == 200


def test_keys_are_seen_to_while_redis_is_away(two: Two) -> None:
    """Periodic work that needs only the database goes on."""
    background = Background(two.a.server)
    background.tick()
    kinds = {key.alg for key in two.a.server.records.keys.all()}
    two.a.server.records.keys.edit(lambda _: [])
    two.redis.stop()
    two.a.clock.advance(1)
    with pytest.raises(Unavailable):
        background.tick()
    assert {key.alg for key in two.a.server.records.keys.all()} == kinds


def test_a_removed_key_leaves_every_key_set_within_a_second(two: Two) -> None:
    """A replica answers from its copy for a moment only, and what the key signed is dead at once."""

    def published(here: Site) -> set[str]:
        return {key["kid"] for key in here.http.get("/.well-known/jwks.json").json["keys"]}

    kid = two.a.server.keyring.signing_key().kid
    assert kid in published(two.b)
    two.a.server.keyring.remove(kid)
    assert not two.b.server.keyring.verifies(kid)
    until(lambda: kid not in published(two.b), patience=1)
