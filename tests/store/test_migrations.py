"""The migrations bring every store to exactly the tables, from empty and with what an older version wrote."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from auth_server.errors import AuthServerError
from auth_server.store import engine, schema
from auth_server.store.records import Client, User
from auth_server.store.schema import History
from auth_server.store.sql_records import SqlRecords
from tests.servers.mariadb import MariaDB

HISTORIES = pytest.mark.parametrize("history", [schema.RECORDS, schema.STATE], ids=lambda history: history.name)
SERVERS = pytest.mark.parametrize("server", ["postgresql_server", "mariadb_server"])


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
    histories = (schema.RECORDS, schema.SHARED_STATE)
    for history in histories:
        schema.upgrade(store, history)
    for history in histories:
        assert schema.differences(store, history) == []
    store.dispose()


def test_a_filled_store_keeps_what_it_holds(tmp_path: Path) -> None:
    """Rows written at the first version are there, and readable, at the newest one."""
    from alembic import command

    store = engine.create(f"sqlite:///{tmp_path}/store.db")
    with engine.writing(store) as connection:
        command.upgrade(schema._config(connection, schema.RECORDS), "0001")
    with engine.writing(store) as connection:
        connection.execute(text(_USER_OF_0001))
        connection.execute(text(_CLIENT_OF_0001))
    schema.upgrade(store, schema.RECORDS)
    assert schema.differences(store, schema.RECORDS) == []
    records = SqlRecords(store)
    user, client = records.users.get("ut0000000000000a"), records.clients.get("svc")
    assert isinstance(user, User)
    assert user.name == "jane"
    assert isinstance(client, Client)
    assert client.scope == "metrics"
    assert records.generation() == 1


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

    def start(_: int) -> str | None:
        store = engine.create(url)
        schema.upgrade(store, schema.RECORDS)
        found = schema.version(store, schema.RECORDS)
        store.dispose()
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [schema.RECORDS.head] * 3


def test_a_migration_that_was_killed_is_finished(tmp_path: Path, mariadb_server: MariaDB) -> None:
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

    while schema.version(store, schema.RECORDS) != schema.RECORDS.head and attempts < 100:
        attempts += 1
        left = 3  # rows, the version, and what commits them
        with suppress(KeyboardInterrupt):
            schema.upgrade(store, schema.RECORDS)
    assert attempts > 5
    assert schema.differences(store, schema.RECORDS) == []
    assert SqlRecords(store).generation() == 1
    store.dispose()


_USER_OF_0001 = """
INSERT INTO users (uid, name, role, email, email_verified, display_name, claims, enabled, super_admin, password_hash,
  password_version, must_change_password, created_at, updated_at)
VALUES ('ut0000000000000a', 'jane', 'user', '', 0, 'Jane', '{}', 1, 0, 'x', 1, 0, 1, 1)
"""
_CLIENT_OF_0001 = """
INSERT INTO clients (client_id, client_name, enabled, role, secrets, token_endpoint_auth_method, strict_auth_method,
  grant_types, response_types, redirect_uris, post_logout_redirect_uris, scope, audience, resource, token_format,
  token_limit, jwks_uri, require_par, require_dpop, first_party, metadata, created_at, updated_at)
VALUES ('svc', 'Service', 1, 'client', '[]', 'client_secret_basic', 0, '["client_credentials"]', '[]', '[]', '[]',
  'metrics', '[]', '[]', 'opaque', 10, '', 0, 0, 0, '{}', 1, 1)
"""
