"""An update with replicas: what serves goes on while the next version's migrations add to the database."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.servers.auth_server import AuthServer, free_port
from tests.servers.postgresql import PostgreSQL
from tests.servers.visitors import Visitor


def expand(url: str) -> None:
    """Do to every table what a next version may do: one more column with a default, and a higher version."""
    engine = create_engine(url)
    with engine.begin() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        for table in tables:
            if table.endswith("_version"):
                connection.execute(text(f"UPDATE {table} SET version_num = '9999'"))
            else:
                connection.execute(text(f"ALTER TABLE {table} ADD COLUMN later text NOT NULL DEFAULT ''"))
    engine.dispose()
    assert len(tables) > 10


def everything(visitor: Visitor) -> None:
    """Write and read records and state: people, clients, tokens, what ends them."""
    client, user = visitor.client("introspect"), visitor.user()
    token = visitor.token(client)
    assert visitor.introspect(token, client)["active"]
    credentials = {"username": user.name, "password": "Blue-whale-42-sings"}
    assert visitor.call("POST", "/api/v1/session", json_body=credentials).status == 200
    assert visitor.post("/api/v1/oauth/revoke", {"token": token}, basic=client.basic).status == 200
    assert not visitor.introspect(token, client)["active"]


@pytest.fixture
def server(tmp_path: Path, postgresql_server: PostgreSQL) -> AuthServer:
    """A replica that is not started yet, on PostgreSQL alone."""
    return AuthServer(tmp_path, database_url=postgresql_server.create(f"update_{tmp_path.name}"), real_time=True)


def test_a_replica_serves_on_while_the_schema_grows(server: AuthServer) -> None:
    """It reads and writes as before; started anew it would not be the version that the database asks for."""
    server.start()
    try:
        visitor = Visitor(server)
        everything(visitor)
        expand(server.settings.database)
        everything(visitor)
        environ = {
            "AUTH_SERVER_DATABASE_URL": server.settings.database,
            "AUTH_SERVER_HOME": str(server.folder / "other"),
            "AUTH_SERVER_PORT": str(free_port()),
        }
        for command in (["db", "upgrade"], ["serve", "--no-migrate"]):
            started = [sys.executable, "-m", "auth_server", *command]
            done = subprocess.run(started, env=environ, capture_output=True, text=True, timeout=60)
            assert done.returncode == 1, done
            assert "newer version (9999)" in done.stderr
    finally:
        server.stop()
