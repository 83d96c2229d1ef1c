"""Files are not endless: what the web servers do about that."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import granian  # noqa: F401  # the first import lets the process open as many files as it may ever
import pytest

from auth_server import settings
from auth_server.cli import granian_worker, web_servers
from tests import proves


@contextmanager
def files(most: int) -> Iterator[None]:
    """Let this process open no more than so many, as where it may not raise the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("redis", "most"), [("", 896), ("redis://127.0.0.1:6379/0", 448)])
def test_granians_threads_find_files_for_redis(tmp_path: Path, redis: str, most: int):
    """Each connection may have one, and so needs two files where state is in Redis."""
    given = {"AUTH_SERVER_HOME": str(tmp_path), "AUTH_SERVER_REDIS_URL": redis, "AUTH_SERVER_WORKERS": "1"}
    loaded = settings.load(given).settings
    with files(1024):
        options = web_servers.granian_options(loaded)
    assert (options["backpressure"], options["blocking_threads"]) == (most, most)


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({}, 4),
        ({"DATABASE_URL": "postgresql://auth@db/auth"}, 8),
        ({"REDIS_URL": "redis://127.0.0.1:6379/0"}, 8),
        ({"REDIS_URL": "redis://127.0.0.1:6379/0", "THREADS": "3"}, 3),
    ],
)
def test_gunicorn_has_more_threads_where_stores_are_far(tmp_path: Path, given: dict[str, str], threads: int):
    """They wait more; what is set counts."""
    variables = {f"AUTH_SERVER_{name}": value for name, value in given.items()}
    loaded = settings.load({"AUTH_SERVER_HOME": str(tmp_path), **variables}).settings
    assert web_servers.gunicorn_options(loaded)["threads"] == threads


SIGNALS = """
import signal, time
from {module} import {event}
one = {event}()
signal.signal(signal.SIGALRM, lambda *_: one.set())
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
ends = time.monotonic() + 1
while time.monotonic() < ends:
    one.clear()
    one.wait()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
"""


def test_a_signal_finds_granian_awake_at_any_moment():
    """Its handler sets what the same thread waits for; Python's own Event waits for itself then."""
    program = SIGNALS.format(module="auth_server.cli.web_servers", event="Interrupt")
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


@proves("S-140")
def test_looking_for_slow_peers_outlives_a_lack_of_files():
    """What looks is a thread that nobody would start again."""
    with files(3):
        granian_worker.cut_slow(2342, 1000)
