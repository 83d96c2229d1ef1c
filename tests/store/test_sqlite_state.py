"""The embedded State keeps what every State promises."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auth_server.store.sql_state import SqliteState
from auth_server.store.state import Entry, Index, Keep, State
from tests.servers.statements import plan, traced
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403
from tests.store.conformance.state import NOW, TOKEN, an_entry, put_many, value_of


@pytest.fixture
def open_state(sqlite_files: Path) -> Callable[[], State]:
    return partial(SqliteState, sqlite_files / "state.db")


def after_power_loss(sqlite_files: Path, entry: Entry) -> bool:
    """Tell whether the database file has *entry* without the log beside it, which need not be on the disk."""
    alone = shutil.copy(sqlite_files / "state.db", sqlite_files / "alone.db")
    with sqlite3.connect(alone) as connection:
        return bool(connection.execute("SELECT 1 FROM entries WHERE key = ?", (entry.key,)).fetchone())


def test_sync_is_tried_until_it_is_done(sqlite_files: Path, state: State) -> None:
    """What a reader holds back reaches the disk with the first sync after it, without a write in between."""
    first, second = an_entry(), an_entry()
    state.put(TOKEN, first, NOW)
    with sqlite3.connect(sqlite_files / "state.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entries").fetchone()
        state.put(TOKEN, second, NOW)
        state.sync()
        reader.execute("COMMIT")
    assert not after_power_loss(sqlite_files, second)
    state.sync()
    assert after_power_loss(sqlite_files, first)
    assert after_power_loss(sqlite_files, second)


@pytest.mark.parametrize(
    ("index", "by"),
    [
        (Index.ALL, "INTEGER PRIMARY KEY (rowid<?)"),
        (Index.SUBJECT, "INDEX ix_entries_subject (subject=? AND rowid<?)"),
        (Index.FAMILY, "INDEX ix_entries_family (family=? AND rowid<?)"),
        (Index.CLIENT, "INDEX ix_entries_kind_client_id (kind=? AND client_id=? AND number<?)"),
    ],
)
def test_lists_are_read_by_an_index(sqlite_files: Path, index: Index, by: str) -> None:
    """A batch is one statement that begins where it should, and sorts nothing."""
    with traced() as statements:
        state = SqliteState(sqlite_files / "state.db")
        newest, *_ = put_many(state, 20)
        entries = state.each(TOKEN, NOW, index, value_of(newest, index), batch=5)
        assert len([next(entries) for _ in range(5)]) == 5
        (statement,) = statements.reads("entries")
        state.close()
    assert plan(sqlite_files / "state.db", statement) == f"SEARCH entries USING {by}"


def test_nothing_goes_through_all_entries(sqlite_files: Path) -> None:
    """However many there are, limits and revocations look only at those that they are about."""
    with traced() as statements:
        state = SqliteState(sqlite_files / "state.db")
        old = put_many(state, 3, expires_at=NOW)[0]
        for index in (Index.SUBJECT, Index.CLIENT, Index.FAMILY):
            state.put(TOKEN, an_entry(), NOW, keep=Keep(index, 1))
            for kind in (None, TOKEN):
                state.revoke(index, value_of(old, index), kind)
            put_many(state, 3, expires_at=NOW)
        for kind in (None, TOKEN):
            state.revoke(Index.KEY, old.key.hex(), kind)
        asked = [one for one in statements if one.startswith("DELETE FROM entries WHERE")]
        triggers = [one.partition("BEGIN")[2] for one in statements if one.startswith("CREATE TEMP TRIGGER")]
        state.close()
    assert len(asked) == 3 * 2 + 2
    assert len(triggers) == 3 * 2  # of an index, on each of the two connections that write
    limits = [re.sub(r"NEW\.\w+", "1", one.strip()) for trigger in triggers for one in trigger.split(";")]
    asked += [one for one in limits if "FROM entries WHERE" in one]
    assert len(asked) == 3 * 2 + 2 + 3 * 2
    for statement in asked:
        way = plan(sqlite_files / "state.db", statement)
        assert "SCAN" not in way, (statement, way)
        assert "(kind=?)" not in way, (statement, way)
