"""Discovery: RFC 8414 and OpenID Connect Discovery 1.0."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import proves
from tests.servers.visitors import TOKEN, Visitor
from tests.sites import site

OAUTH, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"


@proves("RFC 8414 §3.2", "OpenID Connect Discovery §4.2")
@pytest.mark.parametrize("path", [OAUTH, OPENID])
def test_the_document_names_what_is_there(visitor: Visitor, path: str):
    """The issuer exactly, endpoints below it, and no empty member."""
    answer = visitor.call("GET", path)
    document, issuer = answer.json, visitor.server.issuer
    assert document["issuer"] == issuer
    assert document["token_endpoint"] == f"{issuer}/api/v1/oauth/token"
    assert document["introspection_endpoint"] == f"{issuer}/api/v1/oauth/introspect"
    assert document["revocation_endpoint"] == f"{issuer}/api/v1/oauth/revoke"
    assert document["jwks_uri"] == f"{issuer}/.well-known/jwks.json"
    assert "client_credentials" in document["grant_types_supported"]
    assert {"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"} <= {
        *document["token_endpoint_auth_methods_supported"]
    }
    assert "none" not in document["introspection_endpoint_auth_methods_supported"]
    assert all(value not in ("", [], {}, None) for value in document.values())


@proves("CONTRACT §4")
@pytest.mark.parametrize("path", [OAUTH, OPENID])
def test_every_url_in_it_answers(visitor: Visitor, path: str):
    """No URL that it names is 404, and none of them is elsewhere."""
    for name, value in visitor.call("GET", path).json.items():
        if name != "issuer" and isinstance(value, str) and value.startswith("http"):
            assert value.startswith(visitor.server.issuer + "/"), name
            assert visitor.call("POST", urlsplit(value).path).status in (200, 303, 400, 401, 405), name


@proves("S-012")
def test_every_grant_in_it_exists_and_no_other(visitor: Visitor):
    """A grant that is listed is known to the token endpoint; what is not listed is refused."""
    listed = set(visitor.call("GET", OAUTH).json["grant_types_supported"]) - {"implicit"}  # that has no token request
    for grant in ("authorization_code", "refresh_token", "implicit", "urn:ietf:params:oauth:grant-type:device_code"):
        listed_or_refused = visitor.post(TOKEN, {"grant_type": grant}, basic=visitor.client().basic)
        assert (listed_or_refused.error == "unsupported_grant_type") == (grant not in listed), grant
    for grant in listed:
        assert visitor.post(TOKEN, {"grant_type": grant}).error != "unsupported_grant_type"


def test_nothing_is_promised_before_it_exists(visitor: Visitor):
    """Until there is an authorization endpoint, nothing in either document speaks of one."""
    for path in (OAUTH, OPENID):
        document = visitor.call("GET", path).json
        if "authorization_endpoint" not in document:
            for name in ("userinfo_endpoint", "response_types_supported", "subject_types_supported"):
                assert name not in document


@proves("S-145")
@pytest.mark.parametrize("path", [OAUTH, OPENID])
def test_no_header_changes_the_issuer(visitor: Visitor, path: str):
    """Not Host, not X-Forwarded-*, not Forwarded."""
    expected = visitor.call("GET", path)
    for headers in (
        {"Host": "evil.test"},
        {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil.test"},
        {"Forwarded": "host=evil.test;proto=https"},
    ):
        answer = visitor.call("GET", path, headers=headers)
        assert answer.body == expected.body
        assert "evil.test" not in str(answer.headers)


@proves("RFC 9110 §13.1.2")
@pytest.mark.parametrize("path", [OAUTH, OPENID, "/.well-known/jwks.json"])
def test_it_may_be_kept_and_asked_about(visitor: Visitor, path: str):
    """A max-age, an ETag, and 304 to those who have it."""
    answer = visitor.call("GET", path)
    etag = answer.headers["ETag"]
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = visitor.call("GET", path, headers={"If-None-Match": value})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert visitor.call("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    head = visitor.call("HEAD", path)
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", etag)


@proves("S-148")
@pytest.mark.parametrize("path", [OAUTH, OPENID, "/.well-known/jwks.json"])
def test_every_page_may_read_it(visitor: Visitor, path: str):
    """Any origin, without credentials."""
    answer = visitor.call("GET", path, headers={"Origin": "https://anywhere.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Credentials"] is None
    assert visitor.call("OPTIONS", path, headers={"Origin": "null"}).status == 204


@proves("S-147")
@pytest.mark.parametrize("path", [OAUTH, OPENID, "/.well-known/jwks.json"])
def test_wrong_methods_are_refused(visitor: Visitor, path: str):
    """405 that says what is allowed."""
    for method in ("POST", "PUT", "DELETE"):
        answer = visitor.call(method, path)
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]


@proves("RFC 8414 §3.1", "OpenID Connect Discovery §4.1")
def test_an_issuer_with_a_path_serves_both_forms(tmp_path: Path):
    """Everything is below the path; the documents also stand where RFC 8414 puts them."""
    issuer = "https://auth.example.org/tenant/one"
    here = site(tmp_path, issuer=issuer)
    for name in (OAUTH, OPENID):
        for path in (f"/tenant/one{name}", f"{name}/tenant/one"):
            document = here.http.get(path).json
            assert document["issuer"] == issuer
            assert document["token_endpoint"] == f"{issuer}/api/v1/oauth/token"
        assert here.http.get(name).status_code == 404
    assert here.http.get("/tenant/one/.well-known/jwks.json").json["keys"]
    assert here.http.post("/tenant/one/api/v1/oauth/token").status_code == 400
    assert here.http.post("/api/v1/oauth/token").status_code == 404
