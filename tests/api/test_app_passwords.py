"""App passwords: made by PhotoPrism's grants; used as a token, as a password, and to get a session."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from werkzeug.test import Client as HttpClient

from auth_server.domain import credentials
from auth_server.domain.users import Changes
from auth_server.errors import InvalidInput
from auth_server.store.state import Page
from tests import proves
from tests.people import PASSWORD, SESSION, TOKEN, alive, app_password, bearer, join, login, signed_in
from tests.sites import Site, site

YEAR = 31536000
PAGE = Page()
WRONG = {"error": "Invalid credentials"}
DENIED = {"code": 403, "error": "Permission denied"}
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


def session_from(here: Site, app: str) -> str:
    """Return the token of a session made with an app password in the header."""
    answer = here.http.post(SESSION, headers=bearer(app))
    assert answer.status_code == 200, answer.data
    token: str = answer.json["access_token"]
    return token


# ---- making one
def test_password_grant_makes_one(here: Site):
    """With PhotoPrism's members; it works at once, and only its digest is kept."""
    user = join(here)
    answer = app_password(here, signed_in(here), scope="webdav Sessions", client_name=" My\n phone\u202e ")
    told = answer.json
    app = told.pop("access_token")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert credentials.is_app_password(app)
    assert told == {
        "token_type": "Bearer",
        "expires_in": YEAR,
        "scope": "sessions webdav",
        "status": "success",
        "session_id": credentials.digest(app).hex(),
        "client_name": "My phone",
    }
    seen = here.http.get(SESSION, headers=bearer(app)).json
    assert (seen["provider"], seen["scope"], seen["access_token"]) == ("application", "sessions webdav", app)
    assert (seen["user"]["UID"], seen["session_id"]) == (user.uid, told["session_id"])


def test_json_does_as_well_as_a_form(here: Site):
    """`expires_in` may be a number there."""
    join(here)
    body = {"grant_type": "password", "username": "Jane", "password": PASSWORD, "client_name": "x", "scope": "sessions"}
    answer = here.http.post(TOKEN, json={**body, "expires_in": 600}, headers={"X-Auth-Token": signed_in(here)})
    assert (answer.status_code, answer.json["expires_in"]) == (200, 600)


@pytest.mark.parametrize(
    ("asked", "told"),
    [("", YEAR), ("600", 600), ("1", 1), ("315360000", 315360000), ("0", None), ("-1", None)],
)
def test_lifetimes(here: Site, asked: str, told: int | None):
    """Absent is a year; 0 and -1 are for ever, which OAuth answers leave out and sessions call 0."""
    join(here)
    answer = app_password(here, signed_in(here), expires_in=asked).json
    assert answer.get("expires_in") == told
    seen = here.http.get(SESSION, headers=bearer(answer["access_token"])).json
    assert seen["expires_in"] == (told or 0)


@pytest.mark.parametrize("asked", ["-2", "315360001", "1.5", "1e3", "x", " 5", "0x10", "٣", "9" * 30])
def test_wrong_lifetimes_are_refused(here: Site, asked: str):
    """Never cut, never taken for for-ever."""
    join(here)
    answer = app_password(here, signed_in(here), expires_in=asked)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("missing", ["username", "password", "client_name", "scope"])
def test_members_that_are_needed(here: Site, missing: str):
    """Absent or empty is invalid_request."""
    join(here)
    answer = app_password(here, signed_in(here), **{missing: ""})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_names_are_bounded(here: Site):
    """160 characters, and at least one that shows."""
    join(here)
    session = signed_in(here)
    assert app_password(here, session, client_name="x" * 160).json["client_name"] == "x" * 160
    for name in ("x" * 161, " \t "):
        assert app_password(here, session, client_name=name).json["error"] == "invalid_request"


@pytest.mark.parametrize(
    "scope",
    ["admin:keys", "sessions admin:*", "introspect", "openid", "photos:view", "sessions\tx", '"', "é", "1", "x" * 800],
)
def test_scopes_that_no_app_password_has(here: Site, scope: str):
    """Words that must be named, words that cover nothing, and what is no scope."""
    join(here, role="admin")
    answer = app_password(here, signed_in(here), scope=scope)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_scope")


def test_commas_part_words(here: Site):
    """They never glue them together."""
    join(here)
    assert app_password(here, signed_in(here), scope="webdav,sessions").json["scope"] == "sessions webdav"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"password": "wrong-password"}, 401),
        ({"password": PASSWORD + " "}, 401),
        ({"username": "bob"}, 401),
        ({"grant_type": "session", "password": ""}, 401),
        ({"grant_type": "session", "password": "wrong-password"}, 401),
        ({"grant_type": "session"}, 200),
    ],
)
def test_name_and_password_must_be_the_sessions(here: Site, wrong: dict[str, str], status: int):
    """Both grants ask for the password of an account that has one; 401 with code 40 is PhotoPrism's."""
    join(here)
    join(here, "bob")
    answer = app_password(here, signed_in(here), **wrong)
    assert answer.status_code == status
    if status == 401:
        assert (answer.json["error"], answer.json["code"]) == ("invalid_grant", 40)
        assert answer.json["message"] == "Invalid credentials"


@proves("S-077")
def test_only_a_signed_in_person_makes_one(here: Site):
    """No token, an unknown one, an app password, its session, a client's token: invalid_grant, and nothing is made."""
    user = join(here)
    app = here.app_password(user, "*")
    tokens = ["", "0" * 48, "x", app, session_from(here, app), here.token("*")]
    before = len(here.server.records.tokens.find(PAGE, here.clock.now, subject=user.uid))
    for token in tokens:
        for grant_type in ("password", "session"):
            answer = app_password(here, token, grant_type=grant_type)
            assert (answer.status_code, answer.json["error"], answer.json["code"]) == (401, "invalid_grant", 40)
    assert len(here.server.records.tokens.find(PAGE, here.clock.now, subject=user.uid)) == before


def test_an_app_password_is_no_password_there(here: Site):
    """One app password does not make another."""
    user = join(here)
    answer = app_password(here, signed_in(here), password=here.app_password(user, "*"))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_grant")


@proves("S-012")
def test_clients_never_get_these_grants(here: Site):
    """They cannot register for them; one that authenticates is told so, beside a person's token too."""
    join(here)
    made = here.server.clients.add({"client_name": "x", "scope": "sessions"})
    secret = {"client_id": made.client.client_id, "client_secret": made.secret or ""}
    for grant_type in ("password", "session"):
        for token in ("", signed_in(here)):
            answer = app_password(here, token, grant_type=grant_type, **secret)
            assert (answer.status_code, answer.json["error"]) == (400, "unauthorized_client")
        with pytest.raises(InvalidInput):
            here.server.clients.add({"client_name": "x", "scope": "sessions", "grant_types": (grant_type,)})
    wrong = app_password(here, signed_in(here), client_id=made.client.client_id, client_secret="0" * 43)
    assert (wrong.status_code, wrong.json["error"]) == (401, "invalid_client")


@proves("S-012")
def test_discovery_names_them_only_where_they_work(tmp_path: Path):
    """PHOTOPRISM_GRANTS switches them off, and out of the document."""
    for switch in (True, False):
        here = site(tmp_path / str(switch), signing_algs=["ES256"], photoprism_grants=switch)
        join(here)
        named = {"password", "session"} & set(here.http.get(DISCOVERY).json["grant_types_supported"])
        assert named == ({"password", "session"} if switch else set())
        answer = app_password(here, signed_in(here))
        assert answer.status_code == (200 if switch else 400)
        assert switch or answer.json["error"] == "unsupported_grant_type"


# ---- in place of the password
def test_it_signs_in_in_place_of_the_password(here: Site):
    """A session of its scope, that lives no longer and is no person's."""
    user = join(here)
    app = app_password(here, signed_in(here), scope="sessions metrics", expires_in="600").json["access_token"]
    here.clock.advance(100)
    told = login(here, password=app).json
    assert (told["provider"], told["scope"], told["expires_in"]) == ("application", "metrics sessions", 500)
    assert len(told["access_token"]) == 48
    assert told["user"]["UID"] == user.uid
    token = here.server.tokens.by_identifier(told["access_token"])
    assert (token.method, token.grant_type, token.client_name) == ("session", "password", "Phone")


def test_only_the_newest_such_session_lives(here: Site):
    """For each app password."""
    user = join(here)
    one, other = here.app_password(user, "sessions"), here.app_password(user, "sessions")
    kept = login(here, password=other).json["access_token"]
    tokens = [login(here, password=one).json["access_token"] for _ in range(3)]
    assert [alive(here, token) for token in tokens] == [False, False, True]
    assert alive(here, kept)


def test_a_session_without_end_ends_with_the_session_age(here: Site):
    """An app password that never expires makes ordinary sessions."""
    app = here.app_password(join(here), "sessions")
    assert here.http.get(SESSION, headers=bearer(app)).json["expires_in"] == 0
    assert login(here, password=app).json["expires_in"] == 1209600


@proves("S-076")
@pytest.mark.parametrize("scope", ["webdav", "metrics", "read", "read sessions", "sessions:false *", "write"])
def test_without_scope_sessions_it_does_not_sign_in(here: Site, scope: str):
    """As password it is a wrong one; in the header it is told 403; nothing is made."""
    app = here.app_password(join(here), scope)
    answer = login(here, password=app)
    assert (answer.status_code, answer.json) == (401, WRONG)
    for method in ("POST", "GET", "DELETE"):
        refused = here.http.open(SESSION, method=method, headers=bearer(app))
        assert (refused.status_code, refused.json) == (403, DENIED)
    assert [living.token.is_app_password for living in here.server.token_lists.all()] == [True]


def test_somebody_elses_does_not_sign_in(here: Site):
    """Nor one whose check character is wrong, nor one that nobody has."""
    app = here.app_password(join(here), "*")
    join(here, "bob")
    unknown = credentials.new_app_password(here.server.random)
    for name, password in (
        ("bob", app),
        ("nobody", app),
        ("jane", app[:26] + ("A" if app[26] != "A" else "B")),
        ("jane", unknown),
    ):
        answer = login(here, name, password)
        assert (answer.status_code, answer.json) == (401, WRONG)


def test_an_ordinary_password_may_look_like_one(here: Site):
    """What has the form and is none is tried as the account's password."""
    password = credentials.new_app_password(here.server.random)
    join(here, password=password)
    assert login(here, password=password).json["provider"] == "local"


@proves("S-065")
def test_it_meets_the_same_throttle(here: Site):
    """Right ones cost nothing; after ten wrong tries it is not looked at either."""
    app = here.app_password(join(here), "sessions")
    assert [login(here, password=app).status_code for _ in range(12)] == [200] * 12
    for _ in range(10):
        assert login(here, password=credentials.new_app_password(here.server.random)).status_code == 401
    assert login(here, password=app).status_code == 429


# ---- in the header
def test_it_gets_sessions_from_the_header(here: Site):
    """A new one each time, with and without a body; the ten newest live."""
    app = here.app_password(join(here), "sessions")
    tokens = [session_from(here, app) for _ in range(10)]
    tokens.append(here.http.post(SESSION, json={}, headers={"X-Auth-Token": app}).json["access_token"])
    assert len({*tokens, app}) == 12
    assert [alive(here, token) for token in tokens] == [False] + [True] * 10


def test_its_session_is_answered_as_it_is(here: Site):
    """POST without credentials makes no session of a session."""
    child = session_from(here, here.app_password(join(here), "sessions"))
    assert session_from(here, child) == child


def test_use_is_noted(here: Site):
    """On the app password, at most once in 60 seconds; what is made with it counts as use."""
    app = here.app_password(join(here), "sessions")
    made = here.server.tokens.by_identifier(app)
    here.clock.advance(1000)
    child = session_from(here, app)
    used = here.server.tokens.by_identifier(app)
    assert (made.last_active, used.last_active) == (0, here.clock())
    here.clock.advance(59)
    for token in (app, child):
        assert alive(here, token)
        assert here.server.tokens.by_identifier(token).last_active == here.clock() - 59


# ---- its end
@proves("S-078")
@pytest.mark.parametrize("how", ["presented", "by its owner", "by session", "expired", "disabled", "by an admin"])
def test_its_end_is_the_end_of_its_sessions(here: Site, how: str):
    """At once, whoever ends it; the owner's own sessions live on unless the account is closed."""
    user = join(here)
    owner = signed_in(here)
    app = app_password(here, owner, expires_in="3600").json["access_token"]
    held = [session_from(here, app), app]
    ref_id = here.server.tokens.by_identifier(app).ref_id
    if how == "presented":
        assert here.http.post("/api/v1/oauth/revoke", data={"token": app}).status_code == 200
    elif how == "by its owner":
        answer = here.http.post("/api/v1/oauth/revoke", json={"token": ref_id}, headers=bearer(owner))
        assert answer.json == {"status": "deleted", "session_id": credentials.digest(app).hex()}
    elif how == "by session":
        assert here.http.delete(SESSION, headers=bearer(app)).status_code == 200
    elif how == "expired":
        here.clock.advance(3600)
    elif how == "disabled":
        here.server.users.change(user.uid, Changes(enabled=False))
    else:
        join(here, "root", role="admin")
        here.http.delete(f"/api/v1/sessions/{ref_id}", headers=bearer(signed_in(here, "root")))
    assert [alive(here, token) for token in held] == [False, False]
    assert login(here, password=app).status_code == 401
    assert alive(here, owner) == (how != "disabled")


@proves("S-078")
def test_no_session_slips_through_while_it_is_removed(here: Site):
    """Logins that race with the removal end, or never begin."""
    user = join(here)

    def ask(app: str) -> str | None:
        answer = HttpClient(here.application).post(SESSION, headers=bearer(app))
        return answer.json["access_token"] if answer.status_code == 200 else None

    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            app = here.app_password(user, "sessions")
            asked = [pool.submit(ask, app) for _ in range(3)]
            here.server.tokens.revoke(here.server.tokens.by_identifier(app))
            made = [token for token in (one.result() for one in asked) if token]
            assert not any(alive(here, token) for token in made)


def test_it_outlives_a_new_password(here: Site):
    """And so do its sessions (photoprism-contract section 11)."""
    user = join(here)
    app = here.app_password(user, "sessions")
    child = login(here, password=app).json["access_token"]
    here.server.users.change(user.uid, Changes(password="Other-whale-43-sings"))
    assert alive(here, app)
    assert alive(here, child)


@proves("S-077")
def test_it_ends_nothing_but_itself(here: Site):
    """It names neither another app password nor a login of its owner."""
    user = join(here)
    app, other = here.app_password(user, "*"), here.app_password(user, "*")
    owner = signed_in(here)
    for holder in (app, session_from(here, app)):
        for token in (other, owner):
            known = here.server.tokens.by_identifier(token)
            for name in (known.ref_id, known.session_id):
                revoked = here.http.post("/api/v1/oauth/revoke", data={"token": name}, headers=bearer(holder))
                assert revoked.status_code == 403
                deleted = here.http.delete(f"{SESSION}/{name}", headers=bearer(holder))
                assert (deleted.status_code, deleted.json) == (403, DENIED)
            assert alive(here, token)


@proves("S-076")
def test_admins_app_password_reaches_no_admin_api(here: Site):
    """Not even with `*`, nor does its session."""
    app = here.app_password(join(here, role="admin"), "*")
    for token in (app, session_from(here, app)):
        assert here.http.get("/api/v1/admin/keys", headers=bearer(token)).status_code == 403
