"""Which cores there are, and each worker on one of its own."""

import fcntl
import os
import tempfile


def usable() -> list[int]:
    """Return the numbers of the cores that this process may use; where the system has no such thing, of all."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return list(range(os.cpu_count() or 1))


def pin_children() -> None:
    """Let each process that is forked from here use one core, that no living sibling has; if there is none, all.

    Python runs one of a process' threads at a time. On one core they hand over to each other; on several, each time
    one of them asks a store or a peer, another wakes up elsewhere, and that takes as long as a request (decision 0039).
    """
    cores = usable()
    # A lock on the n-th byte stands for the n-th core: a process has its locks for itself, and they end with it.
    places = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as there are processes

    def take() -> None:
        for place, core in enumerate(cores):
            try:
                fcntl.lockf(places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            os.sched_setaffinity(0, {core})
            return

    os.register_at_fork(after_in_child=take)
