"""Memory, as the kernel counts it in smaps_rollup, after token requests and before the first login."""

from dataclasses import dataclass
from pathlib import Path

from bench import load, servers, site
from bench.stores import Store

MAX_WORKER_PRIVATE = 30.0  # MiB for each further gunicorn worker
MAX_GRANIAN_PSS = 130.0  # MiB of all processes with one worker


@dataclass(frozen=True)
class Size:
    """What was measured, in MiB, and what it may be at most."""

    title: str
    mib: float
    limit: float | None = None

    @property
    def verdict(self) -> str:
        return "–" if self.limit is None else "hold" if self.mib <= self.limit else "MISS"


def measure(kind: str, wrk: str, store: Store) -> list[Size]:
    """Return the sizes of a server of this kind."""
    place = store.place(f"memory-{kind}")
    made = site.prepare(place)
    workers = 3 if kind == "gunicorn" else 1
    with servers.running(servers.SERVE, servers.environment(place, kind, workers)) as running:
        main, below = running.process.pid, servers.descendants(running.process.pid)
        idle = [private(pid) for pid in below]
        load.run(wrk, running.url, made.opaque.token(), 2, None)
        total = sum(pss(pid) for pid in (main, *below))
        if kind == "granian":
            return [Size("Granian, one worker: PSS of all processes", total, MAX_GRANIAN_PSS)]
        return [
            Size("gunicorn: private memory of a worker, just started", max(idle), MAX_WORKER_PRIVATE),
            Size("… after 2 s of token requests", max(private(pid) for pid in below), MAX_WORKER_PRIVATE),
            Size(f"gunicorn, {workers} workers: PSS of all processes", total),
        ]


def private(pid: int) -> float:
    """Return the MiB that only this process holds."""
    return _sum(pid, "Private_Clean", "Private_Dirty")


def pss(pid: int) -> float:
    """Return the process's share of memory in MiB: its own, and its part of what it shares."""
    return _sum(pid, "Pss")


def resident(pid: int) -> float:
    """Return the MiB of the process that are in memory, its own and shared."""
    return _sum(pid, "Rss")


def _sum(pid: int, *names: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return sum(kib[name] for name in names) / 1024
