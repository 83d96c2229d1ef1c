"""State in Redis beside a journal keeps what every State promises, and what Redis forgets or brings back."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from auth_server.clock import Clock
from auth_server.errors import Unavailable
from auth_server.store import engine, tables
from auth_server.store.guess import Guess
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.redis_state import RedisState, Revocation
from auth_server.store.redis_with_journal import LASTING, RedisWithJournal
from auth_server.store.revocation_journal import RevocationJournal
from auth_server.store.schema import RECORDS
from auth_server.store.sql_state import SqliteState
from auth_server.store.state import Entry, Index, Kind, OnceKey, State
from tests import proves
from tests.servers import proxy
from tests.servers.processes import until
from tests.servers.redis import Redis, running
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403
from tests.store.conformance.state import EVERYTHING, NOW, TOKEN, an_entry, put_many, value_of
from tests.store.opening import migrated

LONGEST = 1000  # seconds


def opened(url: str, folder: Path, prefix: str = "", clock: Clock = lambda: NOW) -> RedisWithJournal:
    """Open a state in Redis with a journal in a folder's files."""
    records = engine.create(f"sqlite:///{folder}/records.db")
    lasting = SqliteState(folder / "state.db")
    return RedisWithJournal(url, lasting, RevocationJournal(records), clock, LONGEST, prefix)


def optimistic(url: str, folder: Path, prefix: str) -> State:
    """Open one as the server does."""
    return OptimisticState(opened(url, folder, prefix), Guess())


@pytest.fixture
def open_state(redis_server: Redis, sqlite_files: Path) -> Callable[[], State]:
    return partial(optimistic, redis_server.url, sqlite_files, f"test-{os.urandom(8).hex()}:")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own, to do harm to."""
    with running(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def fragile(server: Redis, sqlite_files: Path) -> Iterator[RedisWithJournal]:
    """A state in it."""
    state = opened(server.url, sqlite_files)
    yield state
    state.close()


def go_back(server: Redis) -> None:
    """Kill Redis, and start it with its snapshot."""
    server.stop()
    server.start()


def answers(state: State) -> bool:
    """Whether it does; the end of a connection through a proxy takes a moment to arrive."""
    try:
        state.check()
    except Unavailable:
        return False
    return True


def rows(folder: Path) -> int:
    """How many revocations the journal holds."""
    with engine.reading(engine.create(f"sqlite:///{folder}/records.db")) as connection:
        return int(connection.execute(select(func.count()).select_from(tables.revocations)).scalar_one())


class TestOlderSnapshot:
    """Redis comes back with what it held some time ago."""

    @pytest.mark.parametrize("kind", [None, TOKEN])
    @pytest.mark.parametrize("index", [Index.KEY, Index.SUBJECT, Index.CLIENT, Index.FAMILY, Index.ALL])
    def test_what_was_revoked_stays_dead(
        self, server: Redis, fragile: RedisWithJournal, index: Index, kind: Kind | None
    ) -> None:
        """Before anybody sees it; what came later under the same value lives, where the snapshot has it."""
        (old,) = put_many(fragile, 1)
        other = an_entry(client_id="other", subject="other", family=b"o" * 32)
        fragile.put(TOKEN, other, NOW)
        server.ask("SAVE")
        assert fragile.revoke(index, value_of(old, index), kind) >= 1
        go_back(server)
        assert fragile.get(TOKEN, old.key, NOW) is None
        assert fragile.find(TOKEN, index, value_of(old, index), EVERYTHING, NOW) == []
        if index is not Index.ALL:
            assert fragile.get(TOKEN, other.key, NOW) == other
        later = an_entry()
        fragile.put(TOKEN, later, NOW)
        server.ask("SAVE")
        go_back(server)
        assert fragile.get(TOKEN, later.key, NOW) == later

    def test_only_what_came_before_the_revocation_dies(self, server: Redis, fragile: RedisWithJournal) -> None:
        """The snapshot is newer than the revocation, and Redis starts several times."""
        (old,) = put_many(fragile, 1)
        fragile.revoke(Index.CLIENT, "client")
        (new,) = put_many(fragile, 1)
        server.ask("SAVE")
        for _ in range(2):
            go_back(server)
            assert fragile.get(TOKEN, new.key, NOW) == new
            assert fragile.get(TOKEN, old.key, NOW) is None

    def test_what_came_after_all_was_lost_is_not_taken_for_old(self, server: Redis, fragile: RedisWithJournal) -> None:
        """Numbers of arrival go on after FLUSHALL: an earlier revocation does not concern what comes now."""
        put_many(fragile, 3)
        fragile.revoke(Index.CLIENT, "client")
        server.ask("FLUSHALL")
        (new,) = put_many(fragile, 1)
        server.ask("SAVE")
        go_back(server)
        assert fragile.get(TOKEN, new.key, NOW) == new

    def test_a_code_is_redeemed_once(self, server: Redis, fragile: RedisWithJournal) -> None:
        """Also when Redis has forgotten that it was."""
        code, unused = an_entry(), an_entry()
        for entry in (code, unused):
            fragile.put(Kind.CODE, entry, NOW)
        server.ask("SAVE")
        first = fragile.take(Kind.CODE, code.key, "client", NOW)
        go_back(server)
        again = [fragile.take(Kind.CODE, code.key, "client", NOW) for _ in range(2)]
        assert [taken and taken.first for taken in (first, *again)] == [True, False, False]
        taken = fragile.take(Kind.CODE, unused.key, "client", NOW)
        assert taken is not None
        assert taken.first

    @proves("S-134")
    def test_a_code_whose_redemption_could_not_be_noted_is_still_good(
        self, fragile: RedisWithJournal, sqlite_files: Path
    ) -> None:
        """Who was told to come again redeems it, once; if it was revoked meanwhile, nobody does."""
        code, revoked = an_entry(subject="one"), an_entry(subject="two")
        for entry in (code, revoked):
            fragile.put(Kind.CODE, entry, NOW)
        store = engine.create(f"sqlite:///{sqlite_files}/state.db")
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE spent RENAME TO away"))
        for entry in (code, revoked):
            for _ in range(2):
                with pytest.raises(Unavailable):
                    fragile.take(Kind.CODE, entry.key, "client", NOW)
                assert fragile.get(Kind.CODE, entry.key, NOW) == entry
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE away RENAME TO spent"))
        assert fragile.revoke(Index.SUBJECT, "two", Kind.CODE) == 1
        told = [fragile.take(Kind.CODE, key, "client", NOW) for key in (code.key, code.key, revoked.key)]
        assert [taken and taken.first for taken in told] == [True, False, None]
        store.dispose()

    def test_what_was_spent_stays_spent(self, server: Redis, fragile: RedisWithJournal) -> None:
        """Redis has no part in it."""
        once = OnceKey(b"jti", NOW + 60)
        assert fragile.spend([once], NOW) is None
        server.ask("FLUSHALL")
        go_back(server)
        assert fragile.spend([once], NOW) == once

    @pytest.mark.parametrize("kind", LASTING)
    def test_lasting_kinds_are_not_in_redis(self, server: Redis, fragile: RedisWithJournal, kind: Kind) -> None:
        """Neither lost nor older than they were, and revoked with the others."""
        (kept, ended) = (an_entry(), an_entry(subject="other"))
        for entry in (kept, ended):
            fragile.put(kind, entry, NOW)
        assert fragile.revoke(Index.SUBJECT, "other") == 1
        assert fragile.revoke(Index.KEY, kept.key.hex(), TOKEN) == 0
        assert server.ask("KEYS", "as:entry:*") == []
        server.stop()
        assert list(fragile.each(kind, NOW)) == [kept]
        assert fragile.revoke(Index.KEY, kept.key.hex(), kind) == 1

    def test_a_crowd_of_threads_waits_for_the_journal(self, server: Redis, fragile: RedisWithJournal) -> None:
        """None gets in before, and all do afterwards."""
        entries = put_many(fragile, 300)
        server.ask("SAVE")
        for entry in entries:
            fragile.revoke(Index.KEY, entry.key.hex())
        go_back(server)
        with ThreadPoolExecutor(8) as threads:
            found = threads.map(lambda number: fragile.get(TOKEN, entries[-1 - number].key, NOW), range(8))
        assert list(found) == [None] * 8
        assert fragile.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []

    def test_while_the_database_is_away_nobody_gets_in(
        self, server: Redis, fragile: RedisWithJournal, sqlite_files: Path
    ) -> None:
        """A Redis that has started anew is not used, and nothing is acknowledged; then all is as it should be."""
        entries = put_many(fragile, 3)
        server.ask("SAVE")
        fragile.revoke(Index.CLIENT, "client")
        go_back(server)
        store = engine.create(f"sqlite:///{sqlite_files}/records.db")
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE reconciled_redis RENAME TO away"))
        for _ in range(2):
            with pytest.raises(Unavailable):
                fragile.get(TOKEN, entries[0].key, NOW)
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE away RENAME TO reconciled_redis"))
        assert fragile.get(TOKEN, entries[0].key, NOW) is None


class TestOtherServer:
    """A replica takes over, which has not heard of the last things."""

    @pytest.fixture
    def pair(self, tmp_path: Path) -> Iterator[tuple[Redis, Redis, proxy.Proxy]]:
        """A master, its replica, and what leads to the one that is in force."""
        with running(tmp_path / "old") as old, running(tmp_path / "new") as new, proxy.before(old.port) as between:
            new.ask("REPLICAOF", "127.0.0.1", old.port)
            until(lambda: new.info("master_link_status") == b"up")
            yield old, new, between

    @staticmethod
    def cut_off(old: Redis, new: Redis) -> None:
        """The replica has all that is there, and hears of nothing more."""
        until(lambda: new.info("master_repl_offset") == old.info("master_repl_offset"))
        new.ask("REPLICAOF", "NO", "ONE")

    def test_a_revocation_at_the_old_one_is_done_at_the_new_one(
        self, pair: tuple[Redis, Redis, proxy.Proxy], sqlite_files: Path
    ) -> None:
        """Who still talks to the old one sees that the other has been taken into use, and revokes there."""
        old, new, between = pair
        late, other = (opened(f"redis://127.0.0.1:{between.port}/0", sqlite_files) for _ in range(2))
        (entry,) = put_many(late, 1)
        self.cut_off(old, new)
        between.lead_to(new.port)  # new connections only: late still has one to the old
        assert other.get(TOKEN, entry.key, NOW) == entry
        assert late.revoke(Index.KEY, entry.key.hex()) >= 1
        assert other.get(TOKEN, entry.key, NOW) is None
        late.close()
        other.close()

    def test_who_saw_nothing_of_a_failover_follows_within_a_second(
        self, pair: tuple[Redis, Redis, proxy.Proxy], sqlite_files: Path
    ) -> None:
        """Its connection to the old master lives on; it looks in the database whether another one is in force."""
        old, new, between = pair
        seconds = count(NOW)
        url = f"redis://127.0.0.1:{between.port}/0"
        late, other = opened(url, sqlite_files, clock=lambda: next(seconds)), opened(url, sqlite_files)
        (entry,) = put_many(late, 1)
        late.sync()
        self.cut_off(old, new)
        between.lead_to(new.port)
        assert other.revoke(Index.KEY, entry.key.hex()) >= 1
        late.sync()
        assert late.get(TOKEN, entry.key, NOW) is None
        late.close()
        other.close()

    @proves("S-133")
    def test_what_the_replica_has_not_heard_of_holds(
        self, pair: tuple[Redis, Redis, proxy.Proxy], sqlite_files: Path
    ) -> None:
        """Revocations are done again, codes are not redeemed again, the rest is lost."""
        old, new, between = pair
        state = opened(f"redis://127.0.0.1:{between.port}/0", sqlite_files)
        token, code = an_entry(), an_entry()
        state.put(TOKEN, token, NOW)
        state.put(Kind.CODE, code, NOW)
        self.cut_off(old, new)
        lost = an_entry(client_id="lost")
        state.put(TOKEN, lost, NOW)
        state.revoke(Index.KEY, token.key.hex())
        first = state.take(Kind.CODE, code.key, "client", NOW)
        between.lead_to(new.port)
        old.stop()
        until(lambda: answers(state))
        assert state.get(TOKEN, token.key, NOW) is None
        assert state.get(TOKEN, lost.key, NOW) is None
        again = state.take(Kind.CODE, code.key, "client", NOW)
        assert [taken and taken.first for taken in (first, again)] == [True, False]
        state.close()

    def test_a_replica_is_not_used(self, pair: tuple[Redis, Redis, proxy.Proxy], sqlite_files: Path) -> None:
        """What it tells is older than what the master knows."""
        state = opened(pair[1].url, sqlite_files)
        with pytest.raises(Unavailable, match="replica"):
            state.get(TOKEN, b"k" * 32, NOW)

    def test_who_became_a_replica_and_master_again_is_another(
        self, pair: tuple[Redis, Redis, proxy.Proxy], sqlite_files: Path
    ) -> None:
        """It has not restarted, but has the data of another one, from before a revocation."""
        old, new, _ = pair
        state = opened(old.url, sqlite_files)
        (entry,) = put_many(state, 1)
        self.cut_off(old, new)
        state.revoke(Index.KEY, entry.key.hex())
        old.ask("REPLICAOF", "127.0.0.1", new.port)
        until(lambda: old.info("master_link_status") == b"up")
        assert old.ask("EXISTS", b"as:entry:" + entry.key + b"\1") == 1
        old.ask("REPLICAOF", "NO", "ONE")
        old.ask("CLIENT", "KILL", "TYPE", "normal")
        assert state.get(TOKEN, entry.key, NOW) is None
        state.close()


@pytest.mark.parametrize("database", ["postgresql_server", "mariadb_server"])
def test_who_writes_down_waits_for_who_goes_through(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """And then sees that another Redis is in force; what was written down before is gone through."""
    url = migrated(request.getfixturevalue(database).create(f"journal_{os.urandom(4).hex()}"), RECORDS)
    journal, other = (RevocationJournal(engine.create(url)) for _ in range(2))
    one, late = (Revocation(Index.CLIENT, name, None, 7, NOW + 60) for name in ("one", "late"))
    with journal.reconciling("old", NOW) as revocations:
        assert list(revocations) == []
    assert journal.add(one, "old")
    assert not journal.add(one, "another")
    with ThreadPoolExecutor(1) as threads:
        with journal.reconciling("new", NOW) as revocations:
            waiting = threads.submit(other.add, late, "old")
            assert list(revocations) == [one]
            assert not waiting.done()
        assert waiting.result() is False
    assert journal.reconciled() == "new"
    with journal.reconciling("newest", NOW + 60) as revocations:
        assert list(revocations) == []


def test_two_redis_in_use_in_turn_are_told(
    server: Redis, redis_server: Redis, sqlite_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By both, when they have revoked something a few times; not at every turn."""
    here, there = (opened(one.url, sqlite_files, f"test-{os.urandom(8).hex()}:") for one in (server, redis_server))
    told = "give all replicas the same REDIS_URL"
    for number in range(8):
        for state in (here, there):
            state.revoke(Index.CLIENT, "client")
        if number == 2:
            assert told not in caplog.text
    assert caplog.text.count(told) == 2
    here.close()
    there.close()


class TestOtherPart:
    """Of one server, two databases or two prefixes share no more than two servers do."""

    @pytest.mark.parametrize(("path", "prefix"), [("/1", "as:"), ("/0", "other:")])
    def test_what_is_revoked_there_is_revoked_here_too(
        self,
        server: Redis,
        sqlite_files: Path,
        path: str,
        prefix: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """As soon as one looks who is in force; and both are told what is wrong."""
        url, seconds = server.url.rpartition("/")[0], count(NOW)
        here = opened(f"{url}/0", sqlite_files, clock=lambda: next(seconds))
        there = opened(f"{url}{path}", sqlite_files, prefix, clock=lambda: next(seconds))
        here.sync()
        for _ in range(6):
            (entry,) = put_many(here, 1)
            there.sync()
            there.revoke(Index.KEY, entry.key.hex())
            here.sync()
            assert here.get(TOKEN, entry.key, NOW) is None
        assert caplog.text.count("give all replicas the same REDIS_URL") == 2
        here.close()
        there.close()


def test_who_comes_back_to_the_one_of_before_hears_of_the_next_again(
    server: Redis, redis_server: Redis, sqlite_files: Path
) -> None:
    """All its threads do, though at every look the same other one was in force."""
    seconds, prefix = count(NOW), f"test-{os.urandom(8).hex()}:"
    here = opened(server.url, sqlite_files, prefix, lambda: next(seconds))
    there = opened(redis_server.url, sqlite_files, prefix, lambda: next(seconds))
    for _ in range(2):
        (entry,) = put_many(here, 1)
        there.revoke(Index.KEY, entry.key.hex())
        here.sync()
        assert here.get(TOKEN, entry.key, NOW) is None
    here.close()
    there.close()


def test_who_is_being_let_in_stays_when_others_look_anew(server: Redis) -> None:
    """What is to be revoked in it is; at its next command it looks anew as well."""
    told: list[str] = []

    def admit(identity: str) -> None:
        told.append(identity)
        if len(told) == 1:
            state.reopen()
            state.revoke_again(iter([Revocation(Index.CLIENT, "client", None, 7, NOW + 60)]))

    state = RedisState(server.url, admit=admit)
    state.check()
    assert len(told) == 1
    state.check()
    assert len(told) == 2
    state.close()


def test_redis_that_restarts_often_is_not_taken_for_two(
    server: Redis, sqlite_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each start is another one."""
    state = opened(server.url, sqlite_files)
    for _ in range(6):
        state.check()
        server.stop()
        server.start()
    state.close()
    assert caplog.text == ""


class TestJournal:
    """What is written down, and for how long."""

    def test_what_was_not_there_is_written_down(self, fragile: RedisWithJournal, sqlite_files: Path) -> None:
        """Nobody knows what an older snapshot holds."""
        assert fragile.revoke(Index.KEY, "ab") == 0
        assert rows(sqlite_files) == 0
        assert fragile.revoke(Index.KEY, os.urandom(32).hex()) == 0
        assert fragile.revoke(Index.CLIENT, "nobody") == 0
        assert rows(sqlite_files) == 2

    @proves("S-055", "S-134")
    @pytest.mark.parametrize("index", [Index.KEY, Index.SUBJECT, Index.CLIENT, Index.FAMILY, Index.ALL])
    def test_what_cannot_be_written_down_is_not_revoked(
        self, server: Redis, fragile: RedisWithJournal, sqlite_files: Path, index: Index
    ) -> None:
        """Else who asks again would not find it, and be told that all is well; later it works, for good."""
        (entry,) = put_many(fragile, 1)
        server.ask("SAVE")
        store = engine.create(f"sqlite:///{sqlite_files}/records.db")
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE revocations RENAME TO away"))
        for _ in range(2):
            with pytest.raises(Unavailable):
                fragile.revoke(index, value_of(entry, index))
            assert fragile.get(TOKEN, entry.key, NOW) == entry
        with engine.writing(store) as connection:
            connection.execute(text("ALTER TABLE away RENAME TO revocations"))
        assert fragile.revoke(index, value_of(entry, index)) == 1
        go_back(server)
        assert fragile.get(TOKEN, entry.key, NOW) is None

    @proves("S-133")
    @pytest.mark.parametrize("index", [Index.KEY, Index.SUBJECT, Index.CLIENT, Index.FAMILY, Index.ALL])
    def test_what_was_lost_when_it_was_revoked_stays_dead(
        self, server: Redis, fragile: RedisWithJournal, index: Index
    ) -> None:
        """Redis is empty, somebody revokes, and then an operator puts the snapshot back."""
        (entry,) = put_many(fragile, 1)
        server.ask("SAVE")
        server.ask("FLUSHALL")
        assert fragile.revoke(index, value_of(entry, index)) == 0
        (later,) = put_many(fragile, 1)
        assert fragile.get(TOKEN, later.key, NOW) == later
        go_back(server)
        assert fragile.get(TOKEN, entry.key, NOW) is None

    def test_it_is_purged_when_nothing_of_it_can_live(self, fragile: RedisWithJournal, sqlite_files: Path) -> None:
        """With what would have expired last; what never expires stays."""
        for expires_at in (NOW + 10, NOW + 20, None):
            entry = an_entry(expires_at=expires_at)
            fragile.put(TOKEN, entry, NOW)
            fragile.revoke(Index.KEY, entry.key.hex())
        fragile.revoke(Index.CLIENT, "nobody")
        left = []
        for now in (NOW + 9, NOW + 10, NOW + 20, NOW + LONGEST):
            fragile.purge(now, 100)
            left.append(rows(sqlite_files))
        assert left == [4, 3, 2, 1]


def test_entries_of_any_text_are_revoked_again(server: Redis, fragile: RedisWithJournal) -> None:
    """As they are."""
    entries: list[Entry] = []
    for subject in ("https://client.example/a~b:c", "J\u00f6rg \u0000 \U0001f511", ""):
        entries.append(an_entry(subject=subject))
        fragile.put(TOKEN, entries[-1], NOW)
    server.ask("SAVE")
    for entry in entries:
        assert fragile.revoke(Index.SUBJECT, entry.subject or "") == 1
    go_back(server)
    assert fragile.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []
