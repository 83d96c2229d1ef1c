"""The token endpoint: what all grants share."""

from pathlib import Path

import pytest

from tests import proves
from tests.servers.visitors import INTROSPECT, REVOKE, TOKEN, Visitor
from tests.signing import decoded
from tests.sites import site

GRANT = {"grant_type": "client_credentials"}


@proves("RFC 6749 §5.1", "S-146")
def test_an_answer_has_the_members_of_both_worlds(visitor: Visitor):
    """RFC 6749's members, PhotoPrism's beside them, and no cache keeps it."""
    client = visitor.client("metrics sessions", client_name="My scraper")
    answer = visitor.ask_token(client)
    assert answer.status == 200
    assert set(answer.json) == {
        "access_token", "token_type", "expires_in", "scope", "status", "session_id", "client_name",
    }  # fmt: skip
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 86400
    assert answer.json["scope"] == "metrics sessions"
    assert answer.json["status"] == "success"
    assert answer.json["client_name"] == "My scraper"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"].startswith("application/json")


def test_a_form_of_any_kind_and_json_are_taken(visitor: Visitor):
    """The same request as form, as form with a charset, in parts, and as JSON."""
    client = visitor.client()
    members = {**GRANT, "client_id": client.client_id, "client_secret": client.secret}
    parts = "".join(f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in members.items())
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    utf8 = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert visitor.post(TOKEN, members).status == 200
    assert visitor.post(TOKEN, members, headers=utf8).status == 200
    assert visitor.call("POST", TOKEN, body=(parts + "--x--\r\n").encode(), headers=multipart).status == 200
    assert visitor.call("POST", TOKEN, json_body=members).status == 200


@proves("RFC 6749 §5.2")
@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "no_such"}, "unsupported_grant_type"),
        ({"grant_type": "urn:openid:params:grant-type:ciba"}, "unsupported_grant_type"),
        ({"grant_type": "CLIENT_CREDENTIALS"}, "unsupported_grant_type"),
    ],
)
def test_a_grant_that_is_missing_or_unknown_is_refused(visitor: Visitor, form: dict[str, str], error: str):
    """400 with the RFC's code, and PhotoPrism's members beside it."""
    answer = visitor.post(TOKEN, form, basic=visitor.client().basic)
    assert answer.told == (400, error)
    assert set(answer.json) == {"error", "error_description", "code", "message"}
    assert answer.json["code"] == 400


@proves("S-010", "RFC 6749 §3.2")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
def test_what_stands_in_the_query_string_is_refused_and_not_logged(visitor: Visitor, path: str):
    """400 `invalid_request` although the body is right; the secret is not in the log."""
    client = visitor.client()
    form = {**GRANT, "token": "0" * 48}
    for name in ("client_secret", "code", "refresh_token", "password", "token"):
        answer = visitor.post(f"{path}?client_id={client.client_id}&{name}={client.secret}", form, basic=client.basic)
        assert answer.told == (400, "invalid_request")
    assert visitor.post(f"{path}?client_id={client.client_id}&client_secret={client.secret}", form).status == 400
    assert client.secret not in visitor.server.log()


@proves("S-011", "RFC 6749 §3.2")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
@pytest.mark.parametrize("name", ["grant_type", "client_id", "scope", "code", "token"])
def test_a_repeated_parameter_is_refused(visitor: Visitor, path: str, name: str):
    """400 `invalid_request`, also where both values are the same."""
    client = visitor.client()
    form = {**GRANT, "scope": "metrics", "code": "x", "token": "0" * 48, "client_id": client.client_id}
    answer = visitor.post(path, [*form.items(), (name, form[name])], basic=client.basic)
    assert answer.told == (400, "invalid_request")


@proves("S-011")
@pytest.mark.parametrize("colon", [":", " : ", "\n:", "\t:", "  :"])
def test_a_repeated_json_member_is_refused(visitor: Visitor, colon: str):
    """However it is spelled."""
    client = visitor.client("metrics sessions")
    for again in ("scope", "s\\u0063ope"):
        body = '{"grant_type"@"client_credentials","scope"@"metrics","' + again + '"@"sessions"}'
        headers = {"Content-Type": "application/json"}
        answer = visitor.call(
            "POST", TOKEN, body=body.replace("@", colon).encode(), headers=headers, basic=client.basic
        )
        assert answer.told == (400, "invalid_request"), body


@proves("RFC 8707 §2", "RFC 8693 §2.1")
def test_resource_and_audience_may_repeat(visitor: Visitor):
    """The two parameters that specifications let repeat."""
    form = [*GRANT.items(), ("resource", "https://a.example"), ("resource", "https://b.example"), ("audience", "x")]
    assert visitor.post(TOKEN, form, basic=visitor.client().basic).status == 200


@proves("RFC 6749 §3.2")
def test_a_parameter_without_a_value_is_as_good_as_absent(visitor: Visitor):
    """An empty scope or client_secret is none."""
    form = {**GRANT, "scope": "", "client_secret": "", "client_assertion": ""}
    assert visitor.post(TOKEN, form, basic=visitor.client().basic).status == 200


@proves("S-012", "RFC 6749 §5.2")
def test_a_client_without_the_grant_is_refused(visitor: Visitor):
    """400 `unauthorized_client` to a client that is registered for logins only; nothing is written."""
    client = visitor.client("openid", redirect_uris=("https://app.example/cb",))
    stored = visitor.server.stored()
    assert visitor.ask_token(client).told == (400, "unauthorized_client")
    assert visitor.server.stored() == stored


@proves("S-013")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
@pytest.mark.parametrize("end", ["disable", "remove"])
def test_a_disabled_or_removed_client_and_its_tokens_are_dead(visitor: Visitor, form: str, end: str):
    """Its tokens are inactive and its requests 401 `invalid_client`, on both workers at once."""
    clients = visitor.server.inside.clients
    client, watcher = visitor.client("metrics", token_format=form), visitor.client("introspect")
    token = visitor.token(client)
    assert visitor.introspect(token, watcher)["active"]
    if end == "disable":
        clients.change(client.client_id, {"enabled": False})
    else:
        clients.remove(client.client_id)
    for told in visitor.everywhere(lambda: visitor.introspect(token, watcher)):
        assert told == {"active": False}
    for answer in visitor.everywhere(lambda: visitor.ask_token(client)):
        assert answer.told == (401, "invalid_client")
    assert visitor.call("GET", "/api/v1/metrics", bearer=token).status == 401


@proves("S-147", "RFC 9110 §15.5.6")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
def test_wrong_methods_are_refused(visitor: Visitor, path: str):
    """405 that says what is allowed."""
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "PROPFIND"):
        answer = visitor.call(method, path)
        assert answer.status == 405, method
        assert "POST" in answer.headers["Allow"]
        if method != "HEAD":
            assert answer.json["code"] == 405


@proves("S-147")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
@pytest.mark.parametrize("kind", ["text/xml", "text/plain", "application/octet-stream", "application/jwt"])
def test_wrong_types_are_refused(visitor: Visitor, path: str, kind: str):
    """415 in JSON, and nothing is written."""
    client = visitor.client("introspect")
    stored = visitor.server.stored()
    body = b"grant_type=client_credentials&token=" + b"0" * 48
    answer = visitor.call("POST", path, body=body, headers={"Content-Type": kind}, basic=client.basic)
    assert answer.status == 415
    assert answer.json["error"] == "invalid_request"
    assert visitor.server.stored() == stored


def test_json_members_must_be_texts(visitor: Visitor):
    """Lists, objects and truth values are no parameters; a number and null are."""
    client = visitor.client()
    for value in ([], ["client_credentials"], {}, True, 1.5):
        answer = visitor.call("POST", TOKEN, json_body={**GRANT, "scope": value}, basic=client.basic)
        assert answer.told == (400, "invalid_request"), value
    answer = visitor.call("POST", TOKEN, json_body={**GRANT, "scope": None, "expires_in": 5}, basic=client.basic)
    assert answer.status == 200


@proves("S-145")
def test_token_requests_for_any_host_are_the_same(visitor: Visitor):
    """No header decides who the issuer is: the `iss` of a JWT is the configured one."""
    client = visitor.client(token_format="jwt")
    headers = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test"}
    answer = visitor.post(TOKEN, GRANT, headers=headers, basic=client.basic)
    assert decoded(answer.json["access_token"])[1]["iss"] == visitor.server.issuer
    assert b"evil" not in answer.body


@proves("S-148")
def test_only_pages_of_public_clients_may_read_it(visitor: Visitor):
    """Their origins get CORS headers, never with credentials; other origins and `null` get none."""
    uri = f"https://app{visitor.address.replace('.', '-')}.example"
    visitor.client("openid", redirect_uris=(f"{uri}/cb",), token_endpoint_auth_method="none", grant_types=())
    for origin, allowed in ((uri, uri), ("https://evil.example", None), ("null", None), (uri + ".evil.example", None)):
        for path in (TOKEN, REVOKE):
            for method in ("POST", "OPTIONS"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                answer = visitor.call(method, path, headers=headers)
                assert answer.headers["Access-Control-Allow-Origin"] == allowed
                assert answer.headers["Access-Control-Allow-Credentials"] is None
                assert "Origin" in answer.headers["Vary"]
    answer = visitor.call("POST", INTROSPECT, headers={"Origin": uri})
    assert answer.headers["Access-Control-Allow-Origin"] is None


@proves("S-148", "S-134")
def test_a_store_that_is_away_is_told_to_pages_too(tmp_path: Path):
    """503, also where a page of another origin asks, or only asks whether it may."""
    here = site(tmp_path)
    here.server.close()
    (here.server.settings.home / "records.db").write_bytes(b"no database")
    for headers in ({}, {"Origin": "https://app.example"}):
        answer = here.http.post(TOKEN, data=GRANT | {"client_id": "c"}, headers=headers)
        assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert here.http.options(TOKEN, headers={"Origin": "https://app.example"}).status_code == 503
