"""The periodic work of each process: what has expired goes, keys rotate by schedule, once among all."""

import sqlite3
import threading
from pathlib import Path

import pytest

from auth_server.background import PURGE_EVERY, Background
from auth_server.errors import Unavailable
from tests.people import join
from tests.sites import Clock, Site, site

DAY, HOUR = 86400, 3600


def rows(here: Site, file: str, table: str) -> int:
    """How many rows a table has."""
    with sqlite3.connect(here.server.settings.home / file) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_what_has_expired_is_removed(tmp_path: Path):
    """Tokens, app passwords and used-up throttles; what lives stays."""
    here = site(tmp_path)
    user = join(here)
    for _ in range(3):
        here.token("metrics")
        here.session(user)
    here.app_password(user, "sessions")
    here.server.throttles.failed_client("nobody", "192.0.2.1")
    background = Background(here.server)
    background.tick()
    assert (rows(here, "state.db", "entries"), rows(here, "state.db", "throttles")) == (6, 1)
    here.clock.advance(DAY)
    background.tick()
    assert (rows(here, "state.db", "entries"), rows(here, "state.db", "throttles")) == (0, 0)
    assert rows(here, "records.db", "stored_tokens") == 1


def test_one_process_of_many_purges(tmp_path: Path):
    """The others leave it to the holder of the lease, and take over when it is gone."""
    here = site(tmp_path)
    first, second = Background(here.server), Background(here.server)
    here.token("metrics")
    here.clock.advance(DAY)
    here.token("metrics")
    here.clock.advance(HOUR - 20)
    first.tick()
    assert rows(here, "state.db", "entries") == 1
    here.clock.advance(30)
    second.tick()
    assert rows(here, "state.db", "entries") == 1  # though it has expired
    here.clock.advance(PURGE_EVERY)
    second.tick()
    assert rows(here, "state.db", "entries") == 0


@pytest.mark.parametrize(("pause", "seen"), [(40, [4, 3, 2, 1, 0, 0]), (PURGE_EVERY, [4])])
def test_a_long_purge_stays_with_the_one_that_began_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: int, seen: list[int]
):
    """It renews its lease, so that no other joins in; and leaves off when it has lost it all the same."""
    here, other = site(tmp_path), site(tmp_path)
    first, second = Background(here.server), Background(other.server)
    purge = here.server.state.purge
    left: list[int] = []

    def pass_time(seconds: int) -> None:
        for clock in (here.clock, other.clock):
            clock.advance(seconds)

    def slowly(now: int, limit: int) -> int:
        gone = purge(now, limit)
        left.append(rows(here, "state.db", "entries"))
        pass_time(pause)
        second.tick()
        return gone

    monkeypatch.setattr(here.server.state, "purge", slowly)
    monkeypatch.setattr("auth_server.background.PURGE_BATCH", 1)
    for _ in range(5):
        here.token("metrics")
    pass_time(DAY)
    first.tick()
    assert left == seen
    assert rows(here, "state.db", "entries") == 0


def test_keys_rotate_without_being_asked(tmp_path: Path):
    """A tick after the interval schedules the next key, and one after the max-age writes down that it signs."""
    here = site(tmp_path)
    before = here.server.keyring.signing_key().kid
    background = Background(here.server)
    here.clock.advance(here.server.settings.key_rotation_interval)
    background.tick()
    here.clock.advance(here.server.settings.jwks_max_age)
    background.tick()
    after = here.server.keyring.signing_key().kid
    states = {key.kid: key.status for key in here.server.records.keys.all()}
    assert (states[before], states[after]) == ("retiring", "active")


def test_an_idle_server_writes_nothing(tmp_path: Path):
    """Between two minutes a tick leaves the database as it is."""
    here = site(tmp_path)
    background = Background(here.server)
    background.tick()
    with sqlite3.connect(here.server.settings.home / "records.db") as connection:
        before = connection.execute("PRAGMA data_version").fetchone()
        for _ in range(50):
            here.clock.advance(1)
            background.tick()
        assert connection.execute("PRAGMA data_version").fetchone() == before


class _Turns(threading.Event):
    """Lets the thread go round so many times; each takes a fiftieth of a second by its clock."""

    def __init__(self, turns: int, clock: Clock) -> None:
        super().__init__()
        self._clock, self._turns, self._left = clock, turns, turns

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        if (self._turns - self._left) % 50 == 0:
            self._clock.advance(1)
        return self._left < 0


def test_what_keeps_the_work_waiting_is_told_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """And not at each try, which would fill the disk that may be full already."""
    here = site(tmp_path)
    background = Background(here.server)
    monkeypatch.setattr(background, "_stop", _Turns(125, here.clock))

    def fail() -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(background, "tick", fail)
    background._run()
    assert [record.message for record in caplog.records] == ["periodic work has to wait: the disk is full"] * 3
