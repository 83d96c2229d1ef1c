"""The examples for nginx and Caddy before two real replicas, and before services that tell what they were sent."""

import json
import os
import signal
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth_server.domain.audit import Actor
from tests import proves
from tests.deploy.listening import Listening, listening
from tests.deploy.proxies import KINDS, MTLS_NAME, NAME, Proxy, ask, running
from tests.servers import redis
from tests.servers.auth_server import AuthServer
from tests.servers.auth_server import running as serving
from tests.servers.postgresql import PostgreSQL
from tests.servers.visitors import Answer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT, INTROSPECT, TOKEN = "scripts", "/api/v1/oauth/introspect", "/api/v1/oauth/token"
FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X_Forwarded_For": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Forwarded-Proto": "http",
    "Client-Cert": ":Zm9yZ2Vk:",
    "Client_Cert": ":Zm9yZ2Vk:",
    "Client-Cert-Chain": ":Zm9yZ2Vk:",
    "X-SSL-Client-Cert": "forged",
}


PATIENCE = 20  # seconds for a proxy to notice, on a busy machine


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which proxy."""
    return str(request.param)


# ---- before replicas
def elapsing() -> Iterator[float]:
    """Yield how many seconds have passed since it was asked first, up to a minute."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 60:
        yield passed


@dataclass
class Cluster:
    """Two replicas, on gunicorn and on Granian, on one PostgreSQL and one Redis."""

    replicas: list[AuthServer]
    redis: redis.Redis
    secret: str

    @property
    def basic(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{CLIENT}:{self.secret}".encode()).decode()}


@pytest.fixture(scope="module")
def cluster(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The replicas, running."""
    folder = tmp_path_factory.mktemp("cluster")
    with redis.running(folder) as store:
        common = {
            "issuer": f"https://{NAME}",
            "trusted_proxies": ["127.0.0.1"],
            "database_url": postgresql_server.create(f"behind_proxies_{os.urandom(4).hex()}"),
            "redis_url": store.url,
            "key_encryption_key": b64encode(bytes(32)).decode(),
            "real_time": True,
        }
        with serving(folder / "a", "gunicorn", **common) as a, serving(folder / "b", "granian", **common) as b:
            made = a.inside.clients.add(
                {"client_id": CLIENT, "client_name": "s", "scope": "introspect"}, by=Actor("test")
            )
            yield Cluster([a, b], store, str(made.secret))


@pytest.fixture
def proxy(kind: str, cluster: Cluster, tmp_path: Path, certificates: Path) -> Iterator[Proxy]:
    """A proxy before the replicas."""
    with running(kind, tmp_path, [replica.port for replica in cluster.replicas], certificates) as started:
        yield started


@proves("S-066", "S-144")
def test_callers_are_counted_by_their_own_address(kind: str, proxy: Proxy) -> None:
    """Whatever they say of it: tries of one run out over both replicas, and another is still heard."""
    statuses = []
    guessing, honest = (f"127.{KINDS.index(kind)}.7.{last}" for last in (2, 3))
    with closing(proxy.connect(source=guessing)) as connection:
        for number in range(62):
            forged = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            headers = {**FORGED, **forged, "Authorization": f"Bearer {number:048x}"}
            statuses.append(ask(connection, "GET", "/api/v1/session", headers).status)
    assert statuses == [401] * 60 + [429] * 2
    other = proxy.call("GET", "/api/v1/session", {"Authorization": f"Bearer {0:048x}"}, source=honest)
    assert other.status == 401


def test_a_token_of_one_replica_counts_at_the_other(cluster: Cluster, proxy: Proxy) -> None:
    """Over HTTP/1.1 with keep-alive, as the issuer that all share."""
    headers = {**FORM, **cluster.basic}
    with closing(proxy.connect()) as connection:
        token = ask(connection, "POST", TOKEN, headers, b"grant_type=client_credentials").json["access_token"]
        said = [ask(connection, "POST", INTROSPECT, headers, f"token={token}".encode()).json for _ in range(8)]
    assert [(one["active"], one["iss"]) for one in said] == [(True, f"https://{NAME}")] * 8


def test_bodies_end_at_the_limit(cluster: Cluster, proxy: Proxy) -> None:
    """65,536 bytes reach the server, one more does not."""
    headers = {**FORM, **cluster.basic}
    fits = proxy.call("POST", INTROSPECT, headers, b"token=".ljust(65536, b"a"))
    assert fits.status in (200, 400), "it is read"
    assert proxy.call("POST", INTROSPECT, headers, b"token=".ljust(65537, b"a")).status == 413


def test_bodies_in_chunks_come_whole_or_are_refused(kind: str, cluster: Cluster, proxy: Proxy) -> None:
    """nginx gathers them; Caddy hands them on, which gunicorn takes and Granian does not."""
    headers, body = {**FORM, **cluster.basic, "Transfer-Encoding": "chunked"}, b"7\r\ntoken=a\r\n0\r\n\r\n"

    def posted() -> int:
        return proxy.call("POST", INTROSPECT, headers, body).status

    if kind == "nginx":
        assert {posted() for _ in range(8)} == {200}
    else:
        for wanted in (200, 400):
            assert wanted in (posted() for _ in elapsing())


def test_http_2_is_spoken(proxy: Proxy) -> None:
    """It is what browsers and proxies agree on."""
    offered = ssl._create_unverified_context()
    offered.set_alpn_protocols(["h2", "http/1.1"])
    with offered.wrap_socket(proxy.plain(), server_hostname=NAME) as agreed:
        assert agreed.selected_alpn_protocol() == "h2"


def test_a_killed_replica_is_not_missed(kind: str, cluster: Cluster, proxy: Proxy) -> None:
    """All go to the other one, also what may not be sent twice; without any there is 502 or 503, until one is back.

    Debian's Caddy loses the body of what it could not send, until it notices at its next look.
    """
    killed, left = cluster.replicas
    headers = {**FORM, **cluster.basic}

    def posted() -> int:
        return proxy.call("POST", TOKEN, headers, b"grant_type=client_credentials").status

    try:
        assert {posted() for _ in range(8)} == {200}
        killed.stop(signal.SIGKILL)
        assert {proxy.call("GET", "/readyz").status for _ in range(8)} == {200}
        if kind == "caddy":
            assert next(seconds for seconds in elapsing() if {posted() for _ in range(4)} == {200}) < PATIENCE
        assert {posted() for _ in range(8)} == {200}
        left.stop(signal.SIGKILL)
        assert posted() in (502, 503)
    finally:
        for replica in cluster.replicas:
            if replica.process is None:
                replica.start()
    assert next(seconds for seconds in elapsing() if posted() == 200) < PATIENCE, "it comes back by itself"


def test_replicas_whose_redis_is_away_are_still_asked(kind: str, cluster: Cluster, proxy: Proxy) -> None:
    """Through the proxy too: what needs no Redis is answered, the rest is told when to ask again."""
    headers = {**FORM, **cluster.basic}

    def posted() -> Answer:
        return proxy.call("POST", TOKEN, headers, b"grant_type=client_credentials")

    cluster.redis.stop()
    try:
        noticed = time.monotonic() + 4  # more than two looks of Caddy at a replica's health
        while time.monotonic() < noticed:
            for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration"):
                assert proxy.call("GET", path).status == 200
            refused = posted()
            assert (refused.status, int(refused.headers["Retry-After"]) >= 1) == (503, True)
        assert proxy.call("GET", "/readyz").status == 503
    finally:
        cluster.redis.start()
    assert next(seconds for seconds in elapsing() if posted().status == 200) < PATIENCE


# ---- before services that tell what they were sent
@pytest.fixture
def services() -> Iterator[tuple[Listening, Listening]]:
    """Two of them."""
    with listening() as one, listening() as other:
        yield one, other


@pytest.fixture
def before(kind: str, services: tuple[Listening, Listening], tmp_path: Path, certificates: Path) -> Iterator[Proxy]:
    """A proxy before the services."""
    with running(kind, tmp_path, [service.server_port for service in services], certificates) as started:
        yield started


def got(body: bytes) -> dict[str, str]:
    """Return the headers that a service got, in lower case; none came twice."""
    pairs = [(name.lower(), value) for name, value in json.loads(body)]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_what_callers_say_of_themselves_is_gone(before: Proxy) -> None:
    """Address, scheme and certificate are what the proxy has seen; look-alikes of their headers do not come through."""
    headers = got(before.call("GET", "/", FORGED, source="127.0.0.2").body)
    assert headers["x-forwarded-for"] == "127.0.0.2"
    assert headers["x-forwarded-proto"] == "https"
    assert {name for name in headers if "cert" in name or "_" in name} == set()
    assert "forwarded" not in headers


def test_a_client_certificate_is_handed_on(before: Proxy) -> None:
    """In the form of RFC 9440 §2, in place of what the caller says, and only to the host that asks for one."""
    headers = got(before.call("GET", "/", FORGED, name=MTLS_NAME, with_certificate=True).body)
    encoded = headers["client-cert"]
    assert (encoded[0], encoded[-1]) == (":", ":")
    assert b64decode(encoded[1:-1], validate=True) == ssl.PEM_cert_to_DER_cert(before.client[0].read_text())
    assert {name for name in headers if "cert" in name} == {"client-cert"}
    assert "client-cert" not in got(before.call("GET", "/", FORGED, with_certificate=True).body)


def test_connections_to_replicas_are_kept(before: Proxy, services: tuple[Listening, Listening]) -> None:
    """Forty requests over twenty connections do not need one each."""
    for _ in range(20):
        with closing(before.connect()) as connection:
            assert [ask(connection, "GET", "/").status for _ in range(2)] == [200, 200]
    assert sum(len(service.asked) for service in services) == 40
    assert sum(service.connections for service in services) <= 4


def test_only_what_may_be_repeated_is_tried_again(before: Proxy, services: tuple[Listening, Listening]) -> None:
    """Where a replica dies after it has read a request, a GET goes to the other one; a POST is told 502."""
    for service in services:
        service.hangs_up = True
    assert before.call("POST", "/", FORM, b"a=b").status == 502
    assert [request for service in services for request in service.asked] == [("POST", "/")]
    services[1].hangs_up = False
    assert before.call("GET", "/").status == 200
