"""What is wrong with REDIS_URL, or with the Redis that it names: told with what to write instead."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auth_server.errors import Unavailable
from auth_server.store.redis_state import RedisState
from auth_server.store.state import Index, Page
from tests.servers import proxy
from tests.servers.redis import Cluster, Redis, Watched, running
from tests.store.conformance.state import NOW, TOKEN, an_entry

Act = Callable[[RedisState], object]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of this test's own, to set up wrongly."""
    with running(tmp_path) as server:
        yield server


def put(state: RedisState) -> None:
    """Keep something."""
    state.put(TOKEN, an_entry(), NOW)


def find(state: RedisState) -> None:
    """Look for something."""
    state.find(TOKEN, Index.ALL, "", Page(), NOW)


def refusal(url: str, act: Act = RedisState.check) -> Unavailable:
    """Return how *act* ends."""
    state = RedisState(url, admit=lambda _: None)
    try:
        with pytest.raises(Unavailable) as caught:
            act(state)
    finally:
        state.close()
    assert "DATABASE_URL" not in caught.value.advice
    assert "hunter2" not in str(caught.value) + caught.value.advice
    return caught.value


@pytest.mark.parametrize(
    ("scheme", "authority", "path", "told", "advice"),
    [
        ("redis", "", "/99", "refuses (there is no database of that number)", "such as 0"),
        ("redis+sentinel", "", "/main/0", "refuses (that is no sentinel)", "write redis://HOST:6379/0"),
        ("rediss", "", "/0", "does not answer (Timeout connecting to server)", "with redis where not"),
        ("redis", "me:hunter2@", "/0", "refuses (invalid username-password pair", "user or the password in REDIS_URL"),
    ],
    ids=str,
)
def test_wrong_url_is_told(redis_server: Redis, scheme: str, authority: str, path: str, told: str, advice: str) -> None:
    """Without what is secret in it."""
    error = refusal(f"{scheme}://{authority}127.0.0.1:{redis_server.port}{path}?socket_connect_timeout=0.5")
    assert told in str(error)
    assert advice in error.advice


ALL = "+eval +evalsha +exists +info +role +select +time +get +set +hget +hmget +hset +del +zadd +zrem +zscore +zcount"
MISSING: dict[str, tuple[Act, str, str]] = {
    "+exists +select ~as:*": (put, "(its user may not run info)", "ACL SETUSER USER +info; or "),
    "+info +select ~as:*": (RedisState.check, "(its user may not run exists)", "ACL SETUSER USER +exists; or "),
    "+info +evalsha ~as:*": (put, "(its user may not run eval)", "ACL SETUSER USER +eval; or "),
    "+info +eval +evalsha ~as:*": (put, "(its user may not run a command of our scripts)", "docs/how-to/redis.md"),
    "+@all ~other:*": (put, "(its user may not use our keys)", "ACL SETUSER USER ~as:*; or "),
}


@pytest.mark.parametrize("rules", MISSING)
def test_right_that_the_user_has_not_is_named(server: Redis, rules: str) -> None:
    """The user is not: that is a part of the URL's credentials."""
    server.ask("ACL", "SETUSER", "hunter2", "reset", "on", ">secret", "+select", *rules.split())
    act, told, advice = MISSING[rules]
    error = refusal(f"redis://hunter2:secret@127.0.0.1:{server.port}/0", act)
    assert str(error) == f"Redis refuses {told}"
    assert advice in error.advice


def test_node_of_a_cluster_is_no_server(redis_cluster: Cluster) -> None:
    """Whether it has our keys or not; told at the start."""
    for node in redis_cluster.nodes[:3]:
        error = refusal(node.url)
        assert str(error) == "Redis refuses (it is a node of a cluster)"
        assert "redis+cluster://HOST:PORT" in error.advice


def test_server_is_no_cluster(redis_server: Redis) -> None:
    """It would do, with keys of its own that no other replica sees."""
    error = refusal(redis_server.url.replace("redis://", "redis+cluster://").rpartition("/")[0])
    assert str(error) == "Redis refuses (it is no cluster)"
    assert "write redis://HOST:6379/0" in error.advice


def test_sentinel_and_replica_are_not_the_master(watched_redis: Watched) -> None:
    """And its name must be right."""
    master = watched_redis.master()
    replica = next(one for one in watched_redis.servers if one is not master)
    for url in (replica.url, watched_redis.sentinel.url):
        error = refusal(url)
        assert "it is a replica, or does not say who it is" in str(error)
        assert "write redis+sentinel://" in error.advice
    error = refusal(watched_redis.url.replace("/main/", "/name/"))
    assert "the sentinels know no master name" in str(error)
    assert "sentinel monitor" in error.advice


def test_full_redis_is_told(server: Redis) -> None:
    """What is kept is not told."""
    server.ask("CONFIG", "SET", "maxmemory", "1")
    error = refusal(server.url, put)
    assert str(error) == "Redis refuses (it is full)"
    assert "maxmemory" in error.advice


def test_renamed_command_is_named(tmp_path: Path) -> None:
    """Its arguments are not."""
    with running(tmp_path, "--rename-command", "EVALSHA", "hidden") as server:
        error = refusal(server.url, find)
    assert str(error) == "Redis refuses (it does not know EVALSHA)"


def test_redis_that_is_away_is_told_with_where_the_url_is_set(server: Redis) -> None:
    server.stop()
    error = refusal(server.url)
    assert "Connection refused" in str(error)
    assert error.advice == "see whether it runs, and where REDIS_URL is set: auth-server config show"


def test_silent_redis_is_told(server: Redis) -> None:
    """Not as the kernel has it: resource temporarily unavailable."""
    with proxy.before(server.port) as silent:
        state = RedisState(f"redis://127.0.0.1:{silent.port}/?socket_timeout=0.5")
        state.check()
        silent.hold(0)
        with pytest.raises(Unavailable, match="it is silent"):
            state.check()
        silent.release()
        state.close()
