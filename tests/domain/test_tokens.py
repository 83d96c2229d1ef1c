"""A token's life: when it counts, what lists show, and how many an end of all ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from auth_server.domain.tokens import Token
from auth_server.errors import NotFound
from auth_server.store.records import User
from auth_server.store.state import Index, Kind, Page
from tests.people import PASSWORD, join, login
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
    assert [living.token for living in tokens.each()] == tokens.page(Page())
    assert tokens.living(token, here.clock()) is not None
    here.clock.advance(1)
    assert tokens.living(token, here.clock()) is None
    assert [*tokens.each(), *tokens.page(Page())] == []
    for name in (token.session_id, token.ref_id):
        with pytest.raises(NotFound):
            tokens.by_identifier(name)


def test_each_leaves_out_what_does_not_count(here: Site, jane: User) -> None:
    """Durable tokens and then the others, without those of a client that is disabled."""
    values = [here.app_password(jane, "sessions"), here.session(jane), here.token("metrics")]
    lost = here.server.tokens.by_identifier(here.token("metrics"))
    here.server.records.clients.change(str(lost.client_id), lambda client: replace(client, enabled=False))
    expected = [here.server.tokens.by_identifier(values[number]) for number in (0, 2, 1)]
    assert [living.token for living in here.server.tokens.each()] == expected


def test_the_end_of_all_tokens_is_that_of_tokens_only(here: Site, jane: User) -> None:
    """The addresses from which people have signed in stay known, and are not counted."""
    assert login(here, jane.name, PASSWORD).status_code == 200
    here.app_password(jane, "sessions")
    known = here.server.state.find(Kind.KNOWN_ADDRESS, Index.ALL, "", Page(), here.clock())
    assert len(known) == 1
    assert here.server.tokens.revoke_all() == 2
    assert list(here.server.tokens.each()) == []
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
