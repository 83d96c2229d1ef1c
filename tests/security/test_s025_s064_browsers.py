"""What a browser of a stranger's page can and cannot do."""

import pytest

from tests import proves
from tests.servers.visitors import SESSION, TOKEN, Visitor


@proves("S-025", "S-146")
@pytest.mark.parametrize("path", [SESSION, TOKEN, "/api/v1/docs/", "/nowhere", "/livez", "/.well-known/jwks.json"])
def test_nothing_may_be_framed(visitor: Visitor, path: str):
    """Every answer, of whatever kind, refuses to be shown in another page."""
    headers = visitor.call("GET", path).headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@proves("S-064")
@pytest.mark.parametrize("name", ["session", "access_token", "__Host-session", "X-Auth-Token"])
def test_a_cookie_is_no_token(visitor: Visitor, name: str):
    """The API takes tokens from three headers and from nowhere else."""
    token = visitor.session(visitor.user())
    assert visitor.call("GET", SESSION, headers={"Cookie": f"{name}={token}"}).status == 401
    assert visitor.call("GET", f"{SESSION}?{name}={token}&t={token}").status == 401
    assert visitor.call("GET", SESSION, bearer=token).status == 200
