"""Eight bytes that all processes of a machine map: whoever changes something writes new ones there."""

import mmap
import os
from pathlib import Path

LENGTH = 8  # bytes
UNSETTLED = bytes(LENGTH)


class Mark:
    """Says whether something has changed since one looked, at the price of reading memory.

    Args:
        path: of the file with the bytes; it is made if need be, and holds nothing that must last.
    """

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, LENGTH)
            self._mapped = mmap.mmap(file, LENGTH)
        finally:
            os.close(file)

    def read(self) -> bytes:
        """Return the bytes that stand there now."""
        return self._mapped[:]

    def unsettle(self) -> None:
        """Say that something is about to change: nobody may rely on the mark until it is moved."""
        self._mapped[:] = UNSETTLED

    def move(self) -> None:
        """Say that something has changed."""
        self._mapped[:] = os.urandom(LENGTH)
