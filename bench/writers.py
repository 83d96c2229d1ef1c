"""Two workers that write into one SQLite file at once: no request may fail."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import load, servers, site
from bench.load import Outcome

WORKERS = 2


@dataclass(frozen=True)
class Writers:
    """One run against two workers."""

    server: str
    title: str
    outcome: Outcome

    @property
    def verdict(self) -> str:
        return "MISS" if self.outcome.failed else "hold"


def measure(kind: str, seconds: int, wrk: str, folder: Path) -> Iterator[Writers]:
    """Let 32 connections ask two workers for tokens, unpinned."""
    home = folder / f"writers-{kind}"
    server, _ = site.assembled(home)
    made = site.prepare(server)
    server.close()
    with servers.running(servers.SERVE, servers.environment(home, kind, WORKERS)) as running:
        for title, client in (("opaque", made.opaque), ("opaque, at most 10 living tokens", made.opaque_limited)):
            yield Writers(kind, title, load.run(wrk, running.url, client.token(), seconds, None, threads=2))
