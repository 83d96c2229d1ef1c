"""Workers that die, and a server that stops while others still call."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests import proves
from tests.servers.auth_server import AuthServer
from tests.servers.processes import children, until
from tests.servers.visitors import SESSION, Visitor


def workers(server: AuthServer) -> set[int]:
    """The worker processes of a server."""
    assert server.process is not None
    return children(server.process.pid)


def until_it_serves(server: AuthServer) -> None:
    """Wait until a worker answers; where all have died, Granian's port is closed meanwhile."""

    def answers() -> bool:
        with suppress(OSError):
            return Visitor(server).call("GET", "/livez").status == 200
        return False

    until(answers)


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_worker_that_is_killed_again_and_again_is_replaced(tmp_path: Path, kind: str):
    """Three times in a row; the server goes on."""
    server = AuthServer(tmp_path, kind, workers=1)
    server.start()
    visitor = Visitor(server)
    try:
        for _ in range(3):
            assert visitor.call("GET", SESSION).status == 401
            (worker,) = workers(server)
            os.kill(worker, signal.SIGKILL)
            _until_replaced(server, worker)
        assert visitor.call("GET", SESSION).status == 401
    finally:
        server.stop()


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_signal_is_heard_whichever_thread_gets_it(tmp_path: Path, kind: str):
    """The kernel chooses one; a worker that does not hear it would serve on until it is killed."""
    server = AuthServer(tmp_path, kind, workers=1)
    server.start()
    try:
        assert Visitor(server).call("GET", SESSION).status == 401
        (worker,) = workers(server)
        others = {int(thread.name) for thread in Path(f"/proc/{worker}/task").iterdir()} - {worker}
        os.kill(min(others), signal.SIGTERM)  # to the process, but this thread is asked first
        _until_replaced(server, worker)
    finally:
        server.stop()


def _until_replaced(server: AuthServer, dead: int) -> None:
    """Wait until another worker has the port open."""
    visitor = Visitor(server)
    for _ in range(400):
        if workers(server) and dead not in workers(server):
            try:
                if visitor.call("GET", "/livez").status == 200:
                    return
            except OSError:
                pass
        signal.sigtimedwait([], 0.025)
    raise AssertionError("no worker came")


@proves("S-131")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_whoever_comes_while_the_server_drains_is_refused(tmp_path: Path, kind: str):
    """At once, and not left waiting for a worker that takes no more."""
    server = AuthServer(tmp_path, kind, workers=1)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), 10) as half:
        half.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{")
        assert Visitor(server).call("GET", "/livez").status == 200
        assert server.process is not None
        server.process.signal(signal.SIGTERM)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", server.port), 5).close()
            except ConnectionRefusedError:
                break
            signal.sigtimedwait([], 0.025)
        else:
            raise AssertionError("still accepted")
        half.sendall(b" " * 38 + b"}")
        assert half.recv(12) == b"HTTP/1.1 401"
    server.stop()


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_each_worker_has_a_core_of_its_own_where_they_are_bound(tmp_path: Path, kind: str):
    """All its threads have; who comes for one that was killed gets what that had, and one too many has all of them."""
    usable = os.sched_getaffinity(0)
    server = AuthServer(tmp_path, kind, workers=len(usable) + 1, pin_workers=True)
    server.start()
    try:
        until(lambda: _cores(server) == [*([core] for core in sorted(usable)), sorted(usable)])
        killed = next(worker for worker in workers(server) if len(os.sched_getaffinity(worker)) == 1)
        os.kill(killed, signal.SIGKILL)
        _until_replaced(server, killed)
        until(lambda: _cores(server) == [*([core] for core in sorted(usable)), sorted(usable)])
    finally:
        server.stop()


def _cores(server: AuthServer) -> list[list[int]]:
    """The cores that each worker may use, in order; those of a worker whose threads differ are none."""
    found = []
    for worker in workers(server):
        threads: set[frozenset[int]] = set()
        with suppress(OSError):  # a thread that has ended meanwhile
            for thread in Path(f"/proc/{worker}/task").iterdir():
                threads.add(frozenset(os.sched_getaffinity(int(thread.name))))
        found.append(sorted(threads.pop()) if len(threads) == 1 else [])
    return sorted(found, key=lambda cores: (len(cores), cores))


def test_workers_use_all_cores_unless_they_are_bound(tmp_path: Path):
    """The default; other programs on the machine may need one of them."""
    server = AuthServer(tmp_path, workers=1)
    server.start()
    try:
        until(lambda: _cores(server) == [sorted(os.sched_getaffinity(0))])
    finally:
        server.stop()
