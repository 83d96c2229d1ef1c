"""The ways to a Redis: TLS, users with few rights, a set that sentinels watch, a cluster; and their failovers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth_server import redis_url
from auth_server.errors import AuthServerError, Unavailable
from auth_server.store.redis_state import RedisState
from auth_server.store.state import Entry, Index, Kind, OnceKey, State
from tests import proves
from tests.servers import certificates
from tests.servers.auth_server import ROOT
from tests.servers.processes import until
from tests.servers.redis import Cluster, Redis, Sentinel, Watched, running, several
from tests.store.conformance.state import EVERYTHING, NOW, TOKEN, an_entry, put_many
from tests.store.test_redis_connections import READS, WRITES, marked_entries, wrong_answers
from tests.store.test_redis_with_journal import opened as opened_with_journal

# What docs/how-to/redis.md says that suffices.
RIGHTS = "~as:* resetchannels -@all +eval +evalsha +exists +info +role +select +get +set +setrange +incr +time +hget"
RIGHTS += " +hmget +hset +del"
RIGHTS += " +zadd +zrem +zscore +zcount +zrange +zrangebyscore +zrevrangebyscore +zrangebylex +client|setname"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own, to do harm to."""
    with running(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key."""
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory, files: tuple[Path, Path]) -> Iterator[str]:
    """A Redis that wants a certificate of its clients too."""
    own = ("--tls-cert-file", str(files[0]), "--tls-key-file", str(files[1]), "--tls-ca-cert-file", str(files[0]))
    server = Redis(tmp_path_factory.mktemp("redis"), *own)
    server.start("--tls-port", str(server.port), "--port", "0", "--tls-auth-clients", "yes")
    yield server.url.replace("redis:", "rediss:")
    server.stop()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A set of this module's own, to do harm to."""
    with several(Watched, tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own, to do harm to."""
    with several(Cluster, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def tokens_and_code(state: State) -> tuple[Entry, Entry, Entry]:
    """Put two tokens and a code."""
    one, other = put_many(state, 2)
    code = an_entry()
    state.put(Kind.CODE, code, NOW)
    return one, other, code


def end(state: State, token: Entry, code: Entry) -> None:
    """Revoke a token and redeem a code."""
    assert state.revoke(Index.KEY, token.key.hex()) == 1
    taken = state.take(Kind.CODE, code.key, "client", NOW)
    assert taken is not None
    assert taken.first


def check_ended(state: State, dead: Entry, alive: Entry, code: Entry) -> None:
    """Make sure that what was acknowledged holds."""
    assert state.get(TOKEN, dead.key, NOW) is None
    assert state.get(TOKEN, alive.key, NOW) == alive
    taken = state.take(Kind.CODE, code.key, "client", NOW)
    assert taken is not None
    assert not taken.first


class TestTls:
    """rediss://"""

    def test_both_sides_show_certificates(self, tls_url: str, files: tuple[Path, Path]) -> None:
        """The server's is checked against the authorities that are named."""
        state = RedisState(f"{tls_url}?ssl_ca_certs={files[0]}&ssl_certfile={files[0]}&ssl_keyfile={files[1]}")
        entries = marked_entries(state, 3)
        assert wrong_answers(state, entries) == 0
        state.close()

    def test_unknown_authority_or_no_certificate_is_unavailable(self, tls_url: str, files: tuple[Path, Path]) -> None:
        """No connection is made without."""
        for options in (f"ssl_certfile={files[0]}&ssl_keyfile={files[1]}", f"ssl_ca_certs={files[0]}"):
            with pytest.raises(Unavailable):
                RedisState(f"{tls_url}?{options}").check()

    def test_certificate_for_another_name_is_unavailable(self, tls_url: str, files: tuple[Path, Path]) -> None:
        """Unless the URL says that names do not count."""
        options = f"ssl_ca_certs={files[0]}&ssl_certfile={files[0]}&ssl_keyfile={files[1]}"
        other = tls_url.replace("127.0.0.1", "localhost")
        with pytest.raises(Unavailable, match=r"not valid for|doesn't match|mismatch"):
            RedisState(f"{other}?{options}").check()
        RedisState(f"{other}?{options}&ssl_check_hostname=no").check()

    def test_plain_connection_to_a_tls_port_is_unavailable(self, tls_url: str) -> None:
        """It does not hang either, and says how such a URL begins."""
        with pytest.raises(Unavailable) as caught:
            RedisState(tls_url.replace("rediss:", "redis:")).check()
        assert "begins with rediss" in caught.value.advice


class TestUsers:
    """Users of Redis' access control lists."""

    def test_a_user_with_few_rights_can_do_everything(self, server: Redis) -> None:
        """What the documentation says suffices, also to give connections a name."""
        assert set(RIGHTS.split()) <= set((ROOT / "docs/how-to/redis.md").read_text().split())
        server.ask("ACL", "SETUSER", "app", "on", ">p@ss/w:rd", *RIGHTS.split())
        named = server.url.replace("://", "://app:p%40ss%2Fw%3Ard@") + "?client_name=replica-1"
        state = RedisState(named)
        for act in (READS | WRITES).values():
            act(state)
        assert b" name=replica-1 " in server.ask("CLIENT", "LIST")
        state.close()

    def test_a_right_that_is_missing_is_unavailable(self, server: Redis) -> None:
        """Nothing is half done, and the password is in no sentence."""
        server.ask("ACL", "SETUSER", "app", "on", ">hunter2", "~other:*", "+@all")
        state = RedisState(server.url.replace("://", "://app:hunter2@"))
        for act in (READS | WRITES).values():
            with pytest.raises(Unavailable) as raised:
                act(state)
            assert "hunter2" not in str(raised.value)
        assert server.ask("KEYS", "*") == []


class TestSentinel:
    """redis+sentinel://"""

    def test_a_failover_in_peace_is_followed(self, watched: Watched) -> None:
        """The old master closes its connections; the next command finds the new one."""
        state = RedisState(watched.url)
        entries = marked_entries(state, 20)
        watched.settle()
        watched.fail_over()
        watched.settle()
        assert wrong_answers(state, entries) == 0
        for act in WRITES.values():
            act(state)
        state.close()

    def test_the_replica_of_a_dead_master_takes_over(self, watched: Watched) -> None:
        """In between nothing is known; then what it had replicated is there."""
        state = RedisState(watched.url)
        entries = marked_entries(state, 20)
        before = watched.master()
        watched.settle()
        before.stop()
        with pytest.raises(Unavailable):
            state.check()
        until(lambda: watched.master() is not before)
        assert wrong_answers(state, entries) == 0
        state.revoke(Index.ALL, "")
        state.close()
        before.start("--replicaof", "127.0.0.1", str(watched.master().port))

    @proves("S-133")
    def test_what_the_replica_of_a_dead_master_has_not_heard_of_holds(
        self, watched: Watched, sqlite_files: Path
    ) -> None:
        """Revocations are done again before anybody sees it, codes are not redeemed again, and the rest lives on."""
        one, other = (opened_with_journal(watched.url, sqlite_files) for _ in range(2))
        dead, alive, code = tokens_and_code(one)
        before = watched.master()
        watched.settle()
        before.let_nobody_follow()
        end(one, dead, code)
        before.stop()
        until(lambda: watched.master() is not before)
        assert watched.master().ask("EXISTS", b"as:entry:" + dead.key + b"\1") == 1
        for state in (other, one):
            check_ended(state, dead, alive, code)
            state.close()
        before.start("--replicaof", "127.0.0.1", str(watched.master().port))

    def test_sentinels_that_do_not_answer_are_passed_over(self, watched: Watched) -> None:
        """One that does is enough."""
        port = watched.sentinel.port
        RedisState(watched.url.replace("127.0.0.1:", "127.0.0.1:1,127.0.0.1:")).check()
        with pytest.raises(Unavailable):
            RedisState(watched.url.replace(str(port), "1")).check()

    def test_unknown_master_is_told(self, watched: Watched) -> None:
        """By its name."""
        with pytest.raises(Unavailable, match="no master other"):
            RedisState(watched.url.replace("main", "other")).check()

    def test_sentinels_and_servers_have_users_of_their_own(self, server: Redis, tmp_path: Path) -> None:
        """Each of the two passwords is shown to whom it is for."""
        server.ask("CONFIG", "SET", "requirepass", "of-redis")
        folder = tmp_path / "sentinel"
        folder.mkdir()
        sentinel = Sentinel(folder, server, "requirepass of-sentinel", "sentinel auth-pass main of-redis")
        sentinel.start()
        where = f"127.0.0.1:{sentinel.port}/main/1"
        try:
            RedisState(f"redis+sentinel://:of-redis@{where}?sentinel_password=of-sentinel").check()
            for wrong in (f":of-redis@{where}", f":of-sentinel@{where}?sentinel_password=of-sentinel"):
                with pytest.raises(Unavailable):
                    RedisState(f"redis+sentinel://{wrong}").check()
        finally:
            sentinel.stop()


class TestCluster:
    """redis+cluster://"""

    PREFIX = "{as}:"

    @pytest.fixture
    def state(self, cluster: Cluster) -> Iterator[RedisState]:
        state = RedisState(cluster.url)
        yield state
        state.close()

    def test_every_node_leads_to_the_one_that_has_our_keys(self, cluster: Cluster, state: RedisState) -> None:
        """A replica too."""
        entries = marked_entries(state, 5)
        for node in cluster.nodes:
            other = RedisState(f"redis+cluster://127.0.0.1:{node.port}")
            assert wrong_answers(other, entries) == 0
            other.close()

    def test_while_our_slot_moves_entries_can_be_read(self, cluster: Cluster, state: RedisState) -> None:
        """Half of the keys are there, half here: scripts wait, for none sees them all; afterwards all is as it was."""
        state.revoke(Index.ALL, "")
        entries = marked_entries(state, 40)
        source = cluster.owner(self.PREFIX)
        target = next(node for node in cluster.nodes[:3] if node is not source)
        cluster.begin_move(self.PREFIX, target)
        cluster.move(self.PREFIX, target, 25)
        assert wrong_answers(state, entries) == 0
        state.check()
        for act in WRITES.values():
            with pytest.raises(Unavailable):
                act(state)
        assert wrong_answers(RedisState(cluster.url), entries) == 0
        cluster.move(self.PREFIX, target, 1000)
        cluster.end_move(self.PREFIX, target)
        assert wrong_answers(state, entries) == 0
        assert len(state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW)) == 40
        for act in WRITES.values():
            act(state)

    @proves("S-133")
    def test_the_replica_of_a_dead_node_takes_over(
        self, cluster: Cluster, state: RedisState, sqlite_files: Path
    ) -> None:
        """It is found although no URL names it; and where there is a journal, what it has not heard of holds."""
        entries = marked_entries(state, 20)
        journaled = opened_with_journal(cluster.url, sqlite_files)
        revoked, alive, code = tokens_and_code(journaled)
        dead = cluster.owner(self.PREFIX)
        replica = cluster.nodes[3]
        cluster.replicate(replica, dead)
        dead.let_nobody_follow()
        end(journaled, revoked, code)
        cluster.take_over(replica, dead)
        assert wrong_answers(state, [*entries, revoked]) == 0
        check_ended(journaled, revoked, alive, code)
        journaled.close()
        assert state.spend([OnceKey(b"k", NOW + 1)], NOW) is None
        for act in WRITES.values():
            act(state)
        assert cluster.owner(self.PREFIX) is replica


MISTAKES: dict[str, str] = {
    "http://h/": "must begin with",
    "redis+sentinel://h:26379": "master's name",
    "redis+sentinel://h:26379/main/x": "number of a database",
    "redis+cluster://h/1": "database 0 alone",
    "redis://h,i/0": "several hosts",
    "redis://h/0?ssl_ca_certs=/etc/hosts": "needs rediss",
    "rediss://h/0?ssl_ca_certs=/no/such": "no /no/such that can be read",
    "rediss://h/0?ssl_cert_reqs=none": "no option ssl_cert_reqs",
    "rediss://h/0?ssl_keyfile=/etc/hosts": "needs ssl_certfile",
    "redis://h/0?sentinel_password=hunter2": r"needs redis\+sentinel",
    "redis://h/0?socket_timeout=-1": "not seconds",
    "redis://h/0?decode_responses=yes": "no option decode_responses",
    "unix://host/run/redis.sock": "path of a socket",
    "redis://:hunter2#x@h/0": "percent-encoded",
    "redis+sentinel://:hunter2@h:26379,i:x/main": "host or port",
}


@proves("S-158")
@pytest.mark.parametrize("url", MISTAKES, ids=str)
def test_wrong_url_is_told(url: str) -> None:
    """In a sentence about this URL, which holds no password."""
    with pytest.raises(ValueError, match=MISTAKES[url]) as raised:
        redis_url.read(url)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(AuthServerError, match="REDIS_URL: "):
        RedisState(url)


def test_all_forms_are_read() -> None:
    """Users, databases and options come to where they belong."""
    sentinels = redis_url.read(
        "rediss+sentinel://me:p%40ss@[::1],s2:26380/the%20master/3?sentinel_username=watcher&sentinel_password=x"
    )
    assert (sentinels.kind, sentinels.tls, sentinels.master) == ("sentinel", True, "the master")
    assert sentinels.nodes == (("::1", 26379), ("s2", 26380))
    assert sentinels.options == {"username": "me", "password": "p@ss", "db": 3}
    assert sentinels.sentinel_options == {"username": "watcher", "password": "x"}
    cluster = redis_url.read("redis+cluster://:secret@a,b:7000?socket_timeout=0.5")
    assert (cluster.kind, cluster.tls, cluster.nodes) == ("cluster", False, (("a", 6379), ("b", 7000)))
    assert cluster.options == {"password": "secret", "socket_timeout": 0.5}
    assert redis_url.read("redis://").nodes == (("localhost", 6379),)
    assert redis_url.read("unix://:p@/run/redis.sock?db=2").options == {
        "path": "/run/redis.sock",
        "password": "p",
        "db": 2,
    }
    assert "secret" not in repr(cluster)
