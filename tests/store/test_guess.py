"""A token is issued by one round trip to a store far away, and never on what is not so any more."""

import os
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auth_server.store.raw_connections import Connections
from auth_server.store.redis_connection import RedisConnection
from auth_server.store.state import Index, Kind, Page
from tests import proves
from tests.proofs import Prover
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.sites import ISSUER, Site, site

TOKEN = "/api/v1/oauth/token"
FORM = {"grant_type": "client_credentials"}


@dataclass
class Two:
    """Two replicas with the same stores, and how often this process has asked those."""

    a: Site
    b: Site
    trips: list[str] = field(default_factory=list)

    def registered(self, **members: Any) -> tuple[str, str]:
        """Register a client at one; return its credentials."""
        made = self.a.server.clients.add({"client_name": "test", "scope": "metrics files", **members})
        return made.client.client_id, made.secret or ""

    def ask(self, pair: tuple[str, str], scope: str = "", **headers: str) -> Any:
        """Ask the other for a token."""
        return self.b.http.post(TOKEN, data={**FORM, "scope": scope}, auth=pair, headers=headers)

    def went_wrong(self, pair: tuple[str, str]) -> str:
        """Why the other gives no token."""
        answer = self.ask(pair)
        assert "access_token" not in answer.json
        return str(answer.json["error"])


@pytest.fixture(params=["postgresql", "postgresql and redis", "redis"])
def two(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    """Replicas of each kind whose state is far away; the records of the last are in a file that both have."""
    shared = {"key_encryption_key": b64encode(b"k" * 32).decode()}
    if "postgresql" in request.param:
        database: PostgreSQL = request.getfixturevalue("postgresql_server")
        shared["database_url"] = database.create(f"guess_{os.urandom(4).hex()}")
    if "redis" in request.param:
        redis: Redis = request.getfixturevalue("redis_server")
        redis.command("FLUSHALL")
        shared["redis_url"] = redis.url
    homes = ("a", "b") if "database_url" in shared else ("a", "a")
    a, b = (site(tmp_path / name, **shared) for name in homes)
    two = Two(a, b)
    for kind, name in ((Connections, "run"), (RedisConnection, "exchange")):
        monkeypatch.setattr(kind, name, _counted(getattr(kind, name), two.trips))
    yield two
    a.server.close()
    b.server.close()


def _counted(method: Any, trips: list[str]) -> Any:
    def counted(*arguments: Any) -> Any:
        trips.append(method.__qualname__)
        return method(*arguments)

    return counted


@pytest.mark.parametrize("members", [{}, {"token_limit": -1}, {"token_format": "jwt"}], ids=str)
def test_a_token_takes_one_round_trip(two: Two, members: dict[str, Any]) -> None:
    """From the second on: the first learns how things are."""
    pair = two.registered(**members)
    assert two.ask(pair).status_code == 200
    two.trips.clear()
    for _ in range(3):
        assert two.ask(pair).status_code == 200
    assert len(two.trips) == 3


@proves("S-046")
def test_what_changed_elsewhere_counts_at_once(two: Two) -> None:
    """Scope, secret, whether it is enabled and whether it is there, though the other has copies that say otherwise."""
    pair = two.registered()
    assert two.ask(pair).json["scope"] == "files metrics"
    clients = two.a.server.clients
    clients.change(pair[0], {"scope": "metrics"})
    assert two.ask(pair).json["scope"] == "metrics"
    assert two.ask(pair, "files").json["error"] == "invalid_scope"
    fresh = (pair[0], clients.new_secret(pair[0]).secret or "")
    assert two.ask(fresh).status_code == 200
    assert two.went_wrong(pair) == "invalid_client"
    clients.change(pair[0], {"enabled": False})
    assert two.went_wrong(fresh) == "invalid_client"
    clients.change(pair[0], {"enabled": True})
    assert two.ask(fresh).status_code == 200
    clients.remove(pair[0])
    assert two.went_wrong(fresh) == "invalid_client"
    assert two.registered() != pair


def test_what_another_is_allowed_anew_counts_at_once(two: Two) -> None:
    """A refusal too is no guess: the other's copy has a client that may not yet do this."""
    pair = two.registered(scope="metrics")
    assert two.ask(pair, "files").json["error"] == "invalid_scope"
    two.a.server.clients.change(pair[0], {"scope": "metrics files"})
    assert two.ask(pair, "files").json["scope"] == "files"


def test_who_has_guessed_too_often_elsewhere_is_refused(two: Two) -> None:
    """With the right secret too, and nothing is issued."""
    pair = two.registered()
    assert two.ask(pair).status_code == 200
    wrong = [two.a.http.post(TOKEN, data=FORM, auth=(pair[0], "wrong")).status_code for _ in range(11)]
    assert wrong == [401] * 10 + [429]
    assert two.ask(pair).status_code == 429
    now = two.b.clock()
    assert len(two.b.server.state.find(Kind.ACCESS_TOKEN, Index.CLIENT, pair[0], Page(), now)) == 1


def test_a_proof_is_used_up_once(two: Two) -> None:
    """What is remembered of a request is remembered when the rest is known to be so."""
    pair = two.registered()
    assert two.ask(pair).status_code == 200
    once = Prover(ISSUER).proof(two.b.clock(), TOKEN)
    two.a.server.clients.change(pair[0], {"scope": "metrics"})
    assert two.ask(pair, DPoP=once).json["token_type"] == "DPoP"
    assert two.ask(pair, DPoP=once).status_code == 400
