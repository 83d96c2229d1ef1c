"""The statements that reach SQLite, whoever sends them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest


class Statements(list[str]):
    """What connections have been asked for, with the values in it."""

    def reads(self, *tables: str) -> list[str]:
        """The SELECTs, of some tables if they are named."""
        found = [one for one in self if one.startswith("SELECT")]
        return [one for one in found if not tables or any(f"FROM {table}" in one for table in tables)]


@contextmanager
def traced() -> Iterator[Statements]:
    """Collect the statements of all connections that are opened meanwhile."""
    seen = Statements()

    class Traced(sqlite3.Connection):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.set_trace_callback(lambda text: seen.append(" ".join(text.split())))

    with pytest.MonkeyPatch.context() as patch:
        for module in (sqlite3, sqlite3.dbapi2):
            patch.setattr(module, "connect", partial(sqlite3.connect, factory=Traced))
        yield seen


def plan(file: Path, statement: str) -> str:
    """Return how SQLite goes about a statement."""
    with closing(sqlite3.connect(file)) as connection:
        return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
