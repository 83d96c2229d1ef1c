"""Disabling and narrowing end tokens for good: those that are on their way, too."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from auth_server.domain import scopes
from auth_server.domain.users import Changes
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import Client, User
from tests import proves
from tests.people import alive, join, login, signed_in
from tests.sites import Site, site


class Interrupted(PasswordHasher):
    """Argon2 during whose work something happens."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.meanwhile: Callable[[], object] = int

    def verify(self, *arguments: Any) -> Any:
        self.meanwhile()
        return super().verify(*arguments)


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"], hasher=Interrupted())


def turn(here: Site, user: User, *states: bool) -> None:
    """Disable or enable an account."""
    for enabled in states:
        here.server.users.change(user.uid, Changes(enabled=enabled))


def meanwhile(here: Site, act: Callable[[], object]) -> None:
    """Let something happen while the next password is checked."""
    here.server.passwords._hasher.meanwhile = act


@pytest.mark.parametrize("states", [(False,), (False, True)], ids=["disabled", "and enabled again"])
@proves("S-013")
def test_a_login_under_way_does_not_survive_a_disable(here: Site, states: tuple[bool, ...]):
    """The password was right when it was read; the account is disabled before the session is made."""
    user = join(here)
    meanwhile(here, lambda: turn(here, user, *states))
    assert login(here).status_code == 401
    assert here.server.users.find("jane").login_at is None


def test_a_login_under_way_does_not_survive_a_new_password_or_removal(here: Site):
    """It was for the old one."""
    user = join(here)
    meanwhile(here, lambda: here.server.users.change(user.uid, Changes(password="Another-password-1")))
    assert login(here).status_code == 401
    meanwhile(here, lambda: here.server.users.remove(user.uid))
    assert login(here, password="Another-password-1").status_code == 401


@proves("S-013")
def test_whatever_was_made_for_a_person_stays_dead(here: Site):
    """Session, app password and client token, kept after the disable as before it."""
    user = join(here)
    client = here.server.clients.add({"scope": "metrics", "owner_uid": user.uid}).client
    allowed = (
        Authorization("application", "default", "cli", "sessions", None, user=user, form="app_password"),
        Authorization("application", "session", "password", "sessions", 3600, user=user),
        Authorization("client", "oauth2", "client_credentials", "metrics", 3600, client, user),
    )
    before = [issue(one, here.server).value for one in allowed] + [signed_in(here)]
    turn(here, user, False)
    after = [issue(one, here.server).value for one in allowed]
    turn(here, user, True)
    assert [here.server.tokens.find(token) for token in (*before, *after)] == [None] * 7
    assert alive(here, signed_in(here))
    allowed_again = replace(allowed[0], user=here.server.users.find("jane"))
    assert here.server.tokens.find(issue(allowed_again, here.server).value)


def added(here: Site, **values: Any) -> Client:
    """Register a client."""
    return here.server.clients.add({"scope": "admin:keys metrics", **values}).client


def token_of(here: Site, client: Client) -> str:
    """Make a token for a client as it was when it authenticated."""
    return issue(Authorization("client", "oauth2", "client_credentials", client.scope, 3600, client), here.server).value


@proves("S-013")
def test_a_clients_token_under_way_does_not_survive_a_disable(here: Site):
    """Neither one that was kept before it."""
    client = added(here)
    old = token_of(here, client)
    here.server.clients.change(client.client_id, {"enabled": False})
    late = token_of(here, client)
    again = here.server.clients.change(client.client_id, {"enabled": True})
    assert [here.server.tokens.find(token) for token in (old, late)] == [None, None]
    assert here.server.tokens.find(token_of(here, again))


def test_a_disable_with_a_new_secret_ends_tokens_too(here: Site):
    """`clients mod ID --disable --generate-secret`."""
    client = added(here)
    token = token_of(here, client)
    here.server.clients.new_secret(client.client_id, values={"enabled": False})
    here.server.clients.change(client.client_id, {"enabled": True})
    assert here.server.tokens.find(token) is None


@pytest.mark.parametrize(
    "values",
    [
        {"scope": "metrics"},
        {"scope": "admin:users metrics"},
        {"audience": ("https://api.example",)},
        {"role": "admin"},
    ],
)
def test_what_a_client_loses_its_tokens_lose(here: Site, values: dict[str, Any]):
    """A token says what its client might when it was made; it ends when that is no longer so."""
    client = added(here)
    old = token_of(here, client)
    changed = here.server.clients.change(client.client_id, values)
    late = token_of(here, client)
    assert [here.server.tokens.find(token) for token in (old, late)] == [None, None]
    assert here.server.tokens.find(token_of(here, changed))


@pytest.mark.parametrize("values", [{"scope": "admin:* metrics sessions"}, {"client_name": "x"}, {"token_limit": 3}])
def test_other_changes_end_nothing(here: Site, values: dict[str, Any]):
    """More scope, another name; nor does a new secret."""
    client = added(here)
    token = token_of(here, client)
    here.server.clients.change(client.client_id, values)
    here.server.clients.new_secret(client.client_id)
    assert here.server.tokens.find(token)


@pytest.mark.parametrize(
    ("old", "new", "less"),
    [
        ("metrics", "metrics", False),
        ("metrics", "metrics sessions", False),
        ("metrics sessions", "metrics", True),
        ("metrics", "*", False),
        ("*", "metrics", True),
        ("admin:keys", "*", True),
        ("admin:keys", "admin:*", False),
        ("admin:*", "admin:keys", True),
        ("photos", "photos read", True),
        ("photos read", "photos", True),
        ("photos", "photos photos:false", True),
        ("photos", "photos:false *", True),
        ("photos *", "photos:false photos *", True),
        ("read", "read", False),
        ("read", "*", False),
        ("read", "metrics read", True),
        ("", "metrics", False),
        ("metrics", "", True),
    ],
)
def test_a_scope_that_reaches_less_is_told(old: str, new: str, less: bool):
    """Words that are gone, and words that restrict others."""
    assert scopes.narrows(new, old) == less


def test_a_login_drops_no_copies(here: Site):
    """What workers remember of users, clients and keys stays good."""
    join(here)
    before = here.server.records.generation()
    assert login(here).status_code == 200
    assert here.server.records.generation() == before
    assert here.server.users.find("jane").login_at == here.clock.now
