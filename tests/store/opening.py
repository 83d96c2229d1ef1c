"""Opening SQL stores for the suites."""

from pathlib import Path

from auth_server.store.cached_records import CachedRecords
from auth_server.store.engine import create
from auth_server.store.records import Records
from auth_server.store.schema import History, upgrade
from auth_server.store.sql_records import SqlRecords


def migrated(url: str, history: History) -> str:
    """Bring the database at *url* to the current schema; return *url*."""
    engine = create(url)
    upgrade(engine, history)
    engine.dispose()
    return url


def sql_records(url: str) -> Records:
    """Open the records at *url*."""
    return SqlRecords(create(url))


def cached_records(path: Path) -> Records:
    """Open the records of a SQLite file through the cache, as the server does."""
    return CachedRecords(sql_records(f"sqlite:///{path}"))
