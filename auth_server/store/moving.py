"""The embedded records in a server database: the way from one machine to many."""

from sqlalchemy import Connection, Engine, Table, func, insert, select, text

from auth_server.errors import AuthServerError
from auth_server.store import tables
from auth_server.store.engine import move_generation, reading, unhurried, writing

_ITS_OWN = (tables.generation, tables.leases, tables.reconciled_redis)  # each database's; the rest are records
_BATCH = 1000  # rows


def moved_tables() -> list[Table]:
    """Return the tables of the records, those before that others name."""
    return [table for table in tables.metadata.sorted_tables if table not in _ITS_OWN]


def check_is_server(engine: Engine) -> None:
    """Make sure that a database is none in a file.

    Raises:
        AuthServerError: it is.
    """
    if engine.dialect.name == "sqlite":
        raise AuthServerError("the store is embedded; set DATABASE_URL to a PostgreSQL or MariaDB, or use db restore")


def fill(source: Engine, target: Engine) -> None:
    """Copy all records into a database that has none, in one transaction; both have the schema of this version.

    Raises:
        AuthServerError: it has some; nothing was written.
    """
    with reading(source) as held, writing(target) as connection, unhurried(connection):
        for table in moved_tables():
            if connection.execute(select(table).limit(1)).first() is not None:
                raise AuthServerError("the database has records already; name an empty one")
        for table in moved_tables():
            found = held.execution_options(yield_per=_BATCH).execute(select(table))
            for rows in found.mappings().partitions():
                connection.execute(insert(table), [dict(row) for row in rows])
            _count_on(connection, table)
        move_generation(connection)


def _count_on(connection: Connection, table: Table) -> None:
    """Let the next row have a number that none has: PostgreSQL does not look at those that it was given."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    last = connection.execute(select(func.max(column))).scalar()
    if last is not None:
        names = {"table": table.name, "column": column.name, "last": last}
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), names)
