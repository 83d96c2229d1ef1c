"""No token goes out over http where the issuer is https and a trusted proxy says how the request came."""

from collections.abc import Iterator

import pytest

from tests import proves
from tests.servers.auth_server import ADMIN_PASSWORD, AuthServer, running
from tests.servers.visitors import SESSION, Visitor

PROXY, STRANGER = "127.200.0.1", "127.9.9.9"
LOGIN = {"username": "admin", "password": ADMIN_PASSWORD}


@pytest.fixture(scope="module")
def behind_https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server whose issuer is https, behind a proxy that ends TLS."""
    folder = tmp_path_factory.mktemp("https")
    settings = {"issuer": "https://auth.example.org", "trusted_proxies": ["127.200.0.0/16"], "workers": 1}
    with running(folder, "gunicorn", **settings) as server:
        yield server


def login_from(server: AuthServer, peer: str, headers: dict[str, str]) -> int:
    """Sign in from an address, as the headers say; return the status."""
    visitor = Visitor(server)
    visitor.address = peer
    return visitor.call("POST", SESSION, json_body=LOGIN, headers=headers).status


@proves("S-149")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.1"}, 400),
        ({"X-Forwarded-Proto": "https, http"}, 400),
        ({"Forwarded": "for=203.0.113.1;proto=http"}, 400),
        ({"Forwarded": 'proto=https, for=203.0.113.1;proto="HTTP"'}, 400),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.1"}, 200),
        ({"Forwarded": "for=203.0.113.1;proto=https"}, 200),
        ({}, 200),
    ],
)
def test_what_reached_the_proxy_by_http_is_refused(behind_https: AuthServer, headers: dict[str, str], status: int):
    """The proxy's own word, the right-most, counts; without one nothing is known."""
    assert login_from(behind_https, PROXY, headers) == status


@proves("S-149")
def test_a_stranger_does_not_say_how_it_came(behind_https: AuthServer):
    """From a peer that is no trusted proxy the header means nothing."""
    assert login_from(behind_https, STRANGER, {"X-Forwarded-Proto": "http"}) == 200


def test_probes_come_by_http(behind_https: AuthServer):
    """Those who run the server ask it without TLS."""
    visitor = Visitor(behind_https)
    visitor.address = PROXY
    assert visitor.call("GET", "/readyz", headers={"X-Forwarded-Proto": "http"}).status == 200
    assert "max-age" in visitor.call("GET", "/readyz").headers["Strict-Transport-Security"]
