"""What a thread is going to ask a store for: it comes along with another answer, and saves a round trip."""

import threading
from collections.abc import Sequence
from typing import Any


class Ahead(threading.local):
    """An entry that this thread is going to ask for, and the row that came along with another answer.

    Attributes:
        marks: as they were then, or earlier (recent.py).
    """

    id: bytes | None = None
    row: Sequence[Any] | None = None
    marks: bytes = b""

    def __enter__(self) -> None:
        self.row = None

    def __exit__(self, *error: object) -> None:
        self.id = self.row = None

    def taken(self, id_: bytes) -> Sequence[Any] | None:
        """Return the row of this entry if it has come, once."""
        if self.row is None or self.id != id_:
            return None
        row, self.row = self.row, None
        return row
