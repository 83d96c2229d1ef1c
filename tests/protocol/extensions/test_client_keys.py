"""Keys that a client has elsewhere: fetched, kept for a while, and never asked for again and again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from auth_server.domain import client_keys
from auth_server.domain.client_keys import NoKeys
from auth_server.errors import InvalidInput
from tests import proves
from tests.servers.auth_server import running
from tests.servers.documents import Host, hosting, ok
from tests.servers.visitors import Visitor
from tests.signing import EcKey, compact
from tests.sites import ISSUER, Site, site

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_jtis = count()


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting() as host:
        yield host


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, outbound_allow=["127.0.0.1"])


class Client:
    """A client whose keys are at a host."""

    def __init__(self, here: Site, host: Host, *keys: EcKey) -> None:
        self.here, self.host, self.path = here, host, f"/jwks/{next(_jtis)}"
        self.publish(*[key.jwk for key in keys])
        values = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": host.url(self.path), "scope": "metrics"}
        self.client_id = here.server.clients.add(values).client.client_id

    def publish(self, *keys: dict[str, Any], max_age: int | None = None) -> None:
        """Put other keys there."""
        body = json.dumps({"keys": keys}).encode()
        self.host.answers[self.path] = ok(body, *([] if max_age is None else [f"Cache-Control: max-age={max_age}"]))

    def send(self, key: EcKey, **header: object) -> int:
        """Ask for a token, with an assertion that a key signs; return the status."""
        now = self.here.clock()
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "exp": now + 60, "jti": str(next(_jtis))}
        fields = {"alg": "ES256", "kid": key.kid, **header}
        assertion = compact({name: value for name, value in fields.items() if value}, claims, key.sign)
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion}
        address = {"REMOTE_ADDR": f"192.0.2.{next(_jtis) % 250}"}  # no throttle decides
        answer = self.here.http.post("/api/v1/oauth/token", data=form, environ_base=address)
        assert answer.status_code == 200 or answer.json["error"] == "invalid_client", answer.text
        return answer.status_code

    @property
    def fetches(self) -> int:
        """How often its keys were asked for."""
        return self.host.asked.count(self.path)


@proves("OIDC Core §10.1.1")
def test_keys_are_fetched_once_and_kept(here: Site, host: Host) -> None:
    key = EcKey()
    client = Client(here, host, key)
    assert [client.send(key) for _ in range(3)] == [200, 200, 200]
    assert client.send(key, kid=None) == 200
    assert client.fetches == 1


@proves("OIDC Core §10.1.1", "S-009")
def test_an_unknown_key_has_them_fetched_anew(here: Site, host: Host) -> None:
    """At once after a rotation, and then once a minute at most; what is no longer there does not count."""
    old, new, newest, foreign = EcKey("old"), EcKey("new"), EcKey("newest"), EcKey("foreign")
    client = Client(here, host, old)
    assert client.send(old) == 200
    client.publish(new.jwk)
    assert client.send(new) == 200
    assert client.send(old) == 401
    client.publish(newest.jwk)
    assert [client.send(key) for key in (newest, foreign, foreign)] == [401, 401, 401]
    assert client.fetches == 2
    here.clock.advance(client_keys.PAUSE)
    assert [client.send(key) for key in (newest, foreign, new)] == [200, 401, 401]
    assert client.fetches == 3


def test_a_key_without_a_name_may_change_too(here: Site, host: Host) -> None:
    old, new = EcKey(""), EcKey("")
    client = Client(here, host)
    client.publish({name: value for name, value in old.jwk.items() if name != "kid"})
    assert client.send(old) == 200
    client.publish({name: value for name, value in new.jwk.items() if name != "kid"})
    assert [client.send(key) for key in (new, old, old)] == [200, 401, 401]
    assert client.fetches == 2


@proves("S-086")
def test_a_host_that_fails_is_left_alone_for_a_minute(here: Site, host: Host) -> None:
    """Whatever its answer: no document, no keys, no JSON, or none at all."""
    key = EcKey()
    client = Client(here, host, key)
    good = host.answers[client.path]
    faults: list[Any] = [b"HTTP/1.1 500 No\r\n\r\n", b"[]", b"{", b"null", b'{"keys": 1}', b'{"keys": []}', b"[" * 9999]
    faults += [lambda peer: None, b"HTTP/1.1 302 Found\r\nLocation: " + host.url("/other").encode() + b"\r\n\r\n"]
    for number, fault in enumerate(faults, 1):
        host.answers[client.path] = fault
        assert [client.send(key) for _ in range(3)] == [401, 401, 401]
        assert client.fetches == number
        here.clock.advance(client_keys.PAUSE)
    host.answers[client.path] = good
    assert client.send(key) == 200


@proves("OIDC Core §10.1.1")
def test_old_keys_count_while_the_host_is_away_but_not_for_ever(here: Site, host: Host) -> None:
    key = EcKey()
    client = Client(here, host, key)
    assert client.send(key) == 200
    host.answers[client.path] = b"HTTP/1.1 503 Away\r\n\r\n"
    here.clock.advance(client_keys.FRESH)
    assert [client.send(key), client.send(key), client.fetches] == [200, 200, 2]
    here.clock.advance(client_keys.KEPT - client_keys.FRESH - 1)
    assert [client.send(key), client.fetches] == [200, 3]
    here.clock.advance(1)
    assert [client.send(key), client.send(key), client.fetches] == [401, 401, 3]


@pytest.mark.parametrize(("said", "kept"), [(None, 600), (120, 120), (0, 60), (86400, 3600)])
def test_keys_are_fetched_anew_when_they_are_old(here: Site, host: Host, said: int | None, kept: int) -> None:
    """After the time that the host names, within bounds; a key that is gone does not count from then on."""
    old, new = EcKey("old"), EcKey("new")
    client = Client(here, host)
    client.publish(old.jwk, max_age=said)
    assert client.send(old) == 200
    client.publish(new.jwk, max_age=said)
    here.clock.advance(kept - 1)
    assert [client.send(old), client.fetches] == [200, 1]
    here.clock.advance(1)
    assert [client.send(old), client.fetches] == [401, 2]


def rsa(bits: int) -> dict[str, Any]:
    return {**RSAKey.generate_key(bits, private=False).as_dict(private=False), "kid": "rsa"}


@proves("S-125", "S-083")
@pytest.mark.parametrize(
    "bad",
    [
        {**ECKey.generate_key("P-256").as_dict(private=True), "kid": "private"},
        {**OctKey.generate_key(256).as_dict(), "kid": "secret"},
        {"kty": "RSA", "kid": "short", "e": "AQAB", "n": "_" * 171},
        {"kty": "RSA", "kid": "long", "e": "AQAB", "n": "_" * 1500},
        {"kty": "EC", "kid": "point", "crv": "P-256", "x": "AA", "y": "AA"},
        "text",
    ],
)
def test_a_set_with_a_weak_or_private_key_does_not_count(here: Site, host: Host, bad: Any) -> None:
    key = EcKey()
    client = Client(here, host)
    client.publish(key.jwk, bad)
    assert client.send(key) == 401
    with pytest.raises(NoKeys):
        here.server.client_keys.find(here.server.clients.find(client.client_id))


@proves("S-125", "RFC 7517 §5")
def test_kinds_of_keys_that_are_not_used_are_passed_over(here: Site, host: Host) -> None:
    key = EcKey()
    client = Client(here, host)
    client.publish({"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"}, {"kty": "AKP", "kid": "x"}, key.jwk)
    assert client.send(key) == 200
    client.publish({"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA", "kid": "k1"})
    here.clock.advance(client_keys.FRESH)
    assert client.send(key) == 200  # that set has none, so the old one still counts


@proves("S-085")
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]"])
def test_private_hosts_are_not_asked(tmp_path: Path, host: Host, name: str) -> None:
    """Where the setting names none of them."""
    here, key = site(tmp_path), EcKey()
    uri = host.url("/jwks", name, "https")
    values = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri, "scope": "metrics"}
    client = Client.__new__(Client)
    client.here, client.client_id = here, here.server.clients.add(values).client.client_id
    assert client.send(key) == 401
    assert host.connections == 0
    with pytest.raises(InvalidInput, match="https"):
        here.server.clients.add({**values, "jwks_uri": host.url("/jwks")})


def test_many_requests_at_once_fetch_once(here: Site, host: Host) -> None:
    key = EcKey()
    client = Client(here, host, key)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: client.send(key), range(16))) == [200] * 16
    assert client.fetches == 1


def test_another_uri_has_other_keys(here: Site, host: Host) -> None:
    """What was kept by the old one is forgotten."""
    old, new = EcKey("k"), EcKey("k")
    client, other = Client(here, host, old), Client(here, host, new)
    assert client.send(old) == 200
    here.server.clients.change(client.client_id, {"jwks_uri": host.url(other.path)})
    assert [client.send(old), client.send(new)] == [401, 200]
    here.server.clients.change(client.client_id, {"jwks_uri": "", "jwks": old.jwks})
    assert [client.send(new), client.send(old)] == [401, 200]


@proves("OIDC Core §10.2")
def test_a_key_to_encrypt_with_is_found(here: Site, host: Host) -> None:
    """Of the right kind, and not one that only signs; nor is it taken for signatures."""
    signs, encrypts = EcKey("signs"), EcKey("encrypts")
    client = Client(here, host)
    client.publish(signs.jwk, {**encrypts.jwk, "use": "enc", "alg": "ECDH-ES"}, {**rsa(2048), "use": "enc"})
    record = here.server.clients.find(client.client_id)
    assert here.server.client_keys.for_encryption(record, "ECDH-ES").kid == "encrypts"
    assert here.server.client_keys.for_encryption(record, "RSA-OAEP-256").kid == "rsa"
    with pytest.raises(NoKeys):
        here.server.client_keys.for_encryption(record, "ECDH-ES+A256KW")
    assert [client.send(signs), client.send(encrypts)] == [200, 401]


@proves("OIDC Core §10.1.1", "S-086")
def test_all_workers_together_ask_no_more_often(tmp_path: Path, host: Host) -> None:
    """What one has fetched the others read, and an unknown key is looked for once a minute by all of them."""
    with running(tmp_path, workers=2, outbound_allow=["127.0.0.1"]) as server:
        visitor = Visitor(server)
        old, new, foreign = EcKey("old"), EcKey("new"), EcKey("foreign")
        host.answers["/jwks"] = json.dumps(old.jwks).encode()
        values = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": host.url("/jwks")}
        client_id = visitor.client("metrics", **values).client_id

        def send(key: EcKey) -> int:
            visitor.move()
            own = {"iss": client_id, "sub": client_id, "aud": server.issuer, "exp": server.clock() + 60}
            assertion = compact({"alg": "ES256", "kid": key.kid}, {**own, "jti": str(next(_jtis))}, key.sign)
            proof = {"client_assertion_type": TYPE, "client_assertion": assertion}
            return visitor.post("/api/v1/oauth/token", {"grant_type": "client_credentials", **proof}).status

        assert {send(old) for _ in range(12)} == {200}
        assert len(host.asked) == 1
        host.answers["/jwks"] = json.dumps(new.jwks).encode()
        assert {send(new) for _ in range(12)} == {200}
        assert {send(foreign) for _ in range(12)} == {401}
        assert len(host.asked) == 2
        server.clock.advance(client_keys.PAUSE)
        assert {send(foreign) for _ in range(12)} == {401}
        assert {send(new) for _ in range(12)} == {200}
        assert len(host.asked) == 3
