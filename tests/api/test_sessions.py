"""Sessions as a whole: the list for admins, ids of both forms, how long they live, how rarely their use is written."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.domain.users import Changes
from tests import proves
from tests.people import SESSION, alive, bearer, join, login, signed_in
from tests.servers.auth_server import running
from tests.servers.statements import traced
from tests.servers.visitors import Visitor
from tests.sites import Site, site

SESSIONS = "/api/v1/sessions"
DENIED = {"code": 403, "error": "Permission denied"}
NOT_IN = {"code": 401, "error": "Please log in to your account"}
NOT_FOUND = {"code": 404, "error": "Not found"}
UNABLE = {"code": 400, "error": "Unable to do that"}
DAY = 86400


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


def ref_id(here: Site, token: str) -> str:
    """The short name of a token."""
    return here.server.tokens.by_identifier(token).ref_id


def ls(here: Site, token: str, query: str = "") -> TestResponse:
    """Ask for everybody's sessions."""
    return here.http.get(f"{SESSIONS}?{query}", headers=bearer(token))


def ids(answer: TestResponse) -> list[str]:
    """The ref ids on a list."""
    assert answer.status_code == 200, answer.data
    return [entry["ID"] for entry in answer.json]


# ---- the list
def test_admins_see_all_kinds(here: Site):
    """Sessions, app passwords, clients' tokens, the newest first, with the members of the other list."""
    join(here, "root", role="admin")
    jane = join(here)
    made = []
    for make in (
        lambda: signed_in(here),
        lambda: here.app_password(jane, "sessions"),
        lambda: here.http.post(SESSION, headers=bearer(made[1])).json["access_token"],
        lambda: here.token("metrics"),
        lambda: signed_in(here, "root"),
    ):
        made.append(make())
        here.clock.advance(1)
    answer = ls(here, made[-1])
    assert ids(answer) == [ref_id(here, token) for token in reversed(made)]
    kinds = [(entry["AuthProvider"], entry["AuthMethod"], entry["UserName"]) for entry in answer.json]
    assert kinds == [
        ("local", "default", "root"),
        ("client", "oauth2", ""),
        ("application", "session", "jane"),
        ("application", "default", "jane"),
        ("local", "default", "jane"),
    ]
    own = here.http.get(f"/api/v1/users/{jane.uid}/sessions?count=9", headers=bearer(made[0])).json
    assert own == [answer.json[3]]
    assert answer.json[1]["ClientUID"].startswith("c")
    assert answer.json[1]["ClientName"] == "test"
    assert answer.json[4]["Timeout"] == 604800
    assert {answer.headers[f"X-{name}"] for name in ("Count", "Limit", "Offset")} == {"5", "100", "0"}
    for token in made:
        assert token not in answer.text
        assert here.server.tokens.by_identifier(token).session_id not in answer.text


def test_what_is_over_is_not_listed(here: Site):
    """Signed out, expired, idle, of somebody disabled: at once."""
    join(here, "root", role="admin")
    jane, bob = join(here), join(here, "bob")
    out = signed_in(here)
    for make in (lambda: here.session(jane), lambda: signed_in(here, "bob"), lambda: here.app_password(bob, "*")):
        make()
    here.http.delete(SESSION, headers=bearer(out))
    here.server.users.change(bob.uid, Changes(enabled=False))
    here.clock.advance(7 * DAY - 1)
    signed_in(here)
    here.clock.advance(7 * DAY)
    root = signed_in(here, "root")
    assert ids(ls(here, root)) == [ref_id(here, root)]


@pytest.mark.parametrize(
    ("query", "expected", "headers"),
    [
        ("count=2", [4, 3], ("2", "2", "0")),
        ("count=2&offset=3", [1, 0], ("2", "2", "3")),
        ("offset=4", [0], ("1", "100", "4")),
        ("count=100000", [4, 3, 2, 1, 0], ("5", "1000", "0")),
        ("q=jane", [2, 0], ("2", "100", "0")),
        ("q=JAN&count=1&offset=1", [0], ("1", "1", "1")),
        ("q=all", [4, 3, 2, 1, 0], ("5", "100", "0")),
        ("q=app", [2], ("1", "100", "0")),
        ("q=client", [3], ("1", "100", "0")),
        ("q=%25", [], ("0", "100", "0")),
        ("q=j_ne", [], ("0", "100", "0")),
        ("q=jane%25", [], ("0", "100", "0")),
        ("q=' OR 1=1 --", [], ("0", "100", "0")),
        ("unknown=1", [4, 3, 2, 1, 0], ("5", "100", "0")),
    ],
)
@proves("S-129")
def test_pages_and_searches(here: Site, query: str, expected: list[int], headers: tuple[str, ...]):
    """By count and offset, and by the beginning of a name; a search is data."""
    join(here, "root", role="admin")
    jane, _ = join(here), join(here, "bob")
    made = []
    for make in (
        lambda: signed_in(here),
        lambda: signed_in(here, "bob"),
        lambda: here.app_password(jane, "sessions"),
        lambda: here.token("metrics"),
        lambda: signed_in(here, "root"),
    ):
        made.append(make())
        here.clock.advance(1)
    answer = ls(here, made[4], query)
    assert ids(answer) == [ref_id(here, made[number]) for number in expected]
    assert tuple(answer.headers[f"X-{name}"] for name in ("Count", "Limit", "Offset")) == headers


@pytest.mark.parametrize("what", ["ID", "session_id", "UserUID", "ClientUID"])
def test_an_identifier_finds_what_it_names(here: Site, what: str):
    """Ref id, session id, uid, client_id."""
    jane = join(here)
    join(here, "root", role="admin")
    root = signed_in(here, "root")
    wanted = here.token("metrics") if what == "ClientUID" else signed_in(here)
    for _ in range(3):
        here.token("metrics")
    token = here.server.tokens.by_identifier(wanted)
    name = {"ID": token.ref_id, "session_id": token.session_id, "UserUID": jane.uid, "ClientUID": token.client_id}[what]
    assert ids(ls(here, root, f"q={name}")) == [token.ref_id]


@proves("S-129")
@pytest.mark.parametrize(
    "query",
    [
        *("count=0", "count=-1", "count=1000000000", "count=100001", "count=x", "count=", "count=1e3", "count=0x10"),
        *("offset=-1", "offset=1000000000", "offset=x", "offset=", "count=1&count=1", "q=%00", "q=%FF"),
    ],
)
def test_absurd_pages_are_refused(here: Site, query: str):
    """Nothing is read for them."""
    join(here, "root", role="admin")
    answer = ls(here, signed_in(here, "root"), query)
    assert (answer.status_code, answer.json) == (400, UNABLE)


@proves("S-126", "S-079")
def test_nobody_else_sees_the_list(here: Site):
    """No token, a user, a guest, an admin's app password and its session, a client with role admin."""
    root, jane = join(here, "root", role="admin"), join(here)
    join(here, "gus", role="guest")
    client = here.server.clients.add({"scope": "sessions", "role": "admin", "owner_uid": root.uid, "client_name": "x"})
    form = {"grant_type": "client_credentials", "client_id": client.client.client_id, "client_secret": client.secret}
    app = here.app_password(root, "*")
    tokens = {
        "user": signed_in(here),
        "guest": signed_in(here, "gus"),
        "app password": app,
        "its session": here.http.post(SESSION, headers=bearer(app)).json["access_token"],
        "user's app password": here.app_password(jane, "*"),
        "client": here.token("*"),
        "admin client": here.http.post("/api/v1/oauth/token", data=form).json["access_token"],
        "admin scope": here.token("admin:*"),
    }
    for who, token in tokens.items():
        for query in ("", "count=5", "q=root"):
            answer = ls(here, token, query)
            assert (answer.status_code, answer.json) == (403, DENIED), who
    for token in ("", "0" * 48):
        answer = ls(here, token)
        assert (answer.status_code, answer.json) == (401, NOT_IN)


# ---- one session by its ids
def test_admins_end_what_they_name_with_its_children(here: Site):
    """By ref id, at both paths; everything else by no form of id."""
    join(here, "root", role="admin")
    app = here.app_password(join(here), "sessions")
    held = [app, *(here.http.post(SESSION, headers=bearer(app)).json["access_token"] for _ in range(3))]
    root = bearer(signed_in(here, "root"))
    named = here.server.tokens.by_identifier(app)
    for path in (f"{SESSION}/{named.session_id}", f"{SESSIONS}/{named.session_id}", f"{SESSIONS}/{app}"):
        answer = here.http.delete(path, headers=root)
        assert (answer.status_code, answer.json) == (403, DENIED)
    assert [alive(here, token) for token in held] == [True] * 4
    answer = here.http.delete(f"{SESSION}/{named.ref_id}", headers=root)
    assert answer.json == {"status": "deleted", "session_id": named.session_id}
    assert [alive(here, token) for token in held] == [False] * 4


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_ref_id_that_names_nothing(here: Site, method: str):
    """404 to an admin, 403 to everybody else: for one of ours, one of PhotoPrism's, one that is over."""
    join(here, "root", role="admin")
    join(here)
    over = signed_in(here)
    name = ref_id(here, over)
    here.http.delete(SESSION, headers=bearer(over))
    idle = ref_id(here, signed_in(here))
    here.clock.advance(7 * DAY)
    root, jane = signed_in(here, "root"), signed_in(here)
    for unknown in ("sess00000000", "sesszzzzzzzz", "abcdefghij", "ABCDEFGHIJKLMN", name, idle):
        for path in (SESSION, SESSIONS):
            answer = here.http.open(f"{path}/{unknown}", method=method, headers=bearer(root))
            assert (answer.status_code, answer.json) == (404, NOT_FOUND), unknown
            answer = here.http.open(f"{path}/{unknown}", method=method, headers=bearer(jane))
            assert (answer.status_code, answer.json) == (403, DENIED), unknown


def test_admins_have_no_more_right_to_foreign_session_ids(here: Site):
    """Whatever it names, and if it names nothing."""
    join(here, "root", role="admin")
    join(here)
    other = login(here).json["session_id"]
    root = bearer(signed_in(here, "root"))
    for identifier in (other, "0" * 64):
        for method in ("GET", "DELETE"):
            answer = here.http.open(f"{SESSIONS}/{identifier}", method=method, headers=root)
            assert (answer.status_code, answer.json) == (403, DENIED)


def test_an_app_password_reads_and_ends_itself_by_its_id(here: Site):
    """Where its scope covers `sessions`; it names nothing else, not even a session made with it."""
    app = here.app_password(join(here), "sessions")
    named = here.server.tokens.by_identifier(app)
    child = here.http.post(SESSION, headers=bearer(app)).json
    own = here.http.get(f"{SESSIONS}/{named.session_id}", headers=bearer(app)).json
    assert (own["access_token"], own["session_id"], own["expires_in"]) == (app, named.session_id, 0)
    for identifier in (child["session_id"], ref_id(here, child["access_token"]), named.ref_id):
        answer = here.http.delete(f"{SESSIONS}/{identifier}", headers=bearer(app))
        assert (answer.status_code, answer.json) == (403, DENIED)
    answer = here.http.delete(f"{SESSIONS}/{named.session_id}", headers=bearer(app))
    assert answer.json == {"status": "deleted", "session_id": named.session_id}
    assert not alive(here, child["access_token"])


def test_what_is_over_is_nobody(here: Site):
    """Expired, idle, signed out: 401 with the same body at every endpoint."""
    join(here)
    tokens = [signed_in(here), here.session(here.server.users.find("jane"))]
    here.clock.advance(7 * DAY)
    for token in tokens:
        for method, path in (
            ("GET", SESSION),
            ("DELETE", SESSION),
            ("GET", SESSIONS),
            ("GET", f"{SESSIONS}/{'0' * 64}"),
        ):
            answer = here.http.open(path, method=method, headers=bearer(token))
            assert (answer.status_code, answer.json) == (401, NOT_IN)


# ---- how long it lives
@pytest.mark.parametrize("kind", ["password", "app password"])
@pytest.mark.parametrize(
    ("ttl", "idle", "steps", "lives"),
    [
        (1000, 200, [199, 199, 199], [True, True, True]),
        (1000, 200, [199, 200], [True, False]),
        (300, 200, [199, 100, 1], [True, True, False]),
        (300, 2000, [299, 1], [True, False]),
    ],
)
def test_age_and_idle_time_both_count(
    tmp_path: Path, kind: str, ttl: int, idle: int, steps: list[int], lives: list[bool]
):
    """Whichever comes first ends it; use moves the one and not the other."""
    here = site(tmp_path, signing_algs=["ES256"], session_ttl=ttl, session_idle=idle)
    app = here.app_password(join(here), "sessions")
    token = login(here, password=app).json["access_token"] if kind == "app password" else signed_in(here)
    assert here.http.get(SESSION, headers=bearer(token)).json["expires_in"] == ttl
    for seconds, lived in zip(steps, lives, strict=True):
        here.clock.advance(seconds)
        assert alive(here, token) == lived


@contextmanager
def commits(file: Path) -> Iterator[Callable[[], int]]:
    """Count the transactions that have changed a SQLite file since one was asked for last."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        last = connection.execute("PRAGMA data_version").fetchone()[0]

        def count() -> int:
            nonlocal last
            now = connection.execute("PRAGMA data_version").fetchone()[0]
            moved, last = now - last, now
            return int(moved)

        yield count


def test_use_is_written_at_most_once_a_minute(here: Site):
    """However often a session is used; nothing is written where it is only looked at."""
    join(here)
    token = signed_in(here)
    home = here.server.settings.home
    with commits(home / "state.db") as state, commits(home / "records.db") as records:
        written = []
        for _ in range(5):
            for _ in range(20):
                assert alive(here, token)
            here.clock.advance(30)
            written.append(bool(state()))
        assert written == [False, False, True, False, True]
        assert records() == 0


def test_use_of_an_app_password_is_written_at_most_once_a_minute(here: Site):
    """By itself and by its sessions together."""
    user = join(here)
    app = here.app_password(user, "sessions")
    children = [here.http.post(SESSION, headers=bearer(app)).json["access_token"] for _ in range(3)]
    file = here.server.settings.home / "records.db"
    with commits(file) as records:
        written = []
        for _ in range(4):
            for token in (*children, app):
                assert alive(here, token)
            written.append(records())
            here.clock.advance(30)
        assert written == [0, 0, 1, 0]


# ---- how little it costs
def test_a_session_by_app_password_is_one_transaction(tmp_path: Path):
    """In the short-lived state; the app password is read twice, before and after, and nothing waits for the disk."""
    with traced() as statements:
        here = site(tmp_path, signing_algs=["ES256"])
        app = here.app_password(join(here), "sessions")
        assert here.http.post(SESSION, headers=bearer(app)).status_code == 200  # its use is noted
        home = here.server.settings.home
        with commits(home / "state.db") as state, commits(home / "records.db") as records:
            statements.clear()
            assert here.http.post(SESSION, headers=bearer(app)).status_code == 200
            assert (state(), records()) == (1, 0)
            assert len(statements.reads("stored_tokens")) == 2
            assert statements.reads("users", "clients", "entries") == []
            assert login(here, password=app).status_code == 200
            assert records() == 1  # the audit event


# ---- everywhere
@proves("S-078")
def test_the_end_of_an_app_password_reaches_every_worker(tmp_path: Path):
    """Its sessions, used by all workers the moment before, are dead for all of them when the answer is out."""
    with running(tmp_path / "served") as server:
        visitor = Visitor(server)
        jane = visitor.user()
        session = visitor.session(jane)
        form = {"grant_type": "password", "username": jane.name, "password": "Blue-whale-42-sings"}
        for _ in range(5):
            made = visitor.post(
                "/api/v1/oauth/token", {**form, "client_name": "Phone", "scope": "sessions"}, bearer=session
            )
            app = made.json["access_token"]
            held = [app, visitor.call("POST", SESSION, bearer=app).json["access_token"]]

            def ask(held: list[str] = held) -> list[int]:
                return [visitor.call("GET", SESSION, bearer=token).status for token in held]

            assert visitor.everywhere(ask) == [[200, 200]] * 8
            named: list[dict[str, Any]] = visitor.call(
                "GET", f"/api/v1/users/{jane.uid}/sessions?count=9", bearer=session
            ).json
            assert visitor.post("/api/v1/oauth/revoke", {"token": named[0]["ID"]}, bearer=session).status == 200
            visitor.move()
            assert visitor.everywhere(ask) == [[401, 401]] * 8
            visitor.move()
