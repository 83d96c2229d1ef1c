"""Two replicas on one PostgreSQL and nothing else: what one does the other knows, also with clocks apart."""

import signal
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import proves
from tests.servers.auth_server import AuthServer
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.visitors import SESSION, TOKEN, Registered, Visitor

DAY = 86400
JWKS = "/.well-known/jwks.json"


class Replicas:
    """Servers with folders and clocks of their own over one database."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        shared = {"database_url": url, "key_encryption_key": b64encode(b"k" * 32).decode(), "workers": 1}
        shared |= {"issuer": "https://auth.example.org", **settings}
        self.a, self.b = (AuthServer(folder / name, **shared) for name in ("a", "b"))
        self.at_a, self.at_b = Visitor(self.a), Visitor(self.b)
        self.a.start()
        self.b.start()

    def stop(self) -> None:
        for one in (self.a, self.b):
            one.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQL, worker_id: str) -> Iterator[Replicas]:
    """Two replicas for all tests that leave their clocks alone."""
    two = Replicas(tmp_path_factory.mktemp("replicas"), postgresql_server.create(f"replicas_{worker_id}"))
    yield two
    two.stop()


def active(visitor: Visitor, token: str, client: Registered) -> bool:
    """Tell whether a replica takes a token for good."""
    return bool(visitor.introspect(token, client)["active"])


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
    user = two.at_a.user("Blue-whale-42-sings")
    login = {"username": user.name, "password": "Blue-whale-42-sings"}
    session = two.at_a.call("POST", SESSION, json_body=login).json["access_token"]
    assert two.at_b.call("GET", SESSION, bearer=session).status == 200
    assert two.at_b.call("DELETE", SESSION, bearer=session).status == 200
    assert two.at_a.call("GET", SESSION, bearer=session).status == 401


@proves("S-060")
def test_wrong_secrets_are_counted_together(two: Replicas) -> None:
    """Ten of an address, wherever it tries them."""
    client = two.at_a.client()
    two.at_b.address = two.at_a.address
    form = {"grant_type": "client_credentials"}
    tries = [one.post(TOKEN, form, basic=(client.client_id, "x" * 43)) for one in (two.at_a, two.at_b) * 5]
    assert [answer.status for answer in tries] == [401] * 10
    for one in (two.at_a, two.at_b):
        refused = one.post(TOKEN, form, basic=client.basic)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    two.at_a.move()
    two.at_b.move()


@proves("S-137", "RFC 7519 §4.1.4")
def test_clocks_may_be_apart(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    """By half a minute nobody notices; by a day, the others keep what the wrong one would take away."""
    url = postgresql_server.create(f"clocks_{tmp_path.name}")
    two = Replicas(tmp_path, url, key_rotation_interval=DAY)
    try:
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
        until(lambda: "this machine's clock is +34560" in two.b.log(), 10)
        two.at_b.post(TOKEN, {"grant_type": "client_credentials"}, basic=(client.client_id, "x" * 43))
        assert two.a.inside.records.keys.all() == keys
        assert active(two.at_a, token, client)
        assert two.at_a.ask_token(client).status == 200
    finally:
        two.stop()
