"""PhotoPrism's session API: sign in, look, sign out."""

import json
from pathlib import Path
from typing import Any

import pytest

from auth_server.domain.users import Changes
from tests import proves
from tests.people import PASSWORD, SESSION, alive, bearer, join, login, signed_in
from tests.sites import Site, site

NOT_IN = {"code": 401, "error": "Please log in to your account"}
WRONG = {"error": "Invalid credentials"}
DENIED = {"code": 403, "error": "Permission denied"}
UNABLE = {"code": 400, "error": "Unable to do that"}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


# ---- what a session looks like
def test_login_answers_the_whole_session(here: Site):
    """All members of photoprism-contract section 4, with the account as it is."""
    user = join(here, role="admin")
    answer = login(here)
    told = answer.json
    token = told["access_token"]
    assert answer.status_code == 200
    assert answer.content_type == "application/json; charset=utf-8"
    assert len(token) == 48
    assert told["id"] == token
    assert (told["status"], told["token_type"], told["provider"], told["scope"]) == ("success", "Bearer", "local", "")
    assert told["expires_in"] == 1209600
    assert told["data"] == {"tokens": None, "shares": None}
    assert told["config"]["authMode"] == "password"
    assert told["config"]["mode"] == "user"
    seen = told["user"]
    assert (seen["UID"], seen["Name"], seen["Role"], seen["Email"]) == (user.uid, "jane", "admin", "jane@example.org")
    assert isinstance(seen["ID"], int)
    assert seen["LoginAt"] == seen["CreatedAt"] == "2027-01-15T08:00:00Z"
    assert set(seen) == {
        *("ID", "UID", "AuthProvider", "AuthMethod", "AuthID", "Name", "DisplayName", "Email", "Role", "Attr"),
        *("SuperAdmin", "CanLogin", "LoginAt", "WebDAV", "BasePath", "UploadPath", "CanInvite", "Details"),
        *("Settings", "Thumb", "ThumbSrc", "CreatedAt", "UpdatedAt"),
    }


def test_reading_echoes_the_presented_token(here: Site):
    """GET has the shape of POST."""
    join(here)
    made = login(here).json
    assert here.http.get(SESSION, headers=bearer(made["access_token"])).json == made


def test_details_come_from_claims(here: Site):
    """What an admin knows of a person stands where PhotoPrism's clients look for it."""
    user = join(here)
    here.server.users.change(user.uid, Changes(claims={"given_name": "Jane", "family_name": "Doe"}))
    details = login(here).json["user"]["Details"]
    assert (details["GivenName"], details["FamilyName"], details["NickName"]) == ("Jane", "Doe", "")


@proves("S-146")
def test_answers_are_neither_kept_nor_sniffed(here: Site):
    """Successes and failures alike."""
    join(here)
    for answer in (login(here), login(here, password="wrong"), here.http.get(SESSION)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


# ---- where the token is read
@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer {}"),
        ("Authorization", "BEARER {}"),
        ("X-Auth-Token", "{}"),
        ("X-Session-ID", "{}"),
    ],
)
def test_token_is_read_from_each_header(here: Site, header: tuple[str, str]):
    """The scheme in any case."""
    join(here)
    name, value = header
    answer = here.http.get(SESSION, headers={name: value.format(signed_in(here))})
    assert answer.status_code == 200


def test_token_is_read_from_nowhere_else(here: Site):
    """No query parameter, no cookie, no body."""
    join(here)
    token = signed_in(here)
    for name in ("access_token", "token", "t", "session_id"):
        assert here.http.get(f"{SESSION}?{name}={token}").json == NOT_IN
        here.http.set_cookie(name, token)
    assert here.http.get(SESSION).json == NOT_IN


def test_several_tokens_must_agree(here: Site):
    """Twice the same is one; two that differ are refused; Basic is none."""
    join(here)
    one, other = signed_in(here), signed_in(here)
    both = here.http.get(SESSION, headers={**bearer(one), "X-Auth-Token": other})
    assert (both.status_code, both.json) == (400, UNABLE)
    assert here.http.get(SESSION, headers={**bearer(one), "X-Auth-Token": one}).status_code == 200
    assert here.http.get(SESSION, headers={"Authorization": "Basic eDp5", "X-Auth-Token": one}).status_code == 200


@pytest.mark.parametrize("value", ["", "x", "a b", "0" * 47, "G" * 48, f"{'0' * 48} ", "x" * 5000, "a.b.c"])
def test_what_is_no_token_is_nobody(here: Site, value: str):
    """Values are never cleaned."""
    assert here.http.get(SESSION, headers={"X-Auth-Token": value}).json == NOT_IN


# ---- bodies
@proves("S-080")
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe{}",
        "{}".encode("utf-16"),
        b"[" * 50000,
        b'{"username": "jane", "password": ["x"]}',
        b'{"username": "jane", "password": {"a": 1}}',
        b'{"username": "jane", "password": 12345678}',
        b'{"username": "jane", "password": true}',
        b'{"username": ["jane"], "password": "x"}',
        b'{"username": "jane", "password": "x", "code": 123456}',
        b'{"username": "jane", "username": "jane", "password": "x"}',
        b'{"username": "jane", "Username": "jane", "password": "x"}',
        b'{"username": "jane", "password": "\\ud800"}',
        b"",
    ],
)
def test_unreadable_bodies_are_refused(here: Site, body: bytes):
    """In PhotoPrism's shape, whatever the type says."""
    join(here)
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = here.http.post(SESSION, data=body, content_type=kind)
        assert (answer.status_code, answer.json) == (400, UNABLE)


@proves("S-080")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "jane", "password": None},
        {"username": "jane", "password": ""},
        {"username": " ", "password": PASSWORD},
        {"username": None, "password": PASSWORD},
        {"username": "jane", "password": "\0"},
        {"username": "jane", "password": PASSWORD + "\0"},
        {"username": "jane", "password": f" {PASSWORD} "},
        {"username": "jane", "password": "x" * 30000},
        {"username": "j" * 65, "password": PASSWORD},
    ],
)
def test_bodies_without_a_right_password_sign_nobody_in(here: Site, body: dict[str, Any]):
    """Absent, empty, too long: all end alike."""
    join(here)
    answer = here.http.post(SESSION, json=body)
    assert (answer.status_code, answer.json) == (401, WRONG)


@proves("S-080")
def test_odd_passwords_do_not_get_round_the_throttle(here: Site):
    """What is no password is a try all the same."""
    join(here)
    for odd in ("\0", "x" * 30000, "\N{REPLACEMENT CHARACTER}", "é" * 200, "0"):
        for _ in range(2):
            assert login(here, password=odd).status_code == 401
    assert login(here).status_code == 429


def test_member_names_may_have_any_case_and_company(here: Site):
    """Go reads JSON so, and PhotoPrism's clients rely on it."""
    join(here)
    body = json.dumps({"UserName": "JANE ", "Password": PASSWORD, "remember": [1], "email": None})
    assert here.http.post(SESSION, data=body, content_type="text/plain").status_code == 200


def test_share_links_are_not_there(here: Site):
    """Their tokens are answered as if unknown."""
    answer = here.http.post(SESSION, json={"token": "abc123"})
    assert (answer.status_code, answer.json) == (404, WRONG)


def test_other_paths_and_methods(here: Site):
    """`sessions` is `session`; what is not there is 405 with Allow."""
    join(here)
    made = here.http.post("/api/v1/sessions", json={"username": "jane", "password": PASSWORD}).json
    own = here.http.get(f"/api/v1/sessions/{made['session_id']}", headers=bearer(made["access_token"]))
    assert own.json == made
    for method in ("PUT", "PATCH"):
        answer = here.http.open(SESSION, method=method)
        assert answer.status_code == 405
        assert {"GET", "POST", "DELETE"} <= set(answer.headers["Allow"].split(", "))


# ---- without credentials
def test_session_in_the_header_is_answered_as_it_is(here: Site):
    """With an empty object and without a body; not renewed."""
    join(here)
    made = login(here).json
    here.clock.advance(100)
    for body in (b"", b"{}"):
        again = here.http.post(SESSION, data=body, headers=bearer(made["access_token"])).json
        assert again["access_token"] == made["access_token"]
        assert again["expires_in"] == made["expires_in"] - 100


def test_clients_do_not_sign_in(here: Site):
    """Not even with `*`; an unknown token is no better."""
    for token in (here.token("*"), here.token("sessions"), "0" * 48):
        answer = here.http.post(SESSION, json={}, headers=bearer(token))
        assert (answer.status_code, answer.json) == (401, WRONG)


def test_clients_token_reads_itself_if_its_scope_says_so(here: Site):
    """With an empty user; without the scope it may not."""
    told = here.http.get(SESSION, headers=bearer(here.token("sessions"))).json
    assert (told["provider"], told["scope"], told["user"]["ID"], told["user"]["UID"]) == ("client", "sessions", 0, "")
    for scope in ("metrics", "read", "read sessions", "sessions:view", "sessions:false"):
        answer = here.http.get(SESSION, headers=bearer(here.token(scope)))
        assert (answer.status_code, answer.json) == (403, DENIED)


# ---- a new login replaces the old session
def test_login_ends_the_session_in_the_header(here: Site):
    """Only after success, and always with a new token."""
    join(here)
    old = signed_in(here)
    assert login(here, password="wrong", headers=bearer(old)).status_code == 401
    assert alive(here, old)
    new = login(here, headers=bearer(old)).json["access_token"]
    assert new != old
    assert alive(here, new)
    assert not alive(here, old)
    assert login(here, headers=bearer(old)).status_code == 200, "a stale token does not hinder"


def test_login_ends_no_app_password_and_no_clients_token(here: Site):
    """They are not the session of whoever signs in."""
    lasting = [here.app_password(join(here), "sessions"), here.token("sessions")]
    for token in lasting:
        assert login(here, headers=bearer(token)).status_code == 200
        assert alive(here, token)


# ---- life
def test_session_ends_with_its_maximum_age(here: Site):
    """However much it is used."""
    join(here)
    token = signed_in(here)
    for _ in range(13):
        here.clock.advance(86400)
        assert alive(here, token)
    here.clock.advance(86400 - 1)
    assert here.http.get(SESSION, headers=bearer(token)).json["expires_in"] == 1
    here.clock.advance(1)
    assert not alive(here, token)


def test_session_ends_when_it_is_not_used(here: Site):
    """Use at any endpoint keeps it alive, and is noted at most once in 60 seconds."""
    join(here)
    token = signed_in(here)
    here.clock.advance(604799)
    assert here.http.get("/api/v1/config", headers=bearer(token)).json["mode"] == "user"
    here.clock.advance(604799)
    assert alive(here, token)
    here.clock.advance(604800)
    assert not alive(here, token)


@pytest.mark.parametrize(
    "changes", [Changes(enabled=False), Changes(password="Other-whale-43-sings"), Changes(role="guest")]
)
def test_what_takes_rights_away_ends_sessions(here: Site, changes: Changes):
    """By the time the change has answered."""
    user = join(here)
    token = signed_in(here)
    here.server.users.change(user.uid, changes)
    assert not alive(here, token)


@proves("S-130")
def test_nothing_revives_when_a_name_is_given_again(here: Site):
    """Session, app password and the session made with it stay dead."""
    first = join(here)
    app = here.app_password(first, "*")
    held = [signed_in(here), app, here.http.post(SESSION, headers=bearer(app)).json["access_token"]]
    here.server.users.remove(first.uid)
    second = join(here)
    assert second.uid != first.uid
    assert [alive(here, token) for token in held] == [False] * 3
    assert login(here, password=app).status_code == 401


# ---- ids
def test_ids_of_ones_own_and_of_others(here: Site):
    """One's own by its session id; another's is refused whatever the role; what is no id is 400."""
    join(here, role="admin")
    one, other = login(here).json, login(here).json
    headers = bearer(one["access_token"])
    assert here.http.get(f"{SESSION}/{one['session_id']}", headers=headers).json == one
    for method in ("GET", "DELETE"):
        answer = here.http.open(f"{SESSION}/{other['session_id']}", method=method, headers=headers)
        assert (answer.status_code, answer.json) == (403, DENIED)
    for wrong in ("not-an-id", "0" * 63, "%00", "x" * 64, other["access_token"]):
        answer = here.http.get(f"{SESSION}/{wrong}", headers=headers)
        assert (answer.status_code, answer.json) == (400, UNABLE)
        assert here.http.delete(f"{SESSION}/{wrong}", headers=headers).status_code == 403
    assert alive(here, other["access_token"])


def test_sign_out(here: Site):
    """Gone at once; another session of the same person is not; a second time is 401."""
    join(here)
    one, other = login(here).json, login(here).json
    answer = here.http.delete(SESSION, headers=bearer(one["access_token"]))
    assert answer.json == {"status": "deleted", "session_id": one["session_id"]}
    assert here.http.delete(SESSION, headers=bearer(one["access_token"])).json == NOT_IN
    by_id = here.http.delete(f"{SESSION}/{other['session_id']}", headers=bearer(other["access_token"]))
    assert by_id.json == {"status": "deleted", "session_id": other["session_id"]}
    assert here.http.post(SESSION, json={}, headers=bearer(other["access_token"])).json == WRONG


def test_admins_reach_all_by_ref_id(here: Site):
    """Without its token in the answer; unknown is 404."""
    join(here, "root", role="admin")
    join(here)
    root, hers = bearer(signed_in(here, "root")), signed_in(here)
    ref_id = here.server.tokens.by_identifier(hers).ref_id
    seen = here.http.get(f"/api/v1/sessions/{ref_id}", headers=root)
    assert seen.status_code == 200
    assert seen.json["user"]["Name"] == "jane"
    assert hers not in seen.text
    assert not {"id", "access_token", "token_type"} & seen.json.keys()
    assert here.http.delete(f"/api/v1/sessions/{ref_id}", headers=root).json["status"] == "deleted"
    assert not alive(here, hers)
    for method in ("GET", "DELETE"):
        answer = here.http.open(f"/api/v1/sessions/{ref_id}", method=method, headers=root)
        assert (answer.status_code, answer.json) == (404, {"code": 404, "error": "Not found"})


def test_nobody_else_reaches_anything_by_ref_id(here: Site):
    """Not a user, not an admin's app password, not a client."""
    root, jane = join(here, "root", role="admin"), join(here)
    target = signed_in(here, "root")
    ref_id = here.server.tokens.by_identifier(target).ref_id
    for token in (signed_in(here), here.app_password(root, "*"), here.app_password(jane, "*"), here.token("*")):
        for method in ("GET", "DELETE"):
            answer = here.http.open(f"/api/v1/sessions/{ref_id}", method=method, headers=bearer(token))
            assert (answer.status_code, answer.json) == (403, DENIED)
    assert alive(here, target)


# ---- configuration and status
def test_configuration_and_status(here: Site):
    """Constant members, with and without a token; a token that does not count is told."""
    join(here)
    public = here.http.get("/api/v1/config").json
    assert (public["mode"], public["authMode"], public["siteUrl"]) == (
        "public",
        "password",
        "https://auth.example.org/",
    )
    private = here.http.get("/api/v1/config", headers=bearer(signed_in(here))).json
    assert private == {**public, "mode": "user"}
    assert here.http.get("/api/v1/config", headers=bearer("0" * 48)).json == NOT_IN
    assert here.http.get("/api/v1/status").json == {"status": "operational"}
