"""State in Redis keeps what every State promises."""

import os
from collections.abc import Callable
from functools import partial

import pytest

from auth_server.store.redis_state import RedisState
from auth_server.store.state import State
from tests.servers.redis import Redis
from tests.store.conformance.contention import TestStateContention  # noqa: F401
from tests.store.conformance.state import *  # noqa: F403


@pytest.fixture
def open_state(redis_server: Redis) -> Callable[[], State]:
    return partial(RedisState, redis_server.url, f"test-{os.urandom(8).hex()}:")
