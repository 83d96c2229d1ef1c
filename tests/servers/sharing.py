"""Servers that all test processes share: the first one starts it, the last one that leaves stops it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar


class Shareable(Protocol):
    """A server that keeps everything in a folder, and that a process can stop which did not start it."""

    folder: Path

    def stop(self) -> None:
        """Stop it at once."""


S = TypeVar("S", bound=Shareable)


@contextmanager
def shared(
    name: str, folder: Path, at: Callable[[Path], S], start: Callable[[], S], end: Callable[[S], None]
) -> Iterator[S]:
    """The server *name* of all processes that name the same *folder*.

    Args:
        at: the server in a folder, where another process has started it.
        start: starts a new one.
        end: stops it, and takes its folder away.
    """
    place = folder / f"{name}.place"
    with (folder / f"{name}.users").open("w") as users:
        with _alone(folder / f"{name}.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)  # held as long as we use the server
            if place.exists():
                server = at(Path(place.read_text()))
            else:
                server = start()
                place.write_text(str(server.folder))
        try:
            yield server
        finally:
            with _alone(folder / f"{name}.lock"), suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody else does any more
                place.unlink()
                end(server)


def new_folder(name: str, user: str) -> Path:
    """Make a folder with a path short enough for a socket, where the server's *user* may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)
    return folder


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
