"""Whether a store has the schema of this version, and bringing it there with Alembic.

Three histories: durable records, the embedded short-lived state, and that in a server database beside the records.
Migration files are numbered; the last number is the version that this code needs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, inspect, text

from auth_server.errors import AuthServerError
from auth_server.store import database_files, mariadb, state_tables, tables
from auth_server.store.engine import alone, is_missing, reading, unhurried, writing

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class History:
    """A line of migrations, kept in a folder and a version table of its own."""

    name: str
    metadata: MetaData

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"

    @property
    def folder(self) -> Path:
        return MIGRATIONS / self.name / "versions"

    @property
    def head(self) -> str:
        """The number of the newest migration."""
        return max(path.name[:4] for path in self.folder.glob("[0-9]*.py"))


RECORDS = History("records", tables.metadata)
STATE = History("state", tables.state_metadata)
SHARED_STATE = History("shared_state", state_tables.metadata)


def version(engine: Engine, history: History) -> str | None:
    """Return the number of the last migration that ran; None for an empty store, and asking makes none."""
    if is_missing(engine):
        return None
    with reading(engine) as connection:
        if not inspect(connection).has_table(history.version_table):
            return None
        return connection.execute(text(f"SELECT version_num FROM {history.version_table}")).scalar()


def is_current(engine: Engine, history: History) -> bool:
    """Tell whether the store has the schema of this version; Alembic is not loaded for the question.

    Raises:
        AuthServerError: it has that of a newer version.
    """
    found = version(engine, history)
    if found is not None and found > history.head:
        raise AuthServerError(f"the store is of a newer version ({found}); use that version of auth-server")
    return found == history.head


def upgrade(engine: Engine, history: History) -> bool:
    """Run the migrations that are missing; replicas that start together take turns.

    They are one transaction where the database can change tables in one; on MariaDB and MySQL, where it cannot, each
    may be run again (repeatable.py).

    Returns:
        Whether anything was done.

    Raises:
        AuthServerError: the store is of a newer version, or the database of one that is too old.
    """
    if is_current(engine, history):
        return False
    from alembic import command

    database_files.make(engine)
    with writing(engine) as connection, unhurried(connection), alone(connection, "migrations"):
        if engine.dialect.name == mariadb.NAME:
            mariadb.check_version(connection)
        command.upgrade(_config(connection, history), "head")
    return True


def differences(engine: Engine, history: History) -> list[Any]:
    """Return what Alembic would change to make the store equal to the tables; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with reading(engine) as connection:
        options = {
            "compare_type": True,
            "version_table": history.version_table,
            "include_name": lambda name, kind, _: kind != "table" or name not in _tables_of_others(history),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), history.metadata))


def _tables_of_others(history: History) -> set[str]:
    """The tables that other histories may have in the same database."""
    others = [one for one in (RECORDS, STATE, SHARED_STATE) if one is not history]
    return {name for one in others for name in (one.version_table, *one.metadata.tables)}


def write_migration(engine: Engine, history: History, message: str) -> None:
    """Write the next numbered migration from the difference between store and tables (`make migration`)."""
    from alembic import command

    with writing(engine) as connection:
        config = _config(connection, history)
        command.revision(config, message=message, autogenerate=True, rev_id=f"{int(history.head) + 1:04d}")


def _config(connection: Connection, history: History) -> Any:
    from alembic.config import Config

    import auth_server.store.repeatable  # noqa: F401  (what Alembic needs to know of MariaDB)

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(history.folder))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes.update(connection=connection, history=history)
    return config
