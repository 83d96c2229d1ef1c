"""Lists of what counts: order, pages, what a text finds, and how little is read for it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from auth_server.domain import token_lists
from auth_server.domain.users import Changes
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import User
from auth_server.store.state import Index, Page
from tests import proves
from tests.people import SESSION, bearer, join, signed_in
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.servers.statements import Statements, plan, traced
from tests.sites import Site, site

PAGE = Page()


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A server."""
    return site(tmp_path, signing_algs=["ES256"])


def ref_ids(here: Site, *tokens: str) -> list[str]:
    """The names of tokens."""
    return [here.server.tokens.by_identifier(token).ref_id for token in tokens]


def found(here: Site, search: str = "", page: Page = PAGE) -> list[str]:
    """The names of what a search finds."""
    return [living.token.ref_id for living in here.server.token_lists.page(search, page)]


def app_password(here: Site, user: User, name: str) -> str:
    """An app password with a name."""
    allowed = Authorization("application", "default", "cli", "sessions", None, user=user, form="app_password")
    return issue(replace(allowed, client_name=name), here.server).value


def child(here: Site, app: str) -> str:
    """A session made with an app password."""
    token: str = here.http.post(SESSION, headers=bearer(app)).json["access_token"]
    return token


def client_token(here: Site, name: str, client_id: str = "") -> str:
    """A token of a client that was just registered."""
    values = {"client_name": name, "scope": "metrics"} | ({"client_id": client_id} if client_id else {})
    client = here.server.clients.add(values).client
    allowed = Authorization("client", "oauth2", "client_credentials", "metrics", 3600, client, client_name=name)
    return issue(allowed, here.server).value


def several(here: Site) -> dict[str, str]:
    """A token of each kind, each made a second after the one before."""
    jane, bob = join(here), join(here, "bob")
    makers = {
        "login": lambda: signed_in(here),
        "app": lambda: app_password(here, jane, "Backup"),
        "bob": lambda: signed_in(here, "bob"),
        "client": lambda: client_token(here, "Grafana", "svc"),
        "child": lambda: child(here, made["app"]),
        "bobs app": lambda: app_password(here, bob, "Phone"),
    }
    made: dict[str, str] = {}
    for name, make in makers.items():
        here.clock.advance(1)
        made[name] = make()
    return made


def test_all_kinds_stand_in_one_list(here: Site) -> None:
    """The newest first, whichever store keeps them, and page by page."""
    tokens = ref_ids(here, *reversed(several(here).values()))
    assert found(here) == found(here, "all") == tokens
    assert [found(here, page=Page(2, offset)) for offset in (0, 2, 4, 6)] == [tokens[:2], tokens[2:4], tokens[4:], []]
    assert found(here, page=Page(4, 1)) == tokens[1:5]


def test_what_does_not_count_takes_no_room(here: Site) -> None:
    """Expired, idle, of an older password, of somebody disabled: neither shown nor counted as offset."""
    jane, bob, tim = join(here), join(here, "bob"), join(here, "tim")
    signed_in(here, "tim")
    here.clock.advance(here.server.settings.session_idle)
    oldest, _, _ = app_password(here, jane, "x"), signed_in(here), signed_in(here, "bob")
    here.server.users.change(jane.uid, Changes(password="Other-whale-43-sings"))
    here.server.users.change(bob.uid, Changes(enabled=False))
    here.clock.advance(1)
    newest = here.session(tim)
    assert found(here, page=Page(1, 0)) == ref_ids(here, newest)
    assert found(here, page=Page(1, 1)) == ref_ids(here, oldest)
    assert found(here, page=Page(1, 2)) == []
    here.clock.advance(3600)
    assert found(here) == ref_ids(here, oldest)


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("jane", ["child", "app", "login"]),
        ("JA", ["child", "app", "login"]),
        ("backup", ["child", "app"]),
        ("Phon", ["bobs app"]),
        ("Graf", ["client"]),
        ("svc", ["client"]),
        ("sv", []),
        ("b", ["bobs app", "child", "bob", "app"]),
        ("local", ["bob", "login"]),
        ("app", ["bobs app", "child", "app"]),
        ("client", ["client"]),
        ("jane@example.org", []),
        ("nobody", []),
    ],
)
@pytest.mark.parametrize("few", [20, 0])
def test_a_text_finds_by_the_beginning_of_a_name(
    here: Site, monkeypatch: pytest.MonkeyPatch, search: str, names: list[str], few: int
) -> None:
    """Of user, client, app password or provider; by an index or by looking at everything, it is the same."""
    monkeypatch.setattr(token_lists, "FEW", few)
    made = several(here)
    assert found(here, search) == ref_ids(here, *(made[name] for name in names))


def test_an_identifier_finds_what_it_names(here: Site) -> None:
    """Session id, ref id, uid, client_id: as a whole."""
    made = several(here)
    token = here.server.tokens.by_identifier(made["child"])
    assert found(here, token.ref_id) == found(here, token.session_id) == [token.ref_id]
    assert found(here, "sess00000000") == found(here, "0" * 64) == []
    uid = here.server.users.find("bob").uid
    assert found(here, uid) == ref_ids(here, made["bobs app"], made["bob"])
    assert found(here, uid[:-1]) == found(here, token.session_id[:-1]) == []


@proves("S-129")
@pytest.mark.parametrize("search", ["%", "_", "%an%", "j_ne", "' OR 1=1 --", "\\", "*", "[a-z]", "jane%", "x" * 5000])
def test_a_search_is_data(here: Site, search: str) -> None:
    """No character of it stands for others."""
    several(here)
    assert found(here, search) == []


@proves("S-129")
def test_a_page_has_an_end(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is, a bounded number of tokens is looked at."""
    monkeypatch.setattr(token_lists, "MOST", 5)
    several(here)
    assert len(found(here)) == 5
    assert found(here, "login") == []


def test_app_passwords_are_listed_by_name(here: Site) -> None:
    """One's own, without the sessions made with them; those of one name from the oldest on."""
    jane, bob = join(here), join(here, "bob")
    made = []
    for name in ("b", "C", "a", "b"):
        here.clock.advance(1)
        made.append(app_password(here, jane, name))
    child(here, made[0])
    app_password(here, bob, "a")

    def listed(search: str = "") -> list[str]:
        return [living.token.ref_id for living in here.server.token_lists.app_passwords(jane, search)]

    ordered = ref_ids(here, made[2], made[0], made[3], made[1])
    assert listed() == listed("all") == listed("ja") == ordered
    assert listed("B") == ordered[1:3]
    assert listed("%") == listed("_") == []


# ---- how much is read
@contextmanager
def crowded(folder: Path, number: int = 10_000) -> Iterator[tuple[Site, Statements]]:
    """A server with many sessions, of a hundred people, that a process which has just started looks at."""
    first = site(folder, signing_algs=["ES256"])
    people = [join(first, f"person{count}") for count in range(100)]
    join(first, "root", "admin")
    pattern = first.server.tokens.by_identifier(first.session(people[0]))
    for count in range(number):
        one = replace(pattern, key=count.to_bytes(32, "big"), subject=people[count % 100].uid)
        first.server.tokens.issue(one)
    for count in range(200):
        app_password(first, people[count % 100], f"App {count}")
    with traced() as statements:
        yield site(folder, signing_algs=["ES256"]), statements


def test_the_first_page_of_many_is_one_statement(tmp_path: Path) -> None:
    """To each store by an index, and one for the people on it; not one for each of them."""
    with crowded(tmp_path) as (here, statements):
        here.server.token_lists.page("nobody", Page(1))  # connects
        statements.clear()
        assert len(here.server.token_lists.page("", Page(100))) == 100
        tokens, stored = statements.reads("entries"), statements.reads("stored_tokens")
        assert (len(tokens), len(stored), len(statements.reads("users"))) == (1, 1, 1)
        assert len(statements.reads()) == 3 + len(statements.reads("generation"))
        home = tmp_path / "home"
        assert plan(home / "state.db", tokens[0]) == "SEARCH entries USING INTEGER PRIMARY KEY (rowid<?)"
        assert plan(home / "records.db", stored[0]) == "SEARCH stored_tokens USING INTEGER PRIMARY KEY (rowid<?)"
        statements.clear()
        last = here.server.token_lists.page("", Page(100, 10_050))
        assert len(last) == 100
        assert len(statements.reads("entries", "stored_tokens")) <= 12


def test_a_persons_tokens_are_read_by_an_index(tmp_path: Path) -> None:
    """Of a user name only theirs are looked at, however many there are of others."""
    with crowded(tmp_path) as (here, statements):
        here.server.token_lists.page("nobody", Page(1))
        statements.clear()
        living = here.server.token_lists.page("person42", Page(1000))
        assert len(living) == 102
        assert {one.user.name for one in living if one.user} == {"person42"}
        (tokens,) = statements.reads("entries")
        by_user = "SEARCH entries USING INDEX ix_entries_subject (subject=? AND rowid<?)"
        assert plan(tmp_path / "home" / "state.db", tokens) == by_user


def test_other_stores_are_asked_as_little(tmp_path: Path, postgresql_server: PostgreSQL, redis_server: Redis) -> None:
    """PostgreSQL and Redis: the same list, by as many statements and scripts for a hundred entries as for ten."""
    url = postgresql_server.create(f"lists_{tmp_path.name}")
    here = site(tmp_path, signing_algs=["ES256"], database_url=url, redis_url=redis_server.url)
    here.server.state.revoke(Index.ALL, "")
    people = [join(here, f"person{count}") for count in range(30)]
    made = []
    for count in range(150):
        here.clock.advance(1)
        one = people[count % 30]
        made.append(here.session(one) if count % 3 else app_password(here, one, "Phone"))
    expected = ref_ids(here, *made[::-1][:100])
    assert found(here, page=Page(100)) == expected  # Redis has the script now
    with asked(redis_server) as count_asked:
        for limit in (10, 100):
            here.server.users.update(people[0].uid, lambda user: user)  # no copy is left
            count_asked()
            assert found(here, page=Page(limit)) == expected[:limit]
            statements, scripts = count_asked()
            assert statements <= 5
            assert scripts == 1
    assert len(found(here, "person7")) == 5


@contextmanager
def asked(redis: Redis) -> Iterator[Callable[[], tuple[int, int]]]:
    """Count the SQL statements of this process, and Redis' scripts, since they were counted last."""
    statements: list[str] = []
    last = 0

    def note(*told: Any) -> None:
        statements.append(told[2])

    def count() -> tuple[int, int]:
        nonlocal last
        stats = redis.command("INFO", "commandstats").decode()
        scripts = sum(int(number) for number in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", stats))
        done, last = (len(statements), scripts - last), scripts
        statements.clear()
        return done

    event.listen(Engine, "before_cursor_execute", note)
    yield count
    event.remove(Engine, "before_cursor_execute", note)
