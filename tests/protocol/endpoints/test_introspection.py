"""Introspection (RFC 7662): who is told what of a token."""

import pytest

from auth_server.domain.users import Changes
from tests import proves
from tests.servers.visitors import INTROSPECT, Registered, Visitor

INACTIVE = {"active": False}
API = "https://api.example.org"


@proves("RFC 7662 §2.2")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_client_is_told_of_its_own_token(visitor: Visitor, form: str):
    """All members that apply, for both kinds of token alike."""
    client = visitor.client("metrics", token_format=form)
    now = visitor.server.clock()
    told = visitor.introspect(visitor.token(client), client)
    if form == "jwt":
        assert len(told.pop("jti")) >= 22
    assert told == {
        "active": True,
        "scope": "metrics",
        "client_id": client.client_id,
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 86400,
        "sub": client.client_id,
        "aud": visitor.server.issuer,
        "iss": visitor.server.issuer,
    }


def test_a_person_stands_behind_a_session(visitor: Visitor):
    """`sub` is the uid, `username` the name; there is no client."""
    user, watcher = visitor.user(), visitor.client("introspect")
    told = visitor.introspect(visitor.session(user), watcher)
    assert (told["sub"], told["username"], told["active"]) == (user.uid, user.name, True)
    assert "client_id" not in told
    visitor.server.inside.users.change(user.uid, Changes(password="Red-whale-43-sings"))


@proves("S-052", "CONTRACT §5")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_the_audience_decides_who_is_told(visitor: Visitor, form: str):
    """Its own client, one whose id or resource is in `aud`, and nobody else: not even with scope `introspect`."""
    service, by_id = visitor.client("photos", resource=(API,)), visitor.client("photos")
    everything, stranger = visitor.client("introspect"), visitor.client("*")
    client = visitor.client("photos", token_format=form, audience=(API, by_id.client_id))
    token = visitor.token(client)
    for entitled in (client, service, by_id):
        assert visitor.introspect(token, entitled)["aud"] == [API, by_id.client_id]
    for other in (everything, stranger):
        assert visitor.introspect(token, other) == INACTIVE


@proves("CONTRACT §5")
def test_tokens_for_this_server_are_told_to_the_scope_introspect(visitor: Visitor):
    """Which no wildcard stands for."""
    token = visitor.token(visitor.client("metrics"))
    assert visitor.introspect(token, visitor.client("introspect"))["active"]
    for scope in ("*", "read write", "metrics", "admin:*"):
        assert visitor.introspect(token, visitor.client(scope)) == INACTIVE


@proves("S-052", "RFC 7662 §2.2", "S-146")
def test_whatever_does_not_count_looks_the_same(visitor: Visitor):
    """Unknown, expired, revoked, malformed, another's: 200, one body, the same headers."""
    watcher, client = visitor.client("introspect"), visitor.client(access_token_ttl=10)
    foreign = visitor.token(visitor.client(audience=(API,)))
    revoked, expired = visitor.token(client), visitor.token(client)
    inside = visitor.server.inside
    inside.tokens.revoke(inside.tokens.by_identifier(revoked))
    visitor.server.clock.advance(10)
    tokens = [revoked, expired, foreign, "0" * 48, "F" * 48, "x", " ", "a.b.c", "é", "x" * 5000]
    tokens += ["Ab3dEf-Gh1jKl-Mn0pQr-St9uVA", "Ab3dEf-Gh1jKl-Mn0pQr-St9uVB", f"{revoked} ", revoked.upper()]
    answers = [visitor.post(INTROSPECT, {"token": token}, basic=watcher.basic) for token in tokens]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b'{"active":false}')}
    heads = [{k.lower(): v for k, v in answer.headers.items() if k.lower() != "date"} for answer in answers]
    assert all(head == heads[0] for head in heads)
    assert heads[0]["cache-control"] == "no-store"


@proves("S-050", "RFC 7662 §2.1")
def test_nobody_is_told_without_credentials(visitor: Visitor):
    """Without, with wrong, as a public client: 401, and the same for a good and an unknown token."""
    good = visitor.token(visitor.client())
    public = visitor.client(
        "openid", redirect_uris=("https://a.example/",), token_endpoint_auth_method="none", grant_types=()
    )
    wrong = Registered(visitor.client("introspect").client_id, "x" * 43)
    for token in (good, "0" * 48):
        for answer in (
            visitor.post(INTROSPECT, {"token": token}),
            visitor.post(INTROSPECT, {"token": token}, basic=wrong.basic),
            visitor.post(INTROSPECT, {"token": token, "client_id": public.client_id}),
            visitor.post(INTROSPECT, {"token": token}, basic=(public.client_id, "")),
        ):
            assert answer.told == (401, "invalid_client")
            assert "active" not in answer.json
            assert answer.headers["WWW-Authenticate"]


@proves("S-051", "RFC 7662 §2.3")
def test_a_bearer_token_needs_the_scope(visitor: Visitor):
    """A token of scope `introspect` may ask; sessions, wildcards, other scopes and unknown tokens are 401."""
    token = visitor.token(visitor.client())
    entitled = visitor.token(visitor.client("introspect"))
    assert visitor.post(INTROSPECT, {"token": token}, bearer=entitled).json["active"]
    session = visitor.session(visitor.user(role="admin"))
    for other in (session, visitor.token(visitor.client("*")), token, "0" * 48, "x"):
        answer = visitor.post(INTROSPECT, {"token": token}, bearer=other)
        assert answer.told == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert "active" not in answer.json


def test_the_form_must_name_a_token(visitor: Visitor):
    """400 without one; a hint of any kind changes nothing."""
    client = visitor.client()
    token = visitor.token(client)
    for form in ({}, {"token": ""}, {"token_type_hint": "access_token"}):
        assert visitor.post(INTROSPECT, form, basic=client.basic).told == (400, "invalid_request")
    for hint in ("access_token", "refresh_token", "no_such"):
        form = {"token": token, "token_type_hint": hint}
        assert visitor.post(INTROSPECT, form, basic=client.basic).json["active"]


def test_tokens_in_the_form_are_never_charged(visitor: Visitor):
    """A resource service may ask about as many unknown tokens as its callers send."""
    watcher = visitor.client("introspect")
    for number in range(70):
        assert visitor.introspect(f"{number:048x}", watcher) == INACTIVE
    assert visitor.introspect(visitor.token(watcher), watcher)["active"]


def test_a_token_that_never_expires_has_no_exp(visitor: Visitor):
    """CONTRACT section 5: no `exp` where nothing ends it."""
    from auth_server.protocol.feature import Authorization
    from auth_server.protocol.tokens.access_token import issue

    user, watcher = visitor.user(), visitor.client("introspect")
    endless = Authorization("application", "default", "cli", "metrics", None, user=user, form="app_password")
    told = visitor.introspect(issue(endless, visitor.server.inside).value, watcher)
    assert told["active"]
    assert "exp" not in told
