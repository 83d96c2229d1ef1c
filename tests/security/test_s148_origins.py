"""Pages of other origins: which of them may read what, by the headers that decide it."""

import re

import pytest

from auth_server.http.endpoints import every_endpoint
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.feature import Cors
from tests import proves
from tests.servers.visitors import SESSION, TOKEN, Visitor

PHOTOPRISM = ("/api/v1/config", "/api/v1/status", SESSION, f"{SESSION}/{'a' * 64}")
PAR = "/api/v1/oauth/par"
CLOSED = ("/api/v1/oauth/introspect", "/api/v1/admin/keys", "/api/v1/sessions", "/api/v1/docs/", "/livez", "/nowhere")


def page_of_a_client(visitor: Visitor) -> str:
    """Register a public client; return its origin."""
    origin = f"https://app{visitor.address.replace('.', '-')}.example"
    visitor.client("openid", redirect_uris=(f"{origin}/cb",), token_endpoint_auth_method="none", grant_types=())
    return origin


@proves("S-148")
def test_a_new_endpoint_answers_no_page_by_accident():
    """Who answers whom is written down here once more."""
    open_to = {kind: {e.path for e in every_endpoint(FEATURES) if e.cors is kind} for kind in Cors}
    assert all(path.startswith("/.well-known/") for path in open_to[Cors.ANY])
    assert open_to[Cors.CLIENTS] == {
        TOKEN,
        "/api/v1/oauth/par",
        "/api/v1/oauth/revoke",
        "/api/v1/oauth/userinfo",
        "/api/v1/config",
        "/api/v1/status",
        SESSION,
        f"{SESSION}/<id>",
    }


@proves("S-148")
@pytest.mark.parametrize("path", PHOTOPRISM)
def test_pages_of_public_clients_may_use_photoprisms_api(visitor: Visitor, path: str):
    """Preflight and answer, errors too, name exactly the origin that asked; `null` and look-alikes get nothing."""
    origin = page_of_a_client(visitor)
    strangers = (
        "null",
        f"{origin}.evil.test",
        origin.upper(),
        f"{origin}:443",
        f"{origin}/",
        "*",
        f"{origin},{origin}",
    )
    for asked, allowed in ((origin, origin), *((stranger, None) for stranger in strangers)):
        for method in ("GET", "OPTIONS"):
            headers = {"Origin": asked, "Access-Control-Request-Method": "GET"}
            answer = visitor.call(method, path, headers=headers)
            assert answer.headers["Access-Control-Allow-Origin"] == allowed, (asked, method)
            assert answer.headers["Access-Control-Allow-Credentials"] is None
            assert answer.headers["Vary"] == "Origin"


@proves("S-148")
def test_a_preflight_names_the_headers_that_carry_tokens(visitor: Visitor):
    """What a page must send is allowed, and for how long that may be remembered."""
    origin = page_of_a_client(visitor)
    asking = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "x-auth-token,content-type"}
    answer = visitor.call("OPTIONS", SESSION, headers={"Origin": origin, **asking})
    assert (answer.status, answer.body) == (204, b"")
    allowed = set(re.split(", ", answer.headers["Access-Control-Allow-Headers"]))
    assert {"Authorization", "X-Auth-Token", "X-Session-ID", "Content-Type", "DPoP"} <= allowed
    shown = visitor.call("POST", TOKEN, form={}, headers={"Origin": origin}).headers["Access-Control-Expose-Headers"]
    assert {"DPoP-Nonce", "WWW-Authenticate"} <= set(re.split(", ", shown))
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert 0 < int(answer.headers["Access-Control-Max-Age"]) <= 7200


@proves("S-148", "RFC 9126 §2")
def test_pages_of_public_clients_may_push_their_requests(visitor: Visitor):
    """With a proof of their key: or else PAR_REQUIRED would shut them out."""
    origin = page_of_a_client(visitor)
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "dpop"}
    answer = visitor.call("OPTIONS", PAR, headers={"Origin": origin, **asking})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "DPoP" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    refused = visitor.post(PAR, {"client_id": "nobody"}, headers={"Origin": origin})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, origin)


@proves("S-148")
@pytest.mark.parametrize("path", CLOSED)
def test_all_else_answers_no_page(visitor: Visitor, path: str):
    """Not even those of registered clients."""
    origin = page_of_a_client(visitor)
    for method in ("GET", "POST", "OPTIONS"):
        answer = visitor.call(method, path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")], method


@proves("S-148")
def test_a_client_that_is_gone_takes_its_origin_with_it(visitor: Visitor):
    """At once, in every worker."""
    origin = "https://gone.example"
    uris = {"redirect_uris": (f"{origin}/cb",), "token_endpoint_auth_method": "none", "grant_types": ()}
    client = visitor.client("openid", **uris)
    ask = lambda: visitor.call("GET", SESSION, headers={"Origin": origin}).headers["Access-Control-Allow-Origin"]  # noqa: E731
    assert set(visitor.everywhere(ask)) == {origin}
    visitor.server.inside.clients.remove(client.client_id)
    assert set(visitor.everywhere(ask)) == {None}
