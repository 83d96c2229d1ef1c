"""The list of one's own app passwords, and their end, for every role."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.domain import credentials
from auth_server.domain.roles import USER_ROLES
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import User
from tests import proves
from tests.people import SESSION, alive, app_password, bearer, join, login, signed_in
from tests.sites import Site, site

DENIED = {"code": 403, "error": "Permission denied"}
NOT_IN = {"code": 401, "error": "Please log in to your account"}
UNABLE = {"code": 400, "error": "Unable to do that"}
REVOKE = "/api/v1/oauth/revoke"
AGENT = {"User-Agent": "PhotoSync/4.8"}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


def ls(here: Site, user: User, token: str, query: str = "count=100") -> TestResponse:
    """Ask for the app passwords of *user*."""
    return here.http.get(f"/api/v1/users/{user.uid}/sessions?{query}", headers=bearer(token))


def names(answer: TestResponse) -> list[str]:
    """What is on a list."""
    assert answer.status_code == 200, answer.data
    return [entry["ClientName"] for entry in answer.json]


def made(here: Site, session: str, *given: str, **more: str) -> list[str]:
    """Make app passwords with these names, a second apart."""
    found = []
    for name in given:
        here.clock.advance(1)
        found.append(app_password(here, session, client_name=name, **more).json["access_token"])
    return found


# ---- what is listed
def test_an_entry_has_all_members(here: Site):
    """Those of photoprism-contract section 5, and neither token nor session id."""
    user = join(here)
    session = signed_in(here)
    (app,) = made(here, session, "Phone", scope="webdav sessions", expires_in="3600")
    created = here.clock.now
    here.clock.advance(120)
    child = here.http.post(SESSION, headers={**bearer(app), **AGENT}, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    here.clock.advance(120)
    here.http.get(SESSION, headers={**bearer(app), **AGENT}, environ_base={"REMOTE_ADDR": "192.0.2.8"})
    answer = ls(here, user, session)
    assert answer.json == [
        {
            "ID": credentials.ref_id(credentials.digest(app)),
            "UserUID": user.uid,
            "UserName": "jane",
            "ClientUID": "",
            "ClientName": "Phone",
            "ClientIP": "192.0.2.8",
            "LoginIP": "192.0.2.7",
            "AuthProvider": "application",
            "AuthMethod": "default",
            "AuthID": "",
            "AuthScope": "sessions webdav",
            "GrantType": "password",
            "LastActive": created + 240,
            "Expires": created + 3600,
            "Timeout": 0,
            "UserAgent": "PhotoSync/4.8",
            "LoginAt": "2027-01-15T08:02:01Z",
            "CreatedAt": "2027-01-15T08:00:01Z",
            "UpdatedAt": "2027-01-15T08:04:01Z",
            "Status": 0,
        }
    ]
    for secret in (app, credentials.digest(app).hex(), child.json["access_token"], child.json["session_id"]):
        assert secret not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_was_never_used_says_so(here: Site):
    """And what never expires."""
    user = join(here)
    session = signed_in(here)
    made(here, session, "Phone", expires_in="0")
    (entry,) = ls(here, user, session).json
    assert (entry["LastActive"], entry["Expires"], entry["ClientIP"], entry["LoginIP"]) == (0, 0, "", "")
    assert (entry["LoginAt"], entry["UserAgent"]) == ("0001-01-01T00:00:00Z", "")
    assert entry["UpdatedAt"] == entry["CreatedAt"]


def test_the_use_of_a_session_is_use_of_its_app_password(here: Site):
    """Noted on both, with the program that did it (photoprism-contract section 11)."""
    user = join(here)
    session = signed_in(here)
    (app,) = made(here, session, "Phone")
    child = login(here, password=app).json["access_token"]
    here.clock.advance(1000)
    assert here.http.get(SESSION, headers={**bearer(child), **AGENT}).status_code == 200
    (entry,) = ls(here, user, session).json
    assert (entry["LastActive"], entry["UserAgent"], entry["LoginIP"]) == (here.clock.now, "PhotoSync/4.8", "192.0.2.1")


def test_only_app_passwords_are_listed(here: Site):
    """By name, those of one name from the oldest on; no login, no session made with one, nothing that is over."""
    user = join(here)
    session = signed_in(here)
    apps = made(here, session, "b", "C", "a", "b")
    login(here, password=apps[0])
    here.token("*")
    gone = made(here, session, "gone", expires_in="1")
    here.clock.advance(1)
    answer = ls(here, user, session)
    expected = [apps[2], apps[0], apps[3], apps[1]]
    assert [entry["ID"] for entry in answer.json] == [credentials.ref_id(credentials.digest(app)) for app in expected]
    assert not alive(here, gone[0])


# ---- pages and search
@pytest.mark.parametrize(
    ("query", "expected", "headers"),
    [
        ("count=2", ["a", "b"], ("2", "2", "0")),
        ("count=2&offset=1", ["b", "c"], ("2", "2", "1")),
        ("count=2&offset=2", ["c"], ("1", "2", "2")),
        ("count=2&offset=9", [], ("0", "2", "9")),
        ("count=100000&offset=0", ["a", "b", "c"], ("3", "1000", "0")),
        ("count=9&q=B", ["b"], ("1", "9", "0")),
        ("count=9&q=ja", ["a", "b", "c"], ("3", "9", "0")),
        ("count=9&q=all&order=x&provider=local&method=2fa&uid=other&unknown=1", ["a", "b", "c"], ("3", "9", "0")),
        ("count=9&q=nobody", [], ("0", "9", "0")),
    ],
)
def test_pages(here: Site, query: str, expected: list[str], headers: tuple[str, ...]):
    """Count, offset, the beginning of a name; what PhotoPrism overwrites is not heeded."""
    user = join(here)
    session = signed_in(here)
    made(here, session, "c", "a", "b")
    answer = ls(here, user, session, query)
    assert names(answer) == expected
    assert tuple(answer.headers[f"X-{name}"] for name in ("Count", "Limit", "Offset")) == headers


@proves("S-129")
@pytest.mark.parametrize(
    "query",
    [
        *("", "offset=0", "count=", "count=0", "count=-1", "count=1000000000", "count=100001", "count=x", "count=1e3"),
        *("count=1.5", "count=%2B1", "count=%D9%A1", "count=1&count=2", "count=1&offset=-1", "count=1&offset=x"),
        *("count=1&offset=100001", "count=1&offset=", "count=1;drop", "count=1&q=%00", "count=1&q=%FF"),
    ],
)
def test_wrong_pages_are_refused(here: Site, query: str):
    """`count` must be there; both are plain numbers within bounds."""
    user = join(here)
    answer = ls(here, user, signed_in(here), query)
    assert (answer.status_code, answer.json) == (400, UNABLE)


@proves("S-129")
@pytest.mark.parametrize("q", ["%25", "_", "%25hone", "' OR '1'='1", "*", "\\", "Phone%25"])
def test_a_search_is_data(here: Site, q: str):
    """No wildcard, no SQL."""
    user = join(here)
    session = signed_in(here)
    made(here, session, "Phone")
    assert names(ls(here, user, session, f"count=9&q={q}")) == []


# ---- who may
@proves("S-079")
@pytest.mark.parametrize("role", USER_ROLES)
def test_every_role_manages_its_own(here: Site, role: str):
    """Makes, sees and ends them, and the sessions made with them; nobody sees another's, admins neither."""
    user, other = join(here, role=role), join(here, "bob", role=role)
    session = signed_in(here)
    (app,) = made(here, session, "Phone")
    held = [app, login(here, password=app).json["access_token"]]
    (kept,) = made(here, session, "Other")
    before = here.server.tokens.by_identifier(app)
    foreign = ls(here, user, signed_in(here, "bob"))
    assert (foreign.status_code, foreign.json) == (403, [])
    assert ls(here, other, signed_in(here, "bob")).json == []
    assert here.server.tokens.by_identifier(app) == before
    (entry,) = (entry for entry in ls(here, user, session).json if entry["ClientName"] == "Phone")
    answer = here.http.post(REVOKE, json={"token": entry["ID"]}, headers=bearer(session))
    assert answer.json == {"status": "deleted", "session_id": credentials.digest(app).hex()}
    assert [alive(here, token) for token in (*held, kept, session)] == [False, False, True, True]
    assert names(ls(here, user, session)) == ["Other"]
    again = here.http.post(REVOKE, json={"token": entry["ID"]}, headers=bearer(session))
    assert again.status_code == 404


@proves("S-079")
@pytest.mark.parametrize("role", USER_ROLES)
def test_nobody_ends_anothers(here: Site, role: str):
    """Not by its ref id and not by its session id, at none of the endpoints; admins by ref id at /sessions alone."""
    join(here)
    join(here, "bob", role=role)
    (app,) = made(here, signed_in(here), "Phone")
    bob = bearer(signed_in(here, "bob"))
    token = here.server.tokens.by_identifier(app)
    for name in (token.ref_id, token.session_id):
        here.http.post(REVOKE, json={"token": name}, headers=bob)
        if role != "admin" or name != token.ref_id:
            for path in (f"{SESSION}/{name}", f"/api/v1/sessions/{name}"):
                answer = here.http.delete(path, headers=bob)
                assert (answer.status_code, answer.json) == (403, DENIED)
    assert here.server.tokens.by_identifier(app) == token
    assert alive(here, app)


@proves("S-077", "S-079")
def test_whoever_holds_one_sees_no_list(here: Site):
    """Neither with an app password nor with a session of one, whatever scope and role."""
    user = join(here, role="admin")
    app = here.app_password(user, "*")
    child = here.http.post(SESSION, headers=bearer(app)).json["access_token"]
    for token in (app, child, here.app_password(user, "sessions"), here.app_password(user, "write sessions")):
        answer = ls(here, user, token)
        assert (answer.status_code, answer.json) == (403, DENIED)


def client_token(here: Site, **values: Any) -> str:
    """A token of a client that acts for somebody, or for nobody."""
    client = here.server.clients.add({"client_name": "x", "scope": "sessions", **values}).client
    user = here.server.records.users.get(client.owner_uid) if client.owner_uid else None
    return issue(
        Authorization("client", "oauth2", "client_credentials", "sessions", 3600, client, user), here.server
    ).value


@proves("S-079")
def test_clients_see_no_more_than_their_user(here: Site):
    """Most see nothing; with role admin a client sees its own user's, and without a user there is no list."""
    user, other = join(here, role="admin"), join(here, "bob")
    here.app_password(user, "sessions")
    plain = ls(here, user, client_token(here, owner_uid=user.uid))
    assert (plain.status_code, plain.json) == (403, DENIED)
    trusted = client_token(here, owner_uid=user.uid, role="admin")
    assert len(ls(here, user, trusted).json) == 1
    assert (ls(here, other, trusted).status_code, ls(here, other, trusted).json) == (403, [])
    nobody = ls(here, user, client_token(here, role="admin"))
    assert (nobody.status_code, nobody.json) == (404, [])
    narrow = ls(here, user, here.token("metrics"))
    assert (narrow.status_code, narrow.json) == (403, DENIED)


def test_without_a_token_there_is_no_list(here: Site):
    """An unknown or ended one is none."""
    user = join(here)
    ended = signed_in(here)
    here.http.delete(SESSION, headers=bearer(ended))
    for token in ("", "0" * 48, ended, "x"):
        answer = ls(here, user, token)
        assert (answer.status_code, answer.json) == (401, NOT_IN)


def test_a_path_that_names_nobody(here: Site):
    """Anything else than one's own uid is another's."""
    join(here)
    session = bearer(signed_in(here))
    for uid in ("jane", "u" * 16, "%25", "%00", "x" * 500):
        answer = here.http.get(f"/api/v1/users/{uid}/sessions?count=1", headers=session)
        assert (answer.status_code, answer.json) == (403, [])
