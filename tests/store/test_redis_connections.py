"""What a State behind a network must do besides: outages, timeouts, threads, forks."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth_server.errors import AuthServerError, Unavailable
from auth_server.store.redis_state import RedisState
from auth_server.store.state import Entry, Index, OnceKey, Page, Rate
from tests import proves
from tests.servers import proxy
from tests.servers.redis import Redis, running
from tests.store.conformance.state import EVERYTHING, NOW, TOKEN, an_entry

IMPATIENT = "?socket_timeout=0.1"  # seconds
READS: dict[str, Callable[[RedisState], object]] = {
    "get": lambda state: state.get(TOKEN, b"k" * 32, NOW),
    "find": lambda state: state.find(TOKEN, Index.ALL, "", Page(), NOW),
    "check": lambda state: state.check(),
}
WRITES: dict[str, Callable[[RedisState], object]] = {
    "put": lambda state: state.put(TOKEN, an_entry(), NOW),
    "take": lambda state: state.take(TOKEN, b"k" * 32, "client", NOW),
    "swap": lambda state: state.swap(TOKEN, an_entry(), an_entry(), NOW),
    "spend": lambda state: state.spend([OnceKey(os.urandom(8), NOW + 60)], NOW),
    "revoke": lambda state: state.revoke(Index.ALL, ""),
    "draw": lambda state: state.draw("bucket", 1, Rate(1000, 1), NOW),
    "purge": lambda state: state.purge(NOW, 1),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own, to do harm to."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def state(server: Redis) -> Iterator[RedisState]:
    """A State in that Redis."""
    state = RedisState(server.url)
    yield state
    state.close()


def marked_entries(state: RedisState, count: int) -> list[Entry]:
    """Put entries that can be told apart."""
    entries = [an_entry(data=os.urandom(200)) for _ in range(count)]
    for entry in entries:
        state.put(TOKEN, entry, NOW)
    return entries


def wrong_answers(state: RedisState, entries: Sequence[Entry]) -> int:
    """Ask for each entry; count what is not the answer to the question."""
    return sum(state.get(TOKEN, entry.key, NOW) != entry for entry in entries)


@pytest.mark.parametrize("options", ["socket_timeout=soon", "no_such_option=1"])
def test_url_with_wrong_options_is_told(options: str) -> None:
    """At once, in a sentence, without its password."""
    with pytest.raises(AuthServerError, match="REDIS_URL") as caught:
        RedisState(f"redis://:hunter2@127.0.0.1/0?{options}")
    assert "hunter2" not in str(caught.value)


class TestOutage:
    """While Redis is away, nothing is known; when it is back, so are we."""

    @proves("S-132")
    def test_every_method_says_unavailable_until_redis_is_back(self, server: Redis, state: RedisState) -> None:
        """Without a restart of ours, on a server that has forgotten data and scripts."""
        for _ in range(2):
            for act in (READS | WRITES).values():
                act(state)
            server.stop()
            for act in (READS | WRITES).values():
                with pytest.raises(Unavailable):
                    act(state)
            server.start()

    def test_state_that_starts_before_redis_waits_for_it(self, server: Redis) -> None:
        """Nothing is opened before it is needed."""
        server.stop()
        early = RedisState(server.url)
        with pytest.raises(Unavailable):
            early.check()
        server.start()
        early.check()
        early.close()

    def test_connection_that_redis_has_closed_is_opened_again(self, server: Redis, state: RedisState) -> None:
        """An idle connection's end is nobody's error."""
        entries = marked_entries(state, 3)
        for entry in entries:
            assert server.command("CLIENT", "KILL", "TYPE", "normal").startswith(b":")
            assert state.get(TOKEN, entry.key, NOW) == entry

    def test_forgotten_scripts_are_loaded_again(self, server: Redis, state: RedisState) -> None:
        """After SCRIPT FLUSH every method works as before."""
        for act in WRITES.values():
            server.command("SCRIPT", "FLUSH")
            act(state)

    def test_full_redis_takes_nothing_away(self, server: Redis, state: RedisState) -> None:
        """Writes are refused as a whole, what is there stays readable, and what shall die can die."""
        old, dead = an_entry(), an_entry(expires_at=NOW)
        new = an_entry(old.key, data=b"new", client_id="other")
        state.put(TOKEN, old, NOW)
        state.put(TOKEN, dead, NOW)
        server.command("CONFIG", "SET", "maxmemory", "1")
        refused: list[Callable[[], object]] = [
            lambda: state.put(TOKEN, new, NOW),
            lambda: state.swap(TOKEN, old, new, NOW),
            lambda: state.take(TOKEN, old.key, "client", NOW),
            lambda: state.spend([OnceKey(b"jti", NOW + 60)], NOW),
            lambda: state.draw("bucket", 1, Rate(1, 60), NOW),
        ]
        for act in refused:
            with pytest.raises(Unavailable):
                act()
        assert state.find(TOKEN, Index.CLIENT, "client", EVERYTHING, NOW) == [old]
        assert state.purge(NOW, 100) == 1
        assert state.revoke(Index.CLIENT, "client") == 1
        server.command("CONFIG", "SET", "maxmemory", "0")
        for act in refused:
            act()

    def test_replica_takes_no_writes(self, server: Redis, state: RedisState) -> None:
        """After a failover the old master refuses them; its connection is good for later."""
        server.command("REPLICAOF", "127.0.0.1", "1")
        for act in WRITES.values():
            with pytest.raises(Unavailable):
                act(state)
        server.command("REPLICAOF", "NO", "ONE")
        for act in WRITES.values():
            act(state)

    def test_password_that_is_wrong_is_unavailable(self, server: Redis) -> None:
        """With or without one, and in words that do not hold it."""
        server.command("CONFIG", "SET", "requirepass", "secret")
        for credentials in ("", ":wrong-password@"):
            state = RedisState(server.url.replace("://", f"://{credentials}"))
            with pytest.raises(Unavailable) as raised:
                state.check()
            assert "wrong-password" not in str(raised.value)
        RedisState(server.url.replace("://", "://:secret@")).check()


class TestAnswers:
    """Everybody gets the answer to their own question."""

    @proves("S-135")
    @pytest.mark.parametrize("after", [0, 1, 30, 150])
    def test_connection_with_half_an_answer_is_thrown_away(self, server: Redis, after: int) -> None:
        """Whatever part of an answer has come in time, the rest is never read as another's."""
        with proxy.before(server.port) as between:
            state = RedisState(f"redis://127.0.0.1:{between.port}/{IMPATIENT}")
            entries = marked_entries(state, 20)
            for entry in entries[:4]:
                between.hold(after)
                with pytest.raises(Unavailable):
                    state.get(TOKEN, entry.key, NOW)
                between.release()
                assert wrong_answers(state, entries) == 0
            state.close()

    @proves("S-135")
    def test_interrupted_wait_throws_the_connection_away(self, server: Redis) -> None:
        """An exception out of nowhere, such as a worker's deadline, leaves no answer behind (CVE-2023-28858)."""

        def interrupt(_signal: int, _frame: object) -> None:
            raise InterruptedError("deadline")

        with proxy.before(server.port) as between:
            state = RedisState(f"redis://127.0.0.1:{between.port}/")
            entries = marked_entries(state, 20)
            before = signal.signal(signal.SIGALRM, interrupt)
            try:
                between.hold(0)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises((InterruptedError, Unavailable)):
                    state.get(TOKEN, entries[0].key, NOW)
            finally:
                signal.signal(signal.SIGALRM, before)
            between.release()
            assert wrong_answers(state, entries) == 0
            state.close()

    def test_threads_do_not_share_connections(self, state: RedisState) -> None:
        """Eight threads ask at once."""
        entries = marked_entries(state, 200)
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(lambda _: wrong_answers(state, entries), range(8))) == 0

    def test_threads_may_come_and_go(self, state: RedisState) -> None:
        """A server that makes a thread for each request runs out of nothing."""
        for _ in range(150):
            with ThreadPoolExecutor(1) as threads:
                threads.submit(state.check).result()

    def test_fork_opens_connections_of_its_own(self, state: RedisState) -> None:
        """A child and its parent ask at once, each over another connection, and the child's end disturbs nobody."""
        entries = marked_entries(state, 200)
        context = multiprocessing.get_context("fork")
        wrong = context.Value("i", -1)

        def ask() -> None:
            wrong.value = wrong_answers(state, entries)

        child = context.Process(target=ask)
        child.start()
        assert wrong_answers(state, entries) == 0
        child.join()
        assert wrong.value == 0
        assert wrong_answers(state, entries) == 0


class TestLayout:
    """What stands in Redis."""

    def test_socket_file_and_database_number_are_heeded(self, server: Redis, state: RedisState) -> None:
        """unix:// leads to the same server; another database is another state."""
        (entry,) = marked_entries(state, 1)
        same, other = RedisState(f"unix://{server.socket}"), RedisState(f"unix://{server.socket}?db=3")
        assert same.get(TOKEN, entry.key, NOW) == entry
        assert other.get(TOKEN, entry.key, NOW) is None

    def test_prefixes_keep_states_apart(self, server: Redis, state: RedisState) -> None:
        """Also when all of one is revoked; and a prefix may hold a cluster's hash tag."""
        other = RedisState(server.url, prefix="{as}:")
        (entry,) = marked_entries(other, 1)
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []
        assert state.revoke(Index.ALL, "") == 0
        assert other.find(TOKEN, Index.KEY, entry.key.hex(), EVERYTHING, NOW) == [entry]

    def test_nothing_is_left_of_the_dead(self, server: Redis, state: RedisState) -> None:
        """Entries that were taken, replaced, revoked or purged leave no index, and buckets and values no trace."""
        for expires_at in (NOW + 60, None):
            for entry in (an_entry(expires_at=expires_at), an_entry(expires_at=expires_at, client_id=None)):
                state.put(TOKEN, an_entry(entry.key, client_id="other"), NOW)
                state.put(TOKEN, entry, NOW)
                state.swap(TOKEN, entry, an_entry(entry.key, subject="other", expires_at=expires_at), NOW)
                state.take(TOKEN, entry.key, "client", NOW)
        state.spend([OnceKey(b"jti", NOW + 60)], NOW)
        state.draw("bucket", 1, Rate(1, 60), NOW)
        assert state.purge(NOW + 60, 100) == 4
        assert state.revoke(Index.ALL, "") == 2
        assert server.command("KEYS", "*") == b"*1\r\n$11\r\nas:arrivals\r\n"
