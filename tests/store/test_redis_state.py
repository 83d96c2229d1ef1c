"""State in Redis keeps what every State promises, on one server, behind a sentinel and in a cluster."""

import os
from collections.abc import Callable
from functools import partial

import pytest

from auth_server.store.guess import Guess
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.redis_state import RedisState
from auth_server.store.state import State
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403


@pytest.fixture(params=["redis_server", "watched_redis", "redis_cluster"], scope="module")
def url(request: pytest.FixtureRequest) -> str:
    """Where a Redis of some kind is."""
    found: str = request.getfixturevalue(request.param).url
    return found


def opened(url: str, prefix: str) -> State:
    """Open a state in Redis."""
    return OptimisticState(RedisState(url, prefix), Guess())


@pytest.fixture
def open_state(url: str) -> Callable[[], State]:
    prefix = f"{{test-{os.urandom(8).hex()}}}:"
    return partial(opened, url, prefix)
