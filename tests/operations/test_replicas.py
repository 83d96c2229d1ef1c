"""Two replicas on one database and nothing else: what one does the other knows, also with clocks apart."""

import os
import signal
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from auth_server.domain.keys import SAME, Keyring
from auth_server.domain.outbox import GIVEN_UP_AFTER, LEASE
from auth_server.domain.sign_outs import Told
from auth_server.domain.users import Changes
from auth_server.protocol.server import Server
from auth_server.store import recent
from auth_server.store.engine import create, writing
from auth_server.store.state import Page
from tests import proves
from tests.servers.auth_server import AuthServer
from tests.servers.logout_listener import logout_listener
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.servers.visitors import SESSION, TOKEN, Answer, Registered, Visitor
from tests.signing import decoded

DAY = 86400
TERM = 0.02  # seconds, as of every process but those of tests
REGISTER, ROTATE = "/api/v1/oauth/register", "/api/v1/admin/keys/rotate"
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


@contextmanager
def command(server: AuthServer) -> Iterator[Server]:
    """What a command does: it has ended when nobody goes by what was so before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "TERM", TERM)  # tests that change something inside of a server do not wait else
        yield server.inside
        server.inside.state.settle()


def kids(visitor: Visitor) -> set[str]:
    """Return the names of the keys that a replica publishes."""
    return {key["kid"] for key in visitor.call("GET", JWKS).json["keys"]}


def active(visitor: Visitor, token: str, client: Registered) -> bool:
    """Tell whether a replica takes a token for good."""
    return bool(visitor.introspect(token, client)["active"])


def standing(keyring: Keyring) -> dict[str, list[tuple[str, str]]]:
    """Return algorithm and name of the keys in each state."""
    keys, states = keyring.all(), ("next", "active", "retiring")
    return {state: sorted((key.alg, key.kid) for key in keys if key.status == state) for state in states}


def one_each(keys: list[tuple[str, str]], two: Replicas) -> bool:
    """Tell whether there is one key of each algorithm."""
    return [alg for alg, _ in keys] == sorted(two.a.settings.signing_algs)


def test_who_starts_together_on_an_empty_database_makes_one_of_each(two: Replicas) -> None:
    """Whoever is first migrates and makes the keys and the first admin, and the other goes on from there."""
    keys, states = two.a.inside.records.keys.all(), standing(two.a.inside.keyring)
    assert one_each(states["active"], two)
    assert one_each(states["next"], two)
    assert [user.name for user in two.a.inside.users.page("", Page(9)) if user.role == "admin"] == ["admin"]
    for one, visitor in ((two.a, two.at_a), (two.b, two.at_b)):
        until(lambda visitor=visitor: kids(visitor) == {key.kid for key in keys})  # a copy may be a moment old
        assert '"level":"error"' not in one.log()


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
        assert refused.status == 429
        assert refused.headers["Retry-After"] in ("59", "60")  # a second may have begun since
    two.at_a.move()
    two.at_b.move()


@proves("S-060")
def test_whom_one_disables_is_nobody_to_the_other(two: Replicas) -> None:
    """Though it has just answered for the person; and what was dead stays so when the person is enabled again."""
    user = two.at_a.user()
    session = two.at_a.session(user)
    for visitor in (two.at_a, two.at_b):
        assert visitor.call("GET", SESSION, bearer=session).status == 200
    for enabled in (False, True):
        with command(two.a) as inside:
            inside.users.change(user.uid, Changes(enabled=enabled))
        for visitor in (two.at_b, two.at_a):
            assert visitor.call("GET", SESSION, bearer=session).status == 401


def test_a_client_that_one_removes_is_unknown_to_the_other(two: Replicas) -> None:
    """As soon as the removal is acknowledged."""
    new = {"redirect_uris": ["https://app.example.org/cb"], "grant_types": ["authorization_code"]}
    made = two.at_a.call("POST", REGISTER, json_body=new).json
    at, own = f"{REGISTER}/{made['client_id']}", made["registration_access_token"]
    client = Registered(made["client_id"], made["client_secret"])
    code = {"grant_type": "authorization_code", "code": "x" * 43}
    assert two.at_b.call("GET", at, bearer=own).status == 200
    assert two.at_b.post(TOKEN, code, basic=client.basic).told == (400, "invalid_grant")
    assert two.at_a.call("DELETE", at, bearer=own).status == 204
    assert two.at_b.call("GET", at, bearer=own).status == 401
    assert two.at_b.post(TOKEN, code, basic=client.basic).told == (401, "invalid_client")


@proves("S-121", "S-122")
def test_a_key_that_one_rotates_signs_at_the_other(two: Replicas) -> None:
    """With the first token after the answer; and what has been signed with a key that one removes is dead."""
    client = two.at_a.client("introspect", token_format="jwt")
    admin = two.at_a.token(two.at_a.client("admin:keys"))
    former = two.at_b.token(client)
    told = two.at_a.call("POST", ROTATE, bearer=admin, json_body={"now": True, "alg": "ES256"}).json
    token = two.at_b.token(client)
    assert _kid(token) == told["kid"] != _kid(former)
    assert active(two.at_b, former, client)
    with command(two.a) as inside:
        inside.keyring.remove(_kid(former))
    assert [active(two.at_b, one, client) for one in (former, token)] == [False, True]


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


@proves("S-137", "RFC 7519 §4.1.4")
def test_clocks_may_be_apart(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    """By half a minute nobody notices; by a day, the others keep what the wrong one would take away."""
    two = Replicas(tmp_path, postgresql_server, key_rotation_interval=DAY)
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
