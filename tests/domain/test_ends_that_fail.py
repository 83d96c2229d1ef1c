"""An end that fails half-way is found again by whoever asks once more: nothing is told to be over that is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auth_server.errors import Unavailable
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import User
from auth_server.store.state import Index, Kind
from tests import proves
from tests.people import alive, bearer, join
from tests.sites import Site, site

REVOKE = "/api/v1/oauth/revoke"
FAMILY = bytes(range(32))


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path)


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@pytest.fixture
def once_away(here: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the store of tokens not answer one of the revocations to come: this one."""
    revoke = here.server.state.revoke

    def let(number: int) -> None:
        left = [number]

        def fail(index: Index, value: str, kind: Kind | None = None) -> int:
            left[0] -= 1
            if left[0] == 0:
                raise Unavailable("the store does not answer")
            return revoke(index, value, kind)

        monkeypatch.setattr(here.server.state, "revoke", fail)

    return let


def access_token(here: Site, user: User, **more: Any) -> str:
    """What a person allowed a client."""
    made = {"client_name": "test", "scope": "openid", "grant_types": ["authorization_code", "refresh_token"]}
    client = here.server.clients.add({**made, "redirect_uris": ["https://app.example.org/"]}).client
    allowed = Authorization("client", "oauth2", "authorization_code", "openid", 3600, client=client, user=user, **more)
    return issue(allowed, here.server).value


@proves("S-054")
def test_a_refresh_token_takes_its_access_tokens_along(
    here: Site, jane: User, once_away: Callable[[int], None]
) -> None:
    token = access_token(here, jane, family=FAMILY)
    living = here.server.tokens.find(token)
    assert living is not None
    value = here.server.refresh_tokens.begin(FAMILY, jane.uid, living.token.client_id or "", b"{}")
    once_away(1)
    assert here.http.post(REVOKE, data={"token": value}).status_code == 503
    assert here.http.post(REVOKE, data={"token": value}).status_code == 200
    assert here.server.tokens.find(token) is None


@proves("S-054", "S-078")
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_app_password_takes_its_sessions_along(
    here: Site, jane: User, once_away: Callable[[int], None], failing: int
) -> None:
    value = here.app_password(jane, "*")
    session = here.http.post("/api/v1/session", headers=bearer(value)).json["session_id"]
    token = here.http.post("/api/v1/session", headers=bearer(value)).json["access_token"]
    assert session
    assert alive(here, token)
    once_away(failing)
    assert here.http.post(REVOKE, data={"token": value}).status_code == 503
    assert here.http.post(REVOKE, data={"token": value}).status_code == 200
    assert not alive(here, token)
    assert not alive(here, value)


@proves("S-094")
def test_a_logout_takes_the_tokens_of_the_sign_in_along(
    here: Site, jane: User, once_away: Callable[[int], None]
) -> None:
    """Also where another tab asks for it before the first is done."""
    cookie, browser = here.server.browsers.sign_in("", jane, ("pwd",))
    (sign_in,) = browser.sign_ins
    token = access_token(here, jane, sid=sign_in.sid)
    once_away(1)
    with pytest.raises(Unavailable):
        here.server.browsers.sign_out(cookie)
    assert here.server.browsers.sign_out(cookie) == (sign_in,)
    assert here.server.tokens.find(token) is None
    assert here.server.browsers.find(cookie) is None
