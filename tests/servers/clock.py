"""A clock that all processes of a test share, by a file that each of them maps into its memory."""

import mmap
from pathlib import Path

SIZE = 8


class SharedClock:
    """Unix seconds that stand still until a test moves them; every process sees it at once.

    Args:
        file: made by `create`.
    """

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), SIZE)

    @classmethod
    def create(cls, file: Path, now: int) -> "SharedClock":
        """Return a new clock that shows *now*."""
        file.write_bytes(now.to_bytes(SIZE, "little"))
        return cls(file)

    def __call__(self) -> int:
        return int.from_bytes(self._memory[:], "little")

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self._memory[:] = (self() + seconds).to_bytes(SIZE, "little")
