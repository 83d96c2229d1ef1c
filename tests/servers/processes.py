"""Our programs that serve, each in a process group of its own: started until they are ready, and ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE = 15  # seconds


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Return when *condition* holds; it is asked again and again, for other programs do not tell us.

    Args:
        patience: seconds after which it should have come true.
    """
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"{condition} does not come true"
        time.sleep(0.02)


def until_it_answers(
    process: "subprocess.Popen[bytes]", answers: Callable[[], bool], log: Path, patience: float
) -> None:
    """Return when a program that has been started *answers*.

    Args:
        patience: seconds.

    Raises:
        RuntimeError: it has ended, or takes too long; with its log.
    """

    def has_come() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        return answers()

    try:
        until(has_come, patience)
    except AssertionError:
        raise RuntimeError(log.read_text()) from None


def until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when a program takes connections at *port*; what it raises is as in `until_it_answers`."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    until_it_answers(process, listens, log, 10)


def children(pid: int) -> set[int]:
    """Return the processes that a process has started, also those that have ended and were not looked after yet."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


class Serving:
    """One of them, which has printed *until*, or has ended before.

    Args:
        log: what it writes to standard error is added here.
        until: how the line begins that says that it is ready.
    """

    def __init__(self, command: Sequence[Any], environment: Mapping[str, str], log: Path, until: str) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[2],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.printed = ""
        self.is_ready = False
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.printed += line
            if line.startswith(until):
                self.is_ready = True
                break

    def signal(self, how: int, *, group: bool = False) -> None:
        """Send a signal, to its workers too if to the *group*."""
        if group:
            os.killpg(self.pid, how)
        else:
            self._process.send_signal(how)

    def wait(self, patience: float = 15) -> int:
        """Return its exit code, as soon as it has ended."""
        code = self._process.wait(patience)
        self._close()
        return code

    def kill(self) -> None:
        """End it with all that it has started, whatever it does."""
        if self._process.poll() is None:
            self.signal(signal.SIGKILL, group=True)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
