"""From an embedded store to a server database, and to Redis and back: nothing is lost, and nothing comes back."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from auth_server.cli.serve import lock_home
from auth_server.store import moving
from auth_server.store.engine import create, rows
from auth_server.store.records import Consent, RefreshFamily
from tests import proves
from tests.cli.shell import PASSWORD, Shell
from tests.cli.test_db import second_factor
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.store.conformance.records import FULL_USER


def a_name(request: pytest.FixtureRequest, worker_id: str) -> str:
    """Return a name for a database of a test's own."""
    return f"moved_{worker_id}_{request.node.name.partition('[')[0]}"[:60]


@pytest.fixture(params=["postgresql_server", "mariadb_server"])
def database(request: pytest.FixtureRequest, worker_id: str) -> str:
    """The URL of an empty database."""
    return str(request.getfixturevalue(request.param).create(a_name(request, worker_id)))


def moved(shell: Shell, database: str) -> Shell:
    """Return a shell on another machine, which has the same key-encryption key, and that database."""
    there = Shell(shell.home.parent / "there", DATABASE_URL=database)
    shutil.copytree(shell.home / "keys", there.home / "keys")
    return there


def everything(url: str) -> dict[str, list[Any]]:
    """Return all rows of all tables that are moved."""
    from sqlalchemy import select

    engine = create(url)
    found = {table.name: sorted(map(repr, rows(engine, select(table)))) for table in moving.moved_tables()}
    engine.dispose()
    return found


def fill(shell: Shell) -> tuple[str, dict[str, Any]]:
    """Put something into every table; return an app password and a client."""
    uid = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    app = shell.json("auth", "add", "jane")["app_password"]
    client = shell.json("clients", "add", "--scope", "metrics", "--auth-method", "client_secret_basic")
    shell.json("clients", "add", "--scope", "metrics", "--auth-method", "client_secret_jwt", "jane")
    shell.json("clients", "initial-token", "--uses", "9")
    records, now = shell.server.records, shell.server.clock()
    second_factor(shell.server, shell.json("users", "add", "bob", "--password", PASSWORD)["uid"])
    records.users.add(FULL_USER)
    records.consents.put(Consent(uid, client["client_id"], "openid", now, now))
    records.refresh_families.add(RefreshFamily("f" * 64, uid, client["client_id"], now, now + 99, now + 99, now, b"{}"))
    return app, client


@proves("S-138")
def test_all_records_are_moved(shell: Shell, database: str) -> None:
    """As they are; what is made there gets numbers of its own, and people and clients go on. Sessions end."""
    app, client = fill(shell)
    session = shell.login("jane")["access_token"]
    before = everything(f"sqlite:///{shell.home}/records.db")
    there = moved(shell, database)
    home = str(shell.home)
    assert there.json("db", "import", home) == {"imported": home}
    after = everything(database)
    (event,) = set(after["audit_events"]) - set(before["audit_events"])
    assert "db.import" in event
    after["audit_events"].remove(event)
    assert after == before
    assert {name for name, found in before.items() if not found} <= {"outbox", "revocations"}
    assert there.json("db", "check") == {"ok": True}
    assert there.json("keys", "ls") == shell.json("keys", "ls")
    assert there.login("jane")["status"] == "success"
    assert [there.alive(app), there.alive(session)] == [True, False]
    assert "access_token" in there.token(client["client_id"], client["client_secret"])
    there.json("users", "add", "new", "--password", PASSWORD)
    there.json("auth", "add", "new")
    assert there.run("users", "rm", "jane", "--yes").code == 0
    there.close()


def test_nothing_is_moved_to_where_records_are(shell: Shell, database: str) -> None:
    """Twice neither; all stays as it is."""
    there = moved(shell, database)
    home = str(shell.home)
    there.json("db", "import", home)
    before = everything(database)
    for target, said in ((there, "name an empty one"), (shell, "the store is embedded")):
        done = target.run("db", "import", home)
        assert (done.code, done.out) == (1, "")
        assert said in done.err
    assert everything(database) == before


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL, worker_id: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty PostgreSQL."""
    return postgresql_server.create(a_name(request, worker_id))


def test_nothing_is_moved_while_a_server_runs(shell: Shell, postgresql: str) -> None:
    """It writes, and what it has acknowledged would be lost."""
    there, home = moved(shell, postgresql), str(shell.home)
    with lock_home(shell.home):
        done = there.process("db", "import", home)
    assert (done.code, done.out) == (1, "")
    assert "another server" in done.err
    assert there.json("db", "import", home) == {"imported": home}


@proves("S-138")
def test_what_fits_no_key_or_is_no_store_is_not_moved(shell: Shell, postgresql: str, tmp_path: Path) -> None:
    """Nothing is in the database then."""
    (tmp_path / "records.db").write_bytes(b"nothing" * 1000)
    there, home = moved(shell, postgresql), str(shell.home)
    for name, given in ((str(tmp_path), {}), ("/no/such/folder", {}), (home, {"KEY_ENCRYPTION_KEY": "A" * 43 + "="})):
        done = there.run("db", "import", name, **given)
        assert (done.code, done.out) == (1, "")
        assert "Traceback" not in done.err
    assert there.json("db", "import", home) == {"imported": home}


def test_what_was_ended_with_redis_stays_so_without(shell: Shell, postgresql: str, redis_server: Redis) -> None:
    """A site that gets a Redis and gives it up again, as the documentation says: what lasts goes on all the time."""
    plain = moved(shell, postgresql)
    app = fill(shell)[0]
    plain.json("db", "import", str(shell.home))
    with_redis = Shell(plain.home, DATABASE_URL=postgresql, REDIS_URL=redis_server.url)

    def change(old: Shell, new: Shell) -> None:
        for one in (old, new):
            one.json("auth", "reset", "--keep-app-passwords", "--yes")

    sessions = [plain.login("jane")["access_token"]]
    for old, new in ((plain, with_redis), (with_redis, plain), (plain, with_redis)):
        change(old, new)
        assert [new.alive(token) for token in (app, *sessions)] == [True] + [False] * len(sessions)
        sessions.append(new.login("jane")["access_token"])
        assert new.alive(sessions[-1])
    plain.close()
    with_redis.close()
