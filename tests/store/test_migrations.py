"""The migrations bring every store to exactly the tables, from empty and with what an older version wrote."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, column, event, insert, table, text

from auth_server.errors import AuthServerError
from auth_server.store import engine, schema
from auth_server.store.records import Client, StoredToken, User
from auth_server.store.schema import History
from auth_server.store.server_database import server_database
from auth_server.store.sql_records import SqlRecords
from auth_server.store.state import Entry, Index, Keep, Kind, OnceKey, Rate, State
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.processes import until
from tests.store.conformance.state import EVERYTHING, NOW, TOKEN, an_entry
from tests.store.opening import migrated

HISTORIES = pytest.mark.parametrize("history", [schema.RECORDS, schema.STATE], ids=lambda history: history.name)
TOGETHER = (schema.RECORDS, schema.SHARED_STATE)  # in one database
SERVERS = pytest.mark.parametrize("server", ["postgresql_server", "mariadb_server"])
MOST = 2  # entries under a limit


def upgrade_to(store: Engine, history: History, number: str) -> None:
    """Run the migrations up to one of them."""
    from alembic import command

    with engine.writing(store) as connection:
        command.upgrade(schema._config(connection, history), number)


def write(connection: Connection, name: str, /, **values: object) -> None:
    """Write a row as an older version did, which knew these columns."""
    connection.execute(insert(table(name, *map(column, values))), values)


def state_in(store: Engine) -> State:
    """Return the short-lived state in a server database."""
    database = server_database(store)
    assert database is not None
    return database.state()


@HISTORIES
def test_an_empty_store_becomes_the_tables(tmp_path: Path, history: History) -> None:
    """After the upgrade Alembic finds nothing to change."""
    store = engine.create(f"sqlite:///{tmp_path}/store.db")
    assert not schema.is_current(store, history)
    assert list(tmp_path.iterdir()) == []  # asking makes no file
    assert schema.upgrade(store, history)
    assert schema.is_current(store, history)
    assert schema.differences(store, history) == []
    assert not schema.upgrade(store, history)


@SERVERS
def test_a_server_becomes_the_tables(tmp_path: Path, request: pytest.FixtureRequest, server: str) -> None:
    """The same on PostgreSQL and MariaDB, where durable records and short-lived state share a database."""
    store = engine.create(request.getfixturevalue(server).create(f"migrations_{tmp_path.name}"))
    for history in TOGETHER:
        schema.upgrade(store, history)
    for history in TOGETHER:
        assert schema.differences(store, history) == []
    store.dispose()


@pytest.mark.parametrize("server", ["sqlite", "postgresql_server", "mariadb_server"])
def test_filled_records_keep_what_they_hold(tmp_path: Path, request: pytest.FixtureRequest, server: str) -> None:
    """Rows written at the first version are there, and readable, at the newest one."""
    url = f"sqlite:///{tmp_path}/store.db"
    if server != "sqlite":
        url = request.getfixturevalue(server).create(f"migrations_{tmp_path.name}")
    store = engine.create(url)
    upgrade_to(store, schema.RECORDS, "0001")
    with engine.writing(store) as connection:
        for name, row in _RECORDS_OF_0001.items():
            write(connection, name, **row)
    schema.upgrade(store, schema.RECORDS)
    assert schema.differences(store, schema.RECORDS) == []
    records = SqlRecords(store)
    user, client = records.users.get("ut0000000000000a"), records.clients.get("svc")
    assert isinstance(user, User)
    assert user.name == "jane"
    assert isinstance(client, Client)
    assert client.scope == "metrics"
    assert records.tokens.get(b"k" * 32) == StoredToken(b"k" * 32, None, b"\0data", subject="ut0000000000000a")
    assert [key.kid for key in records.keys.all()] == ["kid"]
    assert records.generation() == 1
    store.dispose()


@SERVERS
def test_filled_state_keeps_what_it_holds(tmp_path: Path, request: pytest.FixtureRequest, server: str) -> None:
    """What was put at the first version can be found, redeemed, displaced and revoked at the newest; nothing else."""
    store = engine.create(request.getfixturevalue(server).create(f"migrations_{tmp_path.name}"))
    schema.upgrade(store, schema.RECORDS)
    upgrade_to(store, schema.SHARED_STATE, "0001")
    tokens = [an_entry(data=b"%d" % number) for number in range(3)]
    other = an_entry(expires_at=None, client_id="other", subject=None, family=None)
    unused, used = an_entry(), an_entry()
    with engine.writing(store) as connection:
        for entry in (*tokens, other):
            write(connection, "state_entries", **_columns(TOKEN, entry))
        write(connection, "state_entries", **_columns(Kind.CODE, unused))
        write(connection, "state_entries", taken_at=NOW, **_columns(Kind.CODE, used))
        write(connection, "state_spent", key=b"jti", expires_at=NOW + 60)
        write(connection, "state_throttles", bucket=b"bucket", full_at=NOW + 600)
    schema.upgrade(store, schema.SHARED_STATE)
    assert schema.differences(store, schema.SHARED_STATE) == []
    state = state_in(store)
    assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [other, *tokens[::-1]]
    taken = [state.take(Kind.CODE, code.key, "client", NOW) for code in (unused, used)]
    assert [one and (one.entry, one.first) for one in taken] == [(unused, True), (used, False)]
    once = OnceKey(b"jti", NOW + 60)
    assert state.spend([once], NOW) == once
    assert not state.draw("bucket", 1, Rate(10, 60), NOW).allowed
    newest = an_entry()
    state.put(TOKEN, newest, NOW, keep=Keep(Index.CLIENT, MOST))
    assert state.find(TOKEN, Index.CLIENT, "client", EVERYTHING, NOW) == [newest, tokens[-1]]
    assert state.revoke(Index.KEY, tokens[-1].key.hex()) == 1
    assert [state.get(TOKEN, entry.key, NOW) for entry in (tokens[-1], newest, other)] == [None, newest, other]
    state.close()
    store.dispose()


def _columns(kind: Kind, entry: Entry) -> Mapping[str, object]:
    """An entry as the first version wrote it."""
    return {
        "kind": int(kind),
        "key": entry.key,
        "expires_at": entry.expires_at,
        "data": entry.data,
        "client_id": entry.client_id and entry.client_id.encode(),
        "subject": entry.subject and entry.subject.encode(),
        "family": entry.family,
    }


def test_limits_hold_while_their_functions_are_replaced(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    """Nobody who puts meanwhile is refused, and who is in the old function takes turns with who is in the new one."""
    store = engine.create(migrated(postgresql_server.create(f"migrations_{tmp_path.name}"), schema.RECORDS))
    upgrade_to(store, schema.SHARED_STATE, "0001")
    state = state_in(store)
    over, puts = threading.Event(), list[str]()

    def put(client_id: str) -> None:
        state.put(TOKEN, an_entry(client_id=client_id), NOW, keep=Keep(Index.CLIENT, MOST))
        puts.append(client_id)

    def living(client_id: str) -> int:
        return len(state.find(TOKEN, Index.CLIENT, client_id, EVERYTHING, NOW))

    def put_on() -> None:
        while not over.is_set():
            put("busy")

    def look_on() -> set[int]:
        seen = set[int]()
        while not over.is_set():
            seen.add(living("busy"))
        return seen

    def goes_on() -> None:
        enough = len(puts) + 50
        until(lambda: len(puts) >= enough)

    def waits() -> bool:
        with engine.reading(store) as connection:
            return bool(connection.execute(text(_WAITING)).scalar_one())

    for _ in range(MOST):
        put("slow")
        put("busy")
    with ThreadPoolExecutor(4) as pool:
        putting, looking = [pool.submit(put_on) for _ in range(3)], pool.submit(look_on)
        try:
            goes_on()
            with engine.writing(store) as in_the_old:
                in_the_old.execute(text(_PUT_BY_0001), {"key": b"in the old function"})
                upgrade_to(store, schema.SHARED_STATE, "0003")
                goes_on()
                over.set()
                for one in putting:
                    one.result()
                late = pool.submit(put, "slow")
                until(waits)
            late.result()
        finally:
            over.set()
    assert looking.result() == {MOST}
    assert living("slow") == MOST
    state.close()
    store.dispose()


@HISTORIES
def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path, history: History) -> None:
    """Neither asking nor upgrading takes it for an old one; the sentence says which version it is of."""
    store = engine.create(f"sqlite:///{tmp_path}/store.db")
    schema.upgrade(store, history)
    with engine.writing(store) as connection:
        connection.execute(text(f"UPDATE {history.version_table} SET version_num = '0999'"))
    for act in (schema.is_current, schema.upgrade):
        with pytest.raises(AuthServerError, match=r"newer version \(0999\); use that version"):
            act(store, history)


@SERVERS
def test_replicas_that_start_together_migrate_once(tmp_path: Path, request: pytest.FixtureRequest, server: str) -> None:
    """Three upgrades of one empty database at once: all end well."""
    url = request.getfixturevalue(server).create(f"migrations_{tmp_path.name}")

    def start(_: int) -> list[str | None]:
        store = engine.create(url)
        for history in TOGETHER:
            schema.upgrade(store, history)
        found = [schema.version(store, history) for history in TOGETHER]
        store.dispose()
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [[history.head for history in TOGETHER]] * 3


@pytest.mark.parametrize(
    ("history", "row"),
    [(schema.RECORDS, "generation"), (schema.SHARED_STATE, "state_marks")],
    ids=lambda one: one.name if isinstance(one, History) else "",
)
def test_a_migration_that_was_killed_is_finished(
    tmp_path: Path, mariadb_server: MariaDB, history: History, row: str
) -> None:
    """MariaDB keeps what was made before; whatever the statement, the next upgrade goes on from there."""
    store = engine.create(mariadb_server.create(f"migrations_{tmp_path.name}"))
    attempts = left = 0

    @event.listens_for(store, "before_cursor_execute")
    def _die(*arguments: Any) -> None:
        nonlocal left
        if str(arguments[2]).lstrip().startswith(("CREATE", "ALTER", "INSERT", "UPDATE")):
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

    while schema.version(store, history) != history.head and attempts < 100:
        attempts += 1
        left = 3  # rows, the version, and what commits them
        with suppress(KeyboardInterrupt):
            schema.upgrade(store, history)
    assert attempts > 5
    assert schema.differences(store, history) == []
    with engine.reading(store) as connection:
        assert connection.execute(text(f"SELECT number FROM {row}")).scalar_one() == 1
    store.dispose()


_WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""
_PUT_BY_0001 = f"SELECT state_put_among_client_id({int(TOKEN)}, :key, NULL, 'x', 'slow', NULL, NULL, {MOST}, {NOW})"
_RECORDS_OF_0001: Mapping[str, Mapping[str, object]] = {
    "users": {
        "uid": "ut0000000000000a",
        "name": "jane",
        "role": "user",
        "email": "",
        "email_verified": False,
        "display_name": "Jane",
        "claims": "{}",
        "enabled": True,
        "super_admin": False,
        "password_hash": "x",
        "password_version": 1,
        "must_change_password": False,
        "created_at": 1,
        "updated_at": 1,
    },
    "clients": {
        "client_id": "svc",
        "client_name": "Service",
        "enabled": True,
        "owner_uid": "ut0000000000000a",
        "role": "client",
        "secrets": "[]",
        "token_endpoint_auth_method": "client_secret_basic",
        "strict_auth_method": False,
        "grant_types": '["client_credentials"]',
        "response_types": "[]",
        "redirect_uris": "[]",
        "post_logout_redirect_uris": "[]",
        "scope": "metrics",
        "audience": "[]",
        "resource": "[]",
        "token_format": "opaque",
        "token_limit": 10,
        "jwks_uri": "",
        "require_par": False,
        "require_dpop": False,
        "first_party": False,
        "metadata": "{}",
        "created_at": 1,
        "updated_at": 1,
    },
    "stored_tokens": {"key": b"k" * 32, "subject": "ut0000000000000a", "data": b"\0data"},
    "signing_keys": {
        "kid": "kid",
        "alg": "ES256",
        "status": "active",
        "public_jwk": "{}",
        "sealed": b"sealed",
        "created_at": 1,
        "published_at": 1,
    },
}
