"""What one, two and four workers answer, and what the machine does meanwhile: that tells what stops the line."""

import os
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from bench import load, servers, site
from bench.load import Outcome
from bench.stores import TITLES as TITLES_OF_STORES
from bench.stores import Store

NUMBERS = (1, 2, 4)
BUSY = 0.93  # of all cores: then no worker can get more
TITLES = {"introspection": "introspection", "opaque": "client_credentials, opaque"}


@dataclass(frozen=True)
class Run:
    """One run against some workers.

    Args:
        bound: whether each worker has a core of its own (PIN_WORKERS), as long as there are any.
        cores: how many cores the workers, the load and the stores' servers have used.
    """

    store: str
    server: str
    case: str
    workers: int
    bound: bool
    outcome: Outcome
    cores: tuple[float, float, float]

    @property
    def verdict(self) -> str:
        return "MISS" if self.outcome.failed else "hold"

    @property
    def what_stops(self) -> str:
        """What keeps it from answering more."""
        usable = len(os.sched_getaffinity(0))
        workers, made, stores = self.cores
        if sum(self.cores) >= BUSY * usable:
            return f"the {usable} cores: load and stores take {made + stores:.1f} of them"
        if self.workers == 1 and workers >= BUSY:
            return "the worker's core"
        if self.workers == 1 and workers >= BUSY * 0.8:
            return "the worker's interpreter lock, and short waits for the store"
        if self.store == TITLES_OF_STORES["sqlite"] and self.case == "opaque":
            return "SQLite: its writers take turns"
        return "waiting for the store, and for each other"

    def row(self, one: float) -> tuple[str, ...]:
        """Return the row of a table.

        Args:
            one: the rate of one worker that may use all cores.
        """
        return (
            self.store,
            self.server,
            TITLES[self.case],
            str(self.workers),
            "bound" if self.bound else "",
            f"{self.outcome.rate:,.0f}",
            f"{self.outcome.rate / one:.2f}" if one else "–",
            *(f"{used:.2f}" for used in self.cores),
            f"{self.outcome.p99:.1f}",
            str(self.outcome.failed),
            self.what_stops,
        )


HEAD = (
    "store",
    "server",
    "what",
    "workers",
    "",
    "a second",
    "times one",
    "cores: workers",
    "load",
    "stores",
    "p99 ms",
    "errors",
    "what stops it",
)


def measure(store: Store, kind: str, seconds: int, wrk: str) -> Iterator[Run]:
    """Let 32 connections ask one, two and four workers: all on all cores, and each bound to one."""
    place = store.place(f"workers-{kind}")
    made = site.prepare(place)
    for number, bound in product(NUMBERS, (False, True)):
        environment = {**servers.environment(place, kind, number), "AUTH_SERVER_PIN_WORKERS": str(bound)}
        with servers.running(servers.SERVE, environment) as running:
            token = site.answer(running.port, made.opaque.token())["access_token"]
            asks = {
                "introspection": made.opaque.ask(site.INTROSPECT, f"token={token}"),
                "opaque": made.opaque.token(),
            }
            for case, ask in asks.items():
                load.run(wrk, running.url, ask, 1, None, threads=2)
                before = _used(running.process.pid, store)
                outcome = load.run(wrk, running.url, ask, seconds, None, threads=2)
                after = _used(running.process.pid, store)
                workers, load_, stores = ((b - a) / seconds for a, b in zip(before, after, strict=True))
                yield Run(store.title, kind, case, number, bound, outcome, (workers, load_, stores))


def _used(pid: int, store: Store) -> tuple[float, float, float]:
    """Return the seconds that cores have spent on a server, on all runs of the load, and on the store's servers."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        servers.cpu_seconds(pid),
        children.ru_utime + children.ru_stime,
        sum(map(servers.cpu_seconds, store.processes())),
    )


def rows(runs: Iterable[Run]) -> list[tuple[str, ...]]:
    """Return the rows, each with how many times the rate of one worker on all cores it is."""
    ones: dict[tuple[str, str, str], float] = {}
    made = []
    for run in runs:
        one = ones.setdefault((run.store, run.server, run.case), run.outcome.rate)
        made.append(run.row(one))
    return made
