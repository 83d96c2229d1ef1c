"""Server processes as production runs them: info lines as JSON into a file, everything else at its default."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.stores import Place

ROOT = Path(__file__).parent.parent
ADMIN_PASSWORD = "only-for-the-benchmark"
SERVE = (sys.executable, "-m", "auth_server", "serve")
BARE = (sys.executable, "-m", "bench.bare")
_TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 60  # seconds for a server to start or to stop


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Args:
        seconds: from the command to the first good answer.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def environment(place: Place, server: str = "gunicorn", workers: int = 1, port: int = 0) -> dict[str, str]:
    """Return the environment of a server; nothing of the caller's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTH_SERVER_")}
    return kept | {
        **place.variables,
        "AUTH_SERVER_HOME": str(place.home),
        "AUTH_SERVER_KEYS_DIR": str(place.home / "keys"),
        "AUTH_SERVER_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "AUTH_SERVER_SERVER": server,
        "AUTH_SERVER_WORKERS": str(workers),
        "AUTH_SERVER_HOST": "127.0.0.1",
        "AUTH_SERVER_PORT": str(port or free_port()),
        "AUTH_SERVER_LOG_LEVEL": "info",
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], variables: dict[str, str], core: int | None = None) -> Iterator[Running]:
    """Start one of our servers, give it when it is ready, and stop it; the rest is as in `started`."""
    port, log = int(variables["AUTH_SERVER_PORT"]), Path(variables["AUTH_SERVER_HOME"] + ".log")
    with started(command, variables, port, "/readyz", log, core) as server:
        yield server


@contextmanager
def started(
    command: Sequence[str],
    variables: dict[str, str],
    port: int,
    path: str,
    log: Path,
    core: int | None = None,
    folder: Path = ROOT,
) -> Iterator[Running]:
    """Start a server, give it when it answers to a GET of *path*, and stop it.

    Args:
        log: where it may write; the file is removed at the end.
        core: the only core it may use; None for all.
        folder: where the command is run.

    Raises:
        RuntimeError: it ended at once, or did not answer in time; with the end of its log.
    """
    pinned = ["taskset", "-c", str(core), *command] if core is not None else list(command)
    begun = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(pinned, env=variables, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - begun > PATIENCE:
                raise RuntimeError(f"{' '.join(command)} does not answer:\n{log.read_text()[-2000:]}")
            time.sleep(0.005)
        yield Running(process, port, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.unlink()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def descendants(pid: int) -> list[int]:
    """Return the processes below *pid*, children before grandchildren."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


def cpu_seconds(pid: int) -> float:
    """Return the seconds that cores have spent on a process and those below it, while they live."""
    return sum(map(_cpu_seconds, (pid, *descendants(pid))))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
