"""A server database as hot paths have it: by its driver alone."""

from sqlalchemy import Engine

from auth_server.store.database_shortcuts import DatabaseShortcuts
from auth_server.store.database_state import DatabaseState, Dialect
from auth_server.store.generation import Generation
from auth_server.store.optimistic_state import Conditional
from auth_server.store.raw_connections import Connections
from auth_server.store.recent import Recent


class ServerDatabase:
    """The driver's own connections to it, and what is asked by them."""

    def __init__(self, connections: Connections, dialect: Dialect) -> None:
        self.connections, self._dialect = connections, dialect
        self.generation = Generation(connections)
        self.shortcuts = DatabaseShortcuts(connections)

    def state(self) -> Conditional:
        """Return the short-lived state in it."""
        return DatabaseState(self.connections, self._dialect, self.generation, Recent())

    def lasting_state(self) -> Conditional:
        """Return that part of it which is not in Redis; no token is."""
        return DatabaseState(self.connections, self._dialect, self.generation)


def server_database(engine: Engine) -> ServerDatabase | None:
    """Return what is to be had by the driver alone; None for SQLite, which has its own."""
    if engine.dialect.name == "sqlite":
        return None
    if engine.dialect.name == "postgresql":  # each loads its driver: only where it is used
        from auth_server.store.postgresql_connection import PostgresqlConnection
        from auth_server.store.postgresql_state import PostgresqlState

        return ServerDatabase(Connections(engine, PostgresqlConnection), PostgresqlState())
    from auth_server.store.mariadb_connection import MariadbConnection
    from auth_server.store.mariadb_state import MariadbState

    return ServerDatabase(Connections(engine, MariadbConnection), MariadbState())
