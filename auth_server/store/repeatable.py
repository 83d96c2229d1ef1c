"""Migrations on MariaDB and MySQL, which commit after every change of a table.

A migration that was killed half-way is run again from its beginning: what it has made already is passed over. What it
writes into tables comes last in it, so that it is one transaction with the note that the migration is done.
"""

from typing import Any

from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Column, Connection, Index, Inspector, Table, inspect

from auth_server.store import mariadb


class RepeatableImpl(MySQLImpl):
    """How Alembic changes the tables of the dialect `mysql`; importing it is enough."""

    __dialect__ = mariadb.NAME

    def create_table(self, table: Table, **options: Any) -> None:
        if not self._now().has_table(table.name):
            super().create_table(self._ours(table), **options)

    def add_column(self, table_name: str, column: Column[Any], **options: Any) -> None:
        if column.name not in [there["name"] for there in self._now().get_columns(table_name)]:
            super().add_column(table_name, column, **options)

    def create_index(self, index: Index, **options: Any) -> None:
        assert index.table is not None
        if index.name not in [there["name"] for there in self._now().get_indexes(index.table.name)]:
            super().create_index(index, **options)

    def version_table_impl(self, **options: Any) -> Table:
        return self._ours(super().version_table_impl(**options))

    def _now(self) -> Inspector:
        """What is there now; an inspector remembers what it has seen."""
        return inspect(self._here)

    def _ours(self, table: Table) -> Table:
        """A table of ours depends on no default of the server or the database."""
        collation = mariadb.collation(self._here)
        table.dialect_kwargs.update(mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate=collation)
        return table

    @property
    def _here(self) -> Connection:
        assert self.connection is not None
        return self.connection
