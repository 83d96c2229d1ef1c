"""Two workers that write into one SQLite file at once: no request may fail."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench import load, servers, site
from bench.load import Outcome
from bench.stores import Store

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


def measure(kind: str, seconds: int, wrk: str, store: Store) -> Iterator[Writers]:
    """Let 32 connections ask two workers for tokens, unpinned."""
    place = store.place(f"writers-{kind}")
    made = site.prepare(place)
    with servers.running(servers.SERVE, servers.environment(place, kind, WORKERS)) as running:
        for title, client in (("opaque", made.opaque), ("opaque, at most 10 living tokens", made.opaque_limited)):
            yield Writers(kind, title, load.run(wrk, running.url, client.token(), seconds, None, threads=2))
