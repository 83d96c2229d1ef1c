"""A token's life: when it counts, what lists show, and how many an end of all ends."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from auth_server.domain import credentials
from auth_server.domain.tokens import TOUCH, Token, Tokens
from auth_server.domain.users import Changes
from auth_server.errors import NotFound
from auth_server.store.records import User
from auth_server.store.state import Entry, Index, Kind, Page, State
from tests.people import PASSWORD, alive, join, login, signed_in
from tests.sites import Site, site

DAY = 86400


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A server."""
    return site(tmp_path)


@pytest.fixture
def jane(here: Site) -> User:
    """Somebody who has an account."""
    return join(here)


def short_lived(here: Site, user: User) -> Token:
    """An app password that lives for a minute."""
    value = here.app_password(user, "sessions")
    token = here.server.tokens.by_identifier(value)
    here.server.tokens.revoke(token)
    token = replace(token, expires_at=here.clock() + 60)
    here.server.tokens.issue(token)
    return token


def test_what_has_expired_counts_nowhere(here: Site, jane: User) -> None:
    """An app password is dead in the second of its expiry, for every list and name, before anything purges it."""
    tokens = here.server.tokens
    token = short_lived(here, jane)
    here.clock.advance(59)
    assert [living.token for living in here.server.token_lists.all()] == [token]
    assert tokens.living(token, here.clock()) is not None
    here.clock.advance(1)
    assert tokens.living(token, here.clock()) is None
    assert list(here.server.token_lists.all()) == []
    for name in (token.session_id, token.ref_id):
        with pytest.raises(NotFound):
            tokens.by_identifier(name)


def test_lists_leave_out_what_does_not_count(here: Site, jane: User) -> None:
    """The tokens of a client that is disabled."""
    values = [here.app_password(jane, "sessions"), here.session(jane), here.token("metrics")]
    lost = here.server.tokens.by_identifier(here.token("metrics"))
    here.server.records.clients.change(str(lost.client_id), lambda client: replace(client, enabled=False))
    expected = [here.server.tokens.by_identifier(values[number]) for number in (2, 1, 0)]
    assert [living.token for living in here.server.token_lists.all()] == expected


def test_the_end_of_all_tokens_is_that_of_tokens_only(here: Site, jane: User) -> None:
    """The addresses from which people have signed in stay known, and are not counted."""
    assert login(here, jane.name, PASSWORD).status_code == 200
    here.app_password(jane, "sessions")
    known = here.server.state.find(Kind.KNOWN_ADDRESS, Index.ALL, "", Page(), here.clock())
    assert len(known) == 1
    assert here.server.tokens.revoke_all() == 2
    assert list(here.server.token_lists.all()) == []
    assert here.server.state.find(Kind.KNOWN_ADDRESS, Index.ALL, "", Page(), here.clock()) == known


def test_use_does_not_bring_back_what_has_expired(here: Site, jane: User) -> None:
    """A session that dies between its check and the note of its use stays dead."""
    tokens = here.server.tokens
    token = tokens.by_identifier(here.session(jane))
    here.clock.advance(3600)
    assert tokens.touch(token, "192.0.2.1").last_active == here.clock()
    assert here.server.state.get(Kind.ACCESS_TOKEN, token.key, here.clock()) is None
    here.clock.advance(-DAY)
    kept = here.server.state.get(Kind.ACCESS_TOKEN, token.key, here.clock())
    assert kept is not None
    assert b"192.0.2.1" not in kept.data


def session(here: Site) -> tuple[str, Token]:
    """Sign Jane in."""
    value = signed_in(here)
    return value, here.server.tokens.by_identifier(value)


def changed(here: Site, user: User) -> User:
    """Jane with a new password."""
    return here.server.users.change(user.uid, Changes(password="Another-password-1"))


def test_a_session_is_carried_over_and_no_other(here: Site, jane: User) -> None:
    """It keeps its token and all else; that of yesterday's password stays dead, whoever asks."""
    (mine, token), (other, stale) = session(here), session(here)
    user = changed(here, jane)
    assert not alive(here, mine)
    carried = here.server.tokens.carry_over(token, user)
    assert carried == replace(token, password_version=2)
    assert carried == here.server.tokens.by_identifier(mine)
    assert (alive(here, mine), alive(here, other)) == (True, False)
    assert here.server.tokens.carry_over(token, user) is None
    assert here.server.tokens.carry_over(stale, changed(here, jane)) is None
    assert (alive(here, mine), alive(here, other)) == (False, False)


def test_a_session_that_ends_meanwhile_is_not_carried_over(here: Site, jane: User) -> None:
    """Nor is one of an account that is disabled meanwhile alive again."""
    (mine, token), (_, other) = session(here), session(here)
    user = changed(here, jane)
    here.server.tokens.revoke(token)
    assert here.server.tokens.carry_over(token, user) is None
    assert not alive(here, mine)
    here.server.records.users.change(jane.uid, lambda u: replace(u, token_version=u.token_version + 1))
    carried = here.server.tokens.carry_over(other, user)
    assert carried is not None
    assert here.server.tokens.living(carried, here.clock()) is None


class Interrupted:
    """A state before whose first compare and set something happens."""

    def __init__(self, state: State, meanwhile: Callable[[], object]) -> None:
        self.state, self.meanwhile = state, meanwhile

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        return self.state.get(kind, key, now)

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, int
        meanwhile()
        return self.state.swap(kind, old, new, now)


@pytest.mark.parametrize("ends", [False, True], ids=["used", "ended"])
def test_a_session_is_carried_over_as_it_is_in_that_moment(here: Site, jane: User, ends: bool) -> None:
    """Its use is noted, or it ends, between the look at it and the write."""
    value, token = session(here)
    user = changed(here, jane)
    here.clock.advance(TOUCH)
    server = here.server
    act = partial(server.tokens.revoke, token) if ends else partial(server.tokens.touch, token, "192.0.2.9")
    late = Tokens(
        server.records, Interrupted(server.state, act), server.keyring, server.audit, server.clock, server.random
    )
    carried = late.carry_over(token, user)
    assert alive(here, value) != ends
    assert (carried is None) == ends
    assert ends or (carried.address, carried.last_active) == ("192.0.2.9", here.clock())


def test_what_no_password_counts_for_is_left_as_it_is(here: Site, jane: User) -> None:
    """A child of an app password outlives the change anyway."""
    value = here.app_password(jane, "sessions")
    token = here.server.tokens.by_identifier(value)
    assert here.server.tokens.carry_over(token, changed(here, jane)) == token
    assert credentials.digest(value) == token.key
