"""What a server keeps, to be compared before and after a request that must write nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

UNCOUNTED = {"throttles", "audit_events", "leases", "generation"}  # what a refused request may move


def stored(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables of the embedded stores, but of those that a refused request may move."""
    found = {}
    for file in ("records.db", "state.db"):
        with closing(sqlite3.connect(home / file)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in sorted({*names} - UNCOUNTED):
                found[name] = connection.execute(f'SELECT * FROM "{name}"').fetchall()
    return found
