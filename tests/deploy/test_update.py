"""An update with replicas: what serves goes on while the next version's migrations add to the database."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth_server.store import engine, schema
from auth_server.store.schema import History
from tests.operations.test_worker_deaths import until_it_serves, workers
from tests.servers.auth_server import free_port, running
from tests.servers.processes import until
from tests.servers.traffic import Traffic
from tests.servers.visitors import Visitor

# What a next version may do to tables that others use, as the migrations so far have done it.
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = '9999', '{head}'


def upgrade() -> None:
    for table in {tables}:
        op.add_column(table, sa.Column('later', sa.String(8), nullable=False, server_default=''))
        op.create_index('ix_later_' + table, table, ['later'])
    uid = sa.Column('uid', sa.String(16), nullable=False)
    belongs = [sa.ForeignKeyConstraint(['uid'], ['users.uid'], name='fk_later', ondelete='CASCADE')]
    op.create_table('later_{name}', uid, *(belongs if '{name}' == 'records' else []))
"""


@dataclass(frozen=True)
class Later(History):
    """A line of migrations with one more: that of the next version."""

    place: Path

    @property
    def folder(self) -> Path:
        return self.place


def expand(url: str, folder: Path, *histories: History) -> None:
    """Bring a database to the next version: each table has one more column with a default, and an index on it."""
    store = engine.create(url)
    for history in histories:
        place = shutil.copytree(history.folder, folder / "later" / history.name)
        tables = sorted(history.metadata.tables)
        (place / "9999_later.py").write_text(MIGRATION.format(head=history.head, name=history.name, tables=tables))
        assert schema.upgrade(store, Later(history.name, history.metadata, place))
    store.dispose()


def everything(visitor: Visitor) -> None:
    """Write and read records and state: people, clients, tokens, what ends them."""
    client, user = visitor.client("introspect"), visitor.user()
    token = visitor.token(client)
    assert visitor.introspect(token, client)["active"]
    credentials = {"username": user.name, "password": "Blue-whale-42-sings"}
    assert visitor.call("POST", "/api/v1/session", json_body=credentials).status == 200
    assert visitor.post("/api/v1/oauth/revoke", {"token": token}, basic=client.basic).status == 200
    assert not visitor.introspect(token, client)["active"]


@pytest.mark.parametrize(
    ("database", "kind"),
    [("postgresql_server", "gunicorn"), ("mariadb_server", "granian")],
    ids=["postgresql and gunicorn", "mariadb and granian"],
)
def test_a_replica_serves_on_while_the_schema_grows(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, kind: str
) -> None:
    """No caller notices anything; and its workers that die then are replaced, by such as work."""
    url = request.getfixturevalue(database).create(f"update_{os.urandom(4).hex()}")
    with running(tmp_path / "server", kind, database_url=url, real_time=True, auth_burst=100000) as server:
        traffic = Traffic(server)
        with traffic.flowing():
            traffic.goes_on()
            expand(url, tmp_path, schema.RECORDS, schema.SHARED_STATE)
            traffic.goes_on(200)
        assert traffic.wrong() == []
        assert traffic.away() == 0
        before = workers(server)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        until(lambda: workers(server).isdisjoint(before) and len(workers(server)) == len(before))
        until_it_serves(server)
        everything(Visitor(server))
        traffic.check_at(server)


def test_what_is_started_on_a_newer_schema_says_so(tmp_path: Path) -> None:
    """It is not the version that the database asks for, and does nothing."""
    url = f"sqlite:///{tmp_path}/records.db"
    expand(url, tmp_path, schema.RECORDS)
    environ = {
        "AUTH_SERVER_DATABASE_URL": url,
        "AUTH_SERVER_HOME": str(tmp_path / "home"),
        "AUTH_SERVER_PORT": str(free_port()),
    }
    for command in (["db", "upgrade"], ["serve", "--no-migrate"]):
        started = [sys.executable, "-m", "auth_server", *command]
        done = subprocess.run(started, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done
        assert "newer version (9999)" in done.stderr
