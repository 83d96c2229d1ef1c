"""The grant client_credentials (RFC 6749 §4.4)."""

import pytest

from auth_server.domain.users import Changes
from auth_server.errors import Conflict, InvalidInput
from tests import proves
from tests.servers.visitors import Visitor


@pytest.mark.parametrize(
    ("registered", "asked", "granted"),
    [
        ("metrics", "", "metrics"),
        ("metrics sessions", "metrics", "metrics"),
        ("metrics sessions", "sessions metrics", "metrics sessions"),
        ("*", "metrics photos", "metrics photos"),
        ("introspect metrics", "introspect", "introspect"),
        ("admin:*", "admin:keys", "admin:keys"),
    ],
)
def test_the_scope_is_what_was_asked_within_what_is_registered(
    visitor: Visitor, registered: str, asked: str, granted: str
):
    """All of it where nothing is asked."""
    answer = visitor.ask_token(visitor.client(registered), scope=asked)
    assert (answer.status, answer.json["scope"]) == (200, granted)


@proves("S-023", "RFC 6749 §3.3")
@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("metrics", "sessions"),
        ("metrics", "metrics sessions"),
        ("metrics", "*"),
        ("*", "introspect"),
        ("*", "admin:keys"),
        ("read write", "openid"),
        ("admin:keys", "admin:users"),
        ("metrics", 'met"rics'),
        ("metrics", "metrics  sessions"),
        ("metrics", "métrics"),
        ("metrics", "m" * 1000),
    ],
)
def test_more_than_registered_is_refused(visitor: Visitor, registered: str, asked: str):
    """400 `invalid_scope`; no wildcard reaches the words that must be named; nothing is written."""
    client = visitor.client(registered)
    stored = visitor.server.stored()
    assert visitor.ask_token(client, scope=asked).told == (400, "invalid_scope")
    assert visitor.server.stored() == stored


def test_a_token_ends_when_it_was_to_end(visitor: Visitor):
    """`--expires` is its life in seconds; at `exp` it is dead."""
    client = visitor.client("introspect", access_token_ttl=100)
    answer = visitor.ask_token(client)
    token = answer.json["access_token"]
    assert answer.json["expires_in"] == 100
    visitor.server.clock.advance(99)
    assert visitor.introspect(token, client)["active"]
    visitor.server.clock.advance(1)
    assert visitor.introspect(token, client) == {"active": False}


def test_the_newest_tokens_stay(visitor: Visitor):
    """`--tokens N`: the next one ends the oldest, on both workers."""
    client, watcher = visitor.client(token_limit=3), visitor.client("introspect")
    tokens = [visitor.token(client) for _ in range(5)]
    assert [visitor.introspect(token, watcher)["active"] for token in tokens] == [False, False, True, True, True]


def test_many_at_once_leave_exactly_the_limit(visitor: Visitor):
    """Also when both workers issue at the same time."""
    client, watcher = visitor.client(token_limit=4), visitor.client("introspect")
    answers = visitor.everywhere(lambda: visitor.ask_token(client), 12)
    assert {answer.status for answer in answers} == {200}
    living = [visitor.introspect(answer.json["access_token"], watcher)["active"] for answer in answers]
    assert living.count(True) == 4


def test_a_client_may_act_for_its_owner(visitor: Visitor):
    """`clients add … USERNAME`: the token's `sub` is the person's uid, until that person is disabled."""
    user, watcher = visitor.user(), visitor.client("introspect")
    client = visitor.client(owner_uid=user.uid)
    token = visitor.token(client)
    told = visitor.introspect(token, watcher)
    assert (told["sub"], told["username"], told["client_id"]) == (user.uid, user.name, client.client_id)
    visitor.server.inside.users.change(user.uid, Changes(enabled=False))
    assert visitor.introspect(token, watcher) == {"active": False}
    assert visitor.ask_token(client).told == (401, "invalid_client")


@proves("S-049", "RFC 9700 §4.15")
def test_a_client_is_never_taken_for_a_person(visitor: Visitor):
    """A client's token has its client_id as `sub` and no person's claims; an id of a user is refused."""
    user, watcher = visitor.user(), visitor.client("introspect")
    client = visitor.client("metrics sessions")
    told = visitor.introspect(visitor.token(client), watcher)
    assert told["sub"] == client.client_id
    assert "username" not in told
    for taken in (user.uid, user.name):
        with pytest.raises(Conflict):
            visitor.client(client_id=taken)


@proves("RFC 6749 §4.4")
def test_a_public_client_cannot_have_the_grant(visitor: Visitor):
    """Who cannot authenticate gets no token for itself."""
    with pytest.raises(InvalidInput, match="grant-types"):
        visitor.client(token_endpoint_auth_method="none")
