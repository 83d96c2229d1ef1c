"""What a server keeps, to be compared before and after a request that must write nothing."""

import sqlite3
from contextlib import closing
from typing import Any

from tests.sites import Site

TOLD = frozenset(("audit_events", "throttles", "spent"))  # tries and what is told of them: for refusals too


def stored(here: Site) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of both stores, but of tries and the audit."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for name in ("records.db", "state.db"):
        with closing(sqlite3.connect(here.server.settings.home / name)) as store:
            tables = [table for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in set(tables) - TOLD:
                rows[table] = sorted(store.execute(f"SELECT * FROM {table}"), key=repr)
    assert rows["users"]
    return rows
