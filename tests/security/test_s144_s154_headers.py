"""Headers that lie: forged addresses and hosts, and who may read the metrics."""

import re
from collections.abc import Iterator

import pytest

from auth_server import settings
from tests import proves
from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import SESSION, Visitor

METRICS = "/api/v1/metrics"
PROXY = "127.200.0.1"
ELSEWHERE = "203.0.113.7"


@proves("S-154")
def test_programs_on_this_machine_read_the_metrics(visitor: Visitor):
    """Without a token, from loopback, at /metrics only."""
    visitor.call("GET", "/livez")
    answer = visitor.call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE auth_server_requests_total counter" in answer.body
    assert visitor.call("GET", METRICS).status == 401


@proves("S-154")
@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via"])
def test_what_comes_through_a_proxy_needs_a_token(visitor: Visitor, name: str):
    """Whatever the header holds."""
    for value in ("x", "127.0.0.1", "for=127.0.0.1", "https"):
        assert visitor.call("GET", "/metrics", headers={name: value}).status == 401


@proves("S-154")
def test_the_token_needs_the_scope(visitor: Visitor):
    """`metrics`, a wildcard or an admin's session; not another scope, not an ordinary session."""
    for path in ("/metrics", METRICS):
        for scope, status in (("metrics", 200), ("*", 200), ("sessions", 403), ("introspect", 403), ("admin:*", 403)):
            assert visitor.call("GET", path, bearer=visitor.token(visitor.client(scope))).status == status, scope
        assert visitor.call("GET", path, bearer="0" * 48).status == 401
        assert visitor.call("GET", path, bearer=visitor.session(visitor.user())).status == 403


@proves("S-154")
def test_no_label_names_anybody(visitor: Visitor):
    """No user, client, secret, token or address; paths as they are registered, never as they are asked."""
    user, client = visitor.user(), visitor.client()
    token = visitor.token(client)
    visitor.call("POST", SESSION, json_body={"username": user.name, "password": "Wrong-whale-42-sings"})
    visitor.call("GET", f"{SESSION}/{'a' * 64}", bearer=token)
    visitor.call("GET", f"/no/{user.name}")
    text = visitor.call("GET", METRICS, bearer=token).body.decode()
    for secret in (user.name, user.uid, client.client_id, client.secret, token, visitor.address, "a" * 64):
        assert secret not in text
    labels = set(re.findall(r'(\w+)="', text))
    assert labels <= {"endpoint", "method", "status", "le", "grant_type", "format", "active", "outcome"}


@proves("S-154")
def test_odd_methods_make_no_new_labels(visitor: Visitor):
    """Nobody fills the memory with names of their own."""
    for number in range(5):
        visitor.call(f"ODD{number}", "/livez")
        visitor.call("GET", f"/odd/{number}")
    assert "ODD" not in visitor.call("GET", "/metrics").body.decode()


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def behind_proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server that trusts one network of proxies."""
    folder = tmp_path_factory.mktemp("behind_proxy")
    with running(folder, request.param, trusted_proxies=["127.200.0.0/16"], workers=1) as server:
        yield server


def metrics_from(server: AuthServer, peer: str, headers: dict[str, str]) -> int:
    """Return the status of /metrics: 200 where the server takes the one who asks for a program on this machine."""
    visitor = Visitor(server)
    visitor.address = peer
    return visitor.call("GET", "/metrics", headers=headers).status


@proves("S-144", "RFC 7239 §8.1")
@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({"X-Forwarded-For": ELSEWHERE}, False),
        ({"X-Forwarded-For": "127.0.0.9"}, True),
        ({"X-Forwarded-For": f"127.0.0.9, {ELSEWHERE}"}, False),
        ({"X-Forwarded-For": f"{ELSEWHERE}, 127.0.0.9"}, True),
        ({"X-Forwarded-For": f"{ELSEWHERE}, 127.0.0.9, 127.200.0.2"}, True),
        ({"X-Forwarded-For": f"127.0.0.9, {ELSEWHERE}, 127.200.0.2"}, False),
        ({"X-Forwarded-For": "127.0.0.9:4711"}, True),
        ({"X-Forwarded-For": "127.0.0.9, nonsense"}, False),
        ({"X-Forwarded-For": ""}, False),
        ({"Forwarded": f"for={ELSEWHERE}"}, False),
        ({"Forwarded": "for=127.0.0.9"}, True),
        ({"Forwarded": 'for="[::1]:4711"'}, True),
        ({"Forwarded": f"for=127.0.0.9, for={ELSEWHERE};proto=https"}, False),
        ({"Forwarded": "for=127.0.0.9, for=unknown"}, False),
        ({"Forwarded": "for=127.0.0.9, for=_hidden"}, False),
        ({"Forwarded": "for=127.0.0.9, ;;;==,"}, False),
        ({"Forwarded": "", "X-Forwarded-For": "127.0.0.9"}, False),
        ({"Forwarded": "for=127.0.0.9", "X-Forwarded-For": ELSEWHERE}, False),
        ({"Forwarded": f"for={ELSEWHERE}", "X-Forwarded-For": "127.0.0.9"}, False),
        ({"Forwarded": "for=127.0.0.9", "X-Forwarded-For": "127.0.0.9"}, True),
        ({"X-Forwarded-For": "::ffff:127.0.0.9"}, True),
        ({"X-Real-IP": "127.0.0.9", "X-Forwarded-For": ELSEWHERE}, False),
    ],
)
def test_the_right_most_address_that_is_no_proxy_counts(behind_proxy: AuthServer, headers: dict[str, str], local: bool):
    """What stands left of it was written by whoever asked; what cannot be read is no address of this machine."""
    assert metrics_from(behind_proxy, PROXY, headers) == (200 if local else 401)
    assert metrics_from(behind_proxy, "127.9.9.9", headers) == 401, "a peer that is no proxy"


@proves("S-144", "CVE-2015-0219")
@pytest.mark.parametrize("behind_proxy", ["gunicorn"], indirect=True)
def test_look_alikes_are_no_headers(behind_proxy: AuthServer):
    """A name with underscores is never the header with dashes. Granian cannot tell them apart in what it hands over:
    the proxy before it must drop such names, as nginx does (docs/divergences.md)."""
    visitor = Visitor(behind_proxy)
    token = visitor.session(visitor.user())
    for name in ("X_Auth_Token", "X_Session_ID", "X_Auth-Token"):
        assert visitor.call("GET", SESSION, headers={name: token}).status == 401
    assert metrics_from(behind_proxy, PROXY, {"X_Forwarded_For": ELSEWHERE}) == 200
    for name in ("X_Forwarded_For", "X_Forwarded-For", "X-Forwarded_For"):
        for headers in (
            {"X-Forwarded-For": ELSEWHERE, name: "127.0.0.9"},
            {name: "127.0.0.9", "X-Forwarded-For": ELSEWHERE},
        ):
            assert metrics_from(behind_proxy, PROXY, headers) == 401


@proves("S-144")
def test_no_forged_address_escapes_a_throttle(visitor: Visitor):
    """From a peer that is no trusted proxy no header changes who is counted."""
    statuses = []
    for number in range(62):
        headers = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
        statuses.append(visitor.call("GET", SESSION, bearer=f"{number:048x}", headers=headers).status)
    assert statuses == [401] * 60 + [429] * 2


@proves("S-145")
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.test"}, {"X-Forwarded-Host": "evil.test"}, {"Forwarded": "host=evil.test"}]
)
def test_no_answer_names_a_host_that_was_sent(visitor: Visitor, headers: dict[str, str]):
    """Documents, errors and pages speak of the configured issuer only."""
    for method, path in (
        ("GET", "/.well-known/openid-configuration"), ("GET", "/.well-known/jwks.json"), ("GET", "/nowhere"),
        ("GET", "/api/v1/openapi.json"), ("GET", "/api/v1/docs"), ("GET", "/api/v1/docs/"), ("GET", SESSION),
        ("POST", SESSION), ("POST", "/api/v1/oauth/token"), ("GET", "//evil.test/x"), ("GET", "/livez/"),
    ):  # fmt: skip
        answer = visitor.call(method, path, headers=headers)
        assert b"evil.test" not in answer.body, path
        assert "evil.test" not in str(answer.headers), path


@proves("S-146", "ASVS 14.3.2")
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/oauth/token"), ("POST", "/api/v1/oauth/introspect"), ("POST", "/api/v1/oauth/revoke"),
     ("GET", SESSION), ("POST", SESSION), ("DELETE", SESSION), ("GET", METRICS), ("GET", "/api/v1/admin/keys"),
     ("GET", "/nowhere"), ("PUT", "/api/v1/oauth/token")],
)  # fmt: skip
def test_nothing_of_anybody_is_kept_by_a_cache(visitor: Visitor, method: str, path: str):
    """`no-store` and `nosniff` on successes and errors alike, and no page may be framed."""
    for bearer in (None, visitor.session(visitor.user())):
        answer = visitor.call(method, path, bearer=bearer)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@proves("S-149")
def test_an_issuer_in_plain_http_is_refused():
    """Unless its host is loopback; the setting is named."""
    for issuer in ("http://auth.example.org", "http://192.0.2.1:2342", "http://127.0.0.1.example.org"):
        with pytest.raises(settings.WrongSettings, match="ISSUER"):
            settings.load({"AUTH_SERVER_ISSUER": issuer, "AUTH_SERVER_HOST": "127.0.0.1"})
    for issuer in ("http://127.0.0.1:2342", "http://localhost:2342", "http://[::1]:2342", "https://auth.example.org"):
        assert settings.load({"AUTH_SERVER_ISSUER": issuer}).settings.issuer_url == issuer
