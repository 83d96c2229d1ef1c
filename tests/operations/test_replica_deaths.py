"""A replica that is killed in the middle of something: the others see to it, once."""

import os
import signal
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from auth_server.domain.keys import SAME, Keyring
from auth_server.domain.outbox import GIVEN_UP_AFTER, LEASE
from auth_server.domain.sign_outs import Told
from auth_server.protocol.server import Server
from auth_server.store.engine import create, writing
from auth_server.store.state import Page
from tests import proves
from tests.servers.auth_server import AuthServer
from tests.servers.logout_listener import logout_listener
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.visitors import Answer, Visitor
from tests.signing import decoded

ROTATE = "/api/v1/admin/keys/rotate"
JWKS = "/.well-known/jwks.json"


class Replicas:
    """Servers with folders and clocks of their own over one database: two, and a third to be killed.

    Args:
        server: of a new database.
    """

    def __init__(self, folder: Path, server: PostgreSQL | MariaDB, **settings: Any) -> None:
        self._server, self._name = server, f"replicas_{os.urandom(4).hex()}"
        self.url = server.create(self._name)
        shared = {"database_url": self.url, "key_encryption_key": b64encode(b"k" * 32).decode(), "workers": 1}
        shared |= {"issuer": "https://auth.example.org", **settings}
        self.a, self.b, self.c = (AuthServer(folder / name, **shared) for name in ("a", "b", "c"))
        self.at_a, self.at_b = Visitor(self.a), Visitor(self.b)
        with ThreadPoolExecutor(2) as together:
            list(together.map(AuthServer.start, (self.a, self.b)))

    def stop(self) -> None:
        for one in (self.a, self.b, self.c):
            one.stop(signal.SIGKILL)

    def advance(self, seconds: int) -> None:
        """Let time pass at both."""
        for one in (self.a, self.b):
            one.clock.advance(seconds)

    def waiting(self) -> int:
        """Return how many transactions wait for what another one has locked."""
        return self._server.waiting(self._name)

    def third(self) -> AuthServer:
        """Return one more replica, running; all have the same time then, which is the database's or a little ahead."""
        now = max(int(time.time()), self.a.clock(), self.b.clock())
        for one in (self.a, self.b, self.c):
            one.clock.advance(now - one.clock())
        if self.c.process is None:
            self.c.start()
        return self.c


@pytest.fixture(scope="module", params=["postgresql_server", "mariadb_server"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two replicas for all tests that leave their clocks together, started at once on an empty database."""
    server, folder = request.getfixturevalue(request.param), tmp_path_factory.mktemp("replicas")
    two = Replicas(folder, server, registration="open", outbound_allow=["127.0.0.0/8"])
    yield two
    two.stop()


def standing(keyring: Keyring) -> dict[str, list[tuple[str, str]]]:
    """Return algorithm and name of the keys in each state."""
    keys, states = keyring.all(), ("next", "active", "retiring")
    return {state: sorted((key.alg, key.kid) for key in keys if key.status == state) for state in states}


def one_each(keys: list[tuple[str, str]], two: Replicas) -> bool:
    """Tell whether there is one key of each algorithm."""
    return [alg for alg, _ in keys] == sorted(two.a.settings.signing_algs)


def _kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


@proves("S-121", "S-131")
def test_a_rotation_that_three_begin_at_once_survives_the_one_that_makes_it(two: Replicas) -> None:
    """It is killed in the middle of the change: the others make one new key of each algorithm; tokens are always good.

    Once it is back, they do so again.
    """
    keyring, client = two.a.inside.keyring, two.at_a.client("introspect", token_format="jwt")
    admin = two.at_a.token(two.at_a.client("admin:keys"))
    c, tokens, rows = two.third(), list[str](), create(two.url)
    # What a change of keys writes last; on MariaDB it begins with a lock on that, so there it is what it writes first.
    held = "generation" if rows.dialect.name == "postgresql" else "signing_keys"
    with ThreadPoolExecutor(3) as threads:
        living, at_c = [two.at_a, two.at_b], Visitor(c)

        def rotate(visitor: Visitor) -> Answer:
            return visitor.call("POST", ROTATE, bearer=admin, json_body={"now": True})

        def rotate_though_one_dies() -> list[Answer]:
            with writing(rows) as holder:
                holder.execute(text(f"SELECT 1 FROM {held} FOR UPDATE"))
                lost = threads.submit(rotate, at_c)
                until(lambda: two.waiting() == 1)  # it has new keys, and keeps the others out
                others = [threads.submit(rotate, visitor) for visitor in living]
                until(lambda: two.waiting() == 3)
                tokens.extend(visitor.token(client) for visitor in living)
                c.stop(signal.SIGKILL)
            with pytest.raises(OSError):
                lost.result()
            answers = [other.result() for other in others]
            c.start()
            return answers

        for rotate_all in (rotate_though_one_dies, lambda: list(threads.map(rotate, (*living, at_c)))):
            for one in (two.a, two.b, c):
                one.clock.advance(SAME)  # else it would be the rotation before
            before = standing(keyring)
            tokens.extend(visitor.token(client) for visitor in (*living, at_c))
            for answer in rotate_all():
                assert answer.status == 200, answer
                assert sorted((key["alg"], key["kid"]) for key in answer.json) == before["next"]
            after = standing(keyring)
            assert after["active"] == before["next"]
            assert after["retiring"] == sorted(before["retiring"] + before["active"])
            assert one_each(after["next"], two)
            for visitor in (*living, at_c):
                tokens.append(visitor.token(client))
                assert _kid(tokens[-1]) in {kid for _, kid in after["active"]}
            for visitor in (*living, at_c):
                published = KeySet.import_key_set(visitor.call("GET", JWKS).json)
                for token in tokens:
                    jwt.decode(token, published, algorithms=["ES256"])
    two.advance(SAME)
    rows.dispose()


@proves("S-096")
def test_a_logout_that_one_dies_telling_is_told_by_another(two: Replicas) -> None:
    """As soon as the time is over in which the dead one would have told it; and then no more."""
    c, inside = two.third(), two.a.inside
    with logout_listener() as listener:
        listens = {"backchannel_logout_uri": listener.uri}
        client = two.at_a.client("openid", redirect_uris=("https://app.example.org/cb",), metadata=listens).client_id
        listener.open.clear()
        c.clock.advance(1)  # so that nothing is due yet by the clocks of the others
        c.inside.sign_outs.announce([Told("jane", "sid", client)])
        c.clock.advance(1)
        first = decoded(listener.token())[1]
        c.stop(signal.SIGKILL)
        listener.open.set()
        two.advance(LEASE)
        assert inside.outbox.claim(client) is None
        two.advance(2)
        second = decoded(listener.token())[1]
        assert {name for name in first if first[name] != second[name]} == {"iat", "exp", "jti"}
        assert second["iat"] == two.a.now()
        until(lambda: deliveries(inside, client) == [("ok", 2)])
        assert inside.records.outbox.waiting(two.a.now() + GIVEN_UP_AFTER, 9) == []
        assert listener.received.empty()


def deliveries(server: Server, client_id: str) -> list[tuple[str, int]]:
    """Return what the audit says of deliveries to a client: outcome and number of tries."""
    events = [one for one in server.records.audit.page(Page()) if one.event == "logout.delivery"]
    return [(one.outcome, one.details["tries"]) for one in events if one.client_id == client_id]
