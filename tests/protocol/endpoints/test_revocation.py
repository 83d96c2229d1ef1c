"""Revocation (RFC 7009): by clients, by who holds the token, by the person it belongs to."""

from hashlib import sha256
from pathlib import Path

import pytest

from tests import proves
from tests.servers.auth_server import running
from tests.servers.redis import Redis
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, Registered, Visitor


def deleted(token: str) -> dict[str, str]:
    return {"status": "deleted", "session_id": sha256(token.encode()).hexdigest()}


@proves("S-054", "RFC 7009 §2.1")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_client_ends_its_own_token_on_every_worker(visitor: Visitor, form: str):
    """Dead everywhere once the 200 is out; that one and no other."""
    client, watcher = visitor.client(token_format=form), visitor.client("introspect")
    token, other = visitor.token(client), visitor.token(client)
    answer = visitor.post(REVOKE, {"token": token}, basic=client.basic)
    assert (answer.status, answer.json) == (200, deleted(token))
    for told in visitor.everywhere(lambda: visitor.introspect(token, watcher)):
        assert told == {"active": False}
    assert visitor.introspect(other, watcher)["active"]


@proves("S-053", "RFC 7009 §2.1")
@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_client_cannot_end_anothers_token(visitor: Visitor, form: str):
    """400 `invalid_grant`, and the token lives on; so does a person's session."""
    client, thief = visitor.client(token_format=form), visitor.client("*")
    for token in (visitor.token(client), visitor.session(visitor.user())):
        answer = visitor.post(REVOKE, {"token": token}, basic=thief.basic)
        assert answer.told == (400, "invalid_grant")
        assert visitor.introspect(token, visitor.client("introspect"))["active"]


@proves("S-053", "RFC 7009 §2.2")
def test_unknown_tokens_are_answered_like_known_ones(visitor: Visitor):
    """200 with the SHA-256 of what was sent, and nothing changes."""
    client = visitor.client()
    stored = visitor.server.stored()
    for token in ("0" * 48, "x", "a.b.c", "é", "x" * 5000):
        for basic in (client.basic, None):
            answer = visitor.post(REVOKE, {"token": token}, basic=basic)
            assert (answer.status, answer.json) == (200, deleted(token))
    assert visitor.server.stored() == stored


@proves("RFC 7009 §2.1")
def test_credentials_are_looked_at_before_the_token(visitor: Visitor):
    """Wrong ones: 401, and the token lives on."""
    client = visitor.client()
    token = visitor.token(client)
    wrong = Registered(client.client_id, "x" * 43)
    assert visitor.post(REVOKE, {"token": token}, basic=wrong.basic).told == (401, "invalid_client")
    assert visitor.introspect(token, client)["active"]


@proves("CONTRACT §5")
def test_holding_a_token_is_proof_enough(visitor: Visitor):
    """In the form, as JSON or in the header, without any client authentication."""
    client = visitor.client()
    for send in (
        lambda token: visitor.post(REVOKE, {"token": token}),
        lambda token: visitor.call("POST", REVOKE, json_body={"token": token}),
        lambda token: visitor.post(REVOKE, bearer=token),
        lambda token: visitor.post(REVOKE, headers={"X-Auth-Token": token}),
        lambda token: visitor.post(REVOKE, headers={"X-Session-ID": token}),
    ):
        token = visitor.token(client)
        answer = send(token)
        assert (answer.status, answer.json) == (200, deleted(token))
        assert visitor.introspect(token, client) == {"active": False}


def test_nothing_to_revoke_is_an_error(visitor: Visitor):
    """400 where no token is sent at all."""
    assert visitor.post(REVOKE).told == (400, "invalid_request")
    assert visitor.post(REVOKE, basic=visitor.client().basic).told == (400, "invalid_request")


@proves("CONTRACT §5")
def test_a_person_ends_one_of_their_own_by_name(visitor: Visitor):
    """By session id or ref id; another person's is untouched, and an unknown ref id is 404."""
    user, other, watcher = visitor.user(), visitor.user(), visitor.client("introspect")
    here = visitor.session(user)
    tokens = visitor.server.inside.tokens
    for name in ("session_id", "ref_id"):
        lost, foreign = visitor.session(user), visitor.session(other)
        identifier = getattr(tokens.by_identifier(lost), name)
        answer = visitor.post(REVOKE, {"token": identifier, "token_type_hint": name}, bearer=here)
        assert (answer.status, answer.json) == (200, deleted(lost))
        assert visitor.introspect(lost, watcher) == {"active": False}
        foreign_id = getattr(tokens.by_identifier(foreign), name)
        assert visitor.post(REVOKE, {"token": foreign_id}, bearer=here).status in (200, 404)
        assert visitor.introspect(foreign, watcher)["active"]
    assert visitor.post(REVOKE, {"token": "sess00000000"}, bearer=here).status == 404


@proves("S-077")
def test_only_a_person_names_tokens(visitor: Visitor):
    """Without a sign-in, and with a client's token, a name revokes nothing."""
    user, watcher = visitor.user(), visitor.client("introspect")
    session = visitor.session(user)
    ref_id = visitor.server.inside.tokens.by_identifier(session).ref_id
    for bearer in (None, visitor.token(visitor.client("*"))):
        assert visitor.post(REVOKE, {"token": ref_id}, bearer=bearer).status == 403
    assert visitor.introspect(session, watcher)["active"]


def test_a_revoked_session_opens_nothing(visitor: Visitor):
    """After its own revocation GET session is 401."""
    session = visitor.session(visitor.user())
    assert visitor.call("GET", SESSION, bearer=session).status == 200
    assert visitor.post(REVOKE, bearer=session).status == 200
    assert visitor.call("GET", SESSION, bearer=session).status == 401


@proves("S-055", "S-132", "RFC 7009 §2.2.1")
def test_a_store_that_is_away_is_told_and_nothing_is_claimed(tmp_path: Path):
    """503 with Retry-After, never 200; when the store is back the token still lives, and the same request works."""
    redis = Redis(tmp_path)
    redis.start("--appendonly", "yes")
    try:
        with running(tmp_path / "server", redis_url=redis.url) as server:
            visitor = Visitor(server)
            client = visitor.client()
            token = visitor.token(client)
            redis.stop()
            for options in ({"basic": client.basic}, {}):
                answer = visitor.post(REVOKE, {"token": token}, **options)
                assert answer.told == (503, "temporarily_unavailable")
                assert int(answer.headers["Retry-After"]) > 0
            for answer in (visitor.ask_token(client), visitor.post(INTROSPECT, {"token": token}, basic=client.basic)):
                assert answer.told == (503, "temporarily_unavailable")
            for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration", "/livez"):
                assert visitor.call("GET", path).status == 200
            assert visitor.call("GET", "/readyz").status == 503
            redis.start("--appendonly", "yes")
            assert visitor.introspect(token, client)["active"]
            assert visitor.post(REVOKE, {"token": token}, basic=client.basic).status == 200
            assert visitor.introspect(token, client) == {"active": False}
    finally:
        redis.stop()
