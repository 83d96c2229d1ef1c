"""How long a start takes, from the command to the first 200 of /readyz."""

import shutil
from dataclasses import dataclass

from bench import servers
from bench.stores import Place, Store

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


def measure(kind: str, store: Store) -> list[Start]:
    """Return a first start, with an empty HOME, and a second one."""
    place = store.place(f"start-{kind}")
    first = start(servers.SERVE, place, kind)
    second = start(servers.SERVE, place, kind)
    found = [Start(f"{kind}: first start", first), Start(f"{kind}: second start", second, MAX_SECOND)]
    if shutil.which("make") and (servers.ROOT / ".venv/runtime.stamp").exists():  # else make would install first
        made = start(("make", "--silent", "run"), place, kind)
        found.append(Start(f"{kind}: second start by make run", made, MAX_SECOND))
    return found


def start(command: tuple[str, ...], place: Place, kind: str) -> float:
    with servers.running(command, servers.environment(place, kind)) as running:
        return running.seconds
