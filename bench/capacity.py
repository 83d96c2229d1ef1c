"""`python -m bench.capacity`, by `make bench-capacity`: what a request takes of each part of a site; bench/capacity.md.

From that follows what a site needs for so many requests a second, which docs/capacity.md tells.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import psycopg

from bench import load, machine, ratios, report, servers, site, stores
from bench.__main__ import SERVERS
from bench.load import Ask
from bench.site import Site
from bench.stores import Place, Store

RESULTS = Path(__file__).parent / "capacity.md"
ROOM = 0.7  # of a core is planned with: the rest is for peaks, rotations and replicas that are away
LIFE = 3600  # seconds a token lives
RATES = (1_000, 10_000, 100_000)
CHECKS = ("introspection", "introspection-anew")
CASES: dict[str, Callable[[Site, int], Ask]] = {
    case.title: case.make for case in ratios.CASES if case.name in ("opaque", "jwt", *CHECKS, "session")
}
FIRST_CHECK = next(case.title for case in ratios.CASES if case.name == "introspection-anew")
KEPT = ("client_credentials, opaque", "client_credentials, JWT ES256")  # what leaves a token behind


@dataclass(frozen=True)
class Usage:
    """What has been used: since the servers started, or for one request."""

    server: float  # seconds of cores
    postgresql: float
    redis: float
    wal: float  # bytes
    syncs: float
    database: float  # bytes
    memory: float  # bytes in Redis

    def each(self, before: "Usage", requests: int) -> "Usage":
        """Return what one of so many requests has used since *before*."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        return Usage(*((now - then) / max(requests, 1) for now, then in pairs))


@dataclass(frozen=True)
class Cost:
    """What one request takes."""

    store: str
    server_kind: str
    case: str
    rate: float
    failed: int
    usage: Usage

    def row(self) -> tuple[str, ...]:
        usage, kept = self.usage, self.case in KEPT
        return (
            self.store,
            self.server_kind,
            self.case,
            f"{self.rate:,.0f}",
            *(_some(seconds * 1e6) for seconds in (usage.server, usage.postgresql, usage.redis)),
            _some(usage.wal),
            f"{usage.syncs:.2f}" if usage.syncs >= 0.005 else "–",
            _some(usage.database) if kept else "–",
            _some(usage.memory) if kept else "–",
        )


HEAD = (
    "stores",
    "server",
    "request",
    "a second, one worker",
    "µs of a core: server",
    "PostgreSQL",
    "Redis",
    "WAL bytes",
    "syncs",
    "bytes kept: PostgreSQL",
    "Redis",
)
NEEDS = (
    "stores",
    "server",
    "tokens a second",
    "cores: servers",
    "PostgreSQL",
    "Redis",
    "WAL MB/s",
    "kept for an hour, GB: PostgreSQL",
    "Redis",
)


def _some(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 0.5 else "–"


def read(store: Store, place: Place, pid: int) -> Usage:
    """Return what the server below *pid* and its stores have used since they were started."""
    spent = dict.fromkeys(("postgres", "redis-server"), 0.0)
    for main in store.processes():
        name = Path(f"/proc/{main}/comm").read_text().strip()
        spent["redis-server" if "redis" in name else "postgres"] += servers.cpu_seconds(main)
    wal = syncs = database = memory = 0
    if store.postgresql:
        url = place.variables["AUTH_SERVER_DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, wal_sync,"
                " pg_database_size(current_database()) FROM pg_stat_wal"
            ).fetchone()
        assert found
        wal, syncs, database = map(int, found)
    if store.redis:
        memory = int(store.redis.info("used_memory"))
    own = servers.cpu_seconds(pid)
    return Usage(own, spent["postgres"], spent["redis-server"], wal, syncs, database, memory)


def measure(store: Store, kind: str, seconds: int, wrk: str, cores: tuple[int, int]) -> Iterator[Cost]:
    """Ask one worker for each kind of request, and read the meters before and after."""
    place = store.place(f"capacity-{kind}")
    made = site.prepare(place)
    with servers.running(servers.SERVE, servers.environment(place, kind), cores[0]) as running:
        for title, make in CASES.items():
            ask = make(made, running.port)
            load.run(wrk, running.url, ask, 1, cores[1])
            before = read(store, place, running.process.pid)
            outcome = load.run(wrk, running.url, ask, seconds, cores[1])
            after = read(store, place, running.process.pid)
            usage = after.each(before, outcome.requests)
            yield Cost(store.title, kind, title, outcome.rate, outcome.failed, usage)


def needs(costs: Iterable[Cost]) -> Iterator[tuple[str, ...]]:
    """Return what a site needs that issues so many tokens a second and checks each of them once."""
    by_case: dict[tuple[str, str], dict[str, Cost]] = {}
    for cost in costs:
        by_case.setdefault((cost.store, cost.server_kind), {})[cost.case] = cost
    for (store, kind), found in by_case.items():
        issued, checked = found[KEPT[0]].usage, found[FIRST_CHECK].usage
        if not (issued.postgresql or issued.redis):
            continue  # SQLite has one writer: it cannot be divided, and is no server that costs apart
        for rate in RATES:
            yield (
                store,
                kind,
                f"{rate:,}",
                _cores(rate * (issued.server + checked.server)),
                _cores(rate * (issued.postgresql + checked.postgresql)),
                _cores(rate * (issued.redis + checked.redis)),
                f"{rate * (issued.wal + checked.wal) / 1e6:,.1f}",
                f"{rate * LIFE * issued.database / 1e9:,.1f}",
                f"{rate * LIFE * issued.memory / 1e9:,.1f}",
            )


def _cores(seconds: float) -> str:
    """Return how many cores do so much in a second, in steps of a tenth."""
    return f"{math.ceil(seconds * 10 / ROOM) / 10:,.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of each run (10)")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this kind of server")
    parser.add_argument("--store", choices=ratios.EVERY, action="append", help="only this kind of store")
    asked = parser.parse_args()
    names: Sequence[str] = asked.store or ratios.EVERY
    wrk, cores = machine.find_wrk(), machine.cores()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        stores.started(names, Path(folder), cores[1]) as started,
    ):
        costs = [
            cost
            for store in started
            for kind in asked.server or SERVERS
            for cost in measure(store, kind, asked.seconds, wrk, cores)
        ]
    parts = [
        *report.head("Results of `make bench-capacity`"),
        "## What one request takes",
        f"One worker on one core, wrk with {load.CONNECTIONS} connections and the stores on another, {asked.seconds} s"
        " of each. Microseconds that cores were busy, by the kernel's count for each process; bytes of the write-ahead"
        " log and of the whole database, indexes too; bytes by Redis' own count. PostgreSQL commits to disk, Redis has"
        " `appendfsync everysec`.",
        report.table(HEAD, [cost.row() for cost in costs], words=3),
        "## What a site needs",
        f"Opaque tokens that live for {LIFE} s, each checked once. Cores are busy for {ROOM:.0%}.",
        report.table(NEEDS, needs(costs), words=2),
    ]
    print(*parts, sep="\n\n")
    failed = sum(cost.failed for cost in costs)
    if not (asked.server or asked.store):
        RESULTS.write_text("\n\n".join(parts) + "\n")
        print(f"\nWritten to {RESULTS.relative_to(Path.cwd())}.")
    print(f"\n{failed} failed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
