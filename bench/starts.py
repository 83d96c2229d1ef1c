"""How long a start takes, from the command to the first 200 of /readyz."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench import servers

MAX_SECOND = 3.0  # seconds


@dataclass(frozen=True)
class Start:
    """One start, in seconds."""

    title: str
    seconds: float
    limit: float | None = None

    @property
    def verdict(self) -> str:
        return "–" if self.limit is None else "hold" if self.seconds <= self.limit else "MISS"


def measure(kind: str, folder: Path) -> list[Start]:
    """Return a first start, with an empty HOME, and a second one."""
    home = folder / f"start-{kind}"
    first = _start(servers.SERVE, home, kind)
    second = _start(servers.SERVE, home, kind)
    found = [Start(f"{kind}: first start", first), Start(f"{kind}: second start", second, MAX_SECOND)]
    if shutil.which("make") and (servers.ROOT / ".venv/runtime.stamp").exists():  # else make would install first
        made = _start(("make", "--silent", "run"), home, kind)
        found.append(Start(f"{kind}: second start by make run", made, MAX_SECOND))
    return found


def _start(command: tuple[str, ...], home: Path, kind: str) -> float:
    with servers.running(command, servers.environment(home, kind)) as running:
        return running.seconds
