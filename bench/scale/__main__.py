"""`python -m bench.scale`, by `make bench-scale`: what a lot of everything does; into bench/scale.md."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from auth_server.background import PURGE_EVERY
from bench import machine, ratios, report, stores
from bench.__main__ import SERVERS
from bench.scale import fill, growth, hot, lists, purge, workers
from bench.scale.hot import Side
from bench.stores import Store

RESULTS = Path(__file__).parent.parent / "scale.md"
PARTS = ("hot", "start", "purge", "memory", "lists", "workers")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each case (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this kind of server")
    parser.add_argument("--store", choices=ratios.EVERY, action="append", help="only this kind of store")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    parser.add_argument("--tenth", action="store_true", help="fill with a tenth of everything")
    parser.add_argument("--purge-seconds", type=int, default=200, help="how long tokens are issued that expire (200)")
    parser.add_argument(
        "--requests", type=int, default=1_000_000, help="after which memory must be as before (1000000)"
    )
    return parser.parse_args()


class Report:
    """Tables as they come, and what they held."""

    def __init__(self) -> None:
        self.parts = report.head("Results of `make bench-scale`")
        self.verdicts: list[str] = []
        print(*self.parts, sep="\n\n", flush=True)

    def tell(self, title: str, said: str, table: str, verdicts: Iterable[str]) -> None:
        self.verdicts += verdicts
        self.parts += (f"## {title}", said, table)
        print("", *self.parts[-3:], sep="\n\n", flush=True)


def main() -> int:
    asked = arguments()
    wrk, cores = machine.find_wrk(), machine.cores()
    kinds: Sequence[str] = asked.server or SERVERS
    names: Sequence[str] = asked.store or ratios.EVERY
    parts: Sequence[str] = asked.part or PARTS
    told = Report()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        filled = [name for name in names if "redis" not in name]
        if filled and set(parts) - {"workers"}:
            with stores.started(filled, Path(folder), cores[1]) as started:
                _over_a_lot(started, kinds, parts, asked, wrk, cores, told)
        if "workers" in parts:
            with stores.started(names, Path(folder)) as started:
                _by_several(started, kinds, asked, wrk, told)
    missed = told.verdicts.count("MISS")
    print(f"\n{len(told.verdicts) - missed} held, {missed} missed.")
    if not (asked.server or asked.store or asked.part or asked.tenth):
        RESULTS.write_text("\n\n".join(told.parts) + "\n")
        print(f"Written to {RESULTS.relative_to(Path.cwd())}.")
    return 1 if missed else 0


def _over_a_lot(
    started: Sequence[Store],
    kinds: Sequence[str],
    parts: Sequence[str],
    asked: argparse.Namespace,
    wrk: str,
    cores: tuple[int, int],
    told: Report,
) -> None:
    size = fill.TENTH if asked.tenth else fill.FULL
    sides: dict[str, tuple[Side, Side]] = {}
    for store in started:
        empty, full = store.place("empty"), store.place("full")
        sides[store.title] = Side(empty, fill.fill(empty, fill.EMPTY)), Side(full, fill.fill(full, size))
        print(f"{store.title}: filled in {sides[store.title][1].filled.seconds:.0f} s", file=sys.stderr, flush=True)
    pairs = [(title, kind, both) for title, both in sides.items() for kind in kinds]
    there = f"{size.all_tokens:,} living tokens, {size.users:,} users and {size.clients:,} clients"
    if "hot" in parts:
        ratios_ = [
            result
            for title, kind, both in pairs
            for result in hot.measure(title, kind, both, asked.rounds, asked.seconds, wrk, cores)
        ]
        told.tell(
            "The hot path",
            f"{there}, of which {fill.SAMPLES} ask in turn, beside a store that holds those {fill.SAMPLES} alone: both"
            f" live on one core, taking turns, {asked.rounds} rounds of {asked.seconds} s, as in `make bench`.",
            report.table(hot.HEAD, [result.row() for result in ratios_], words=3),
            [result.verdict for result in ratios_],
        )
    if "start" in parts:
        starts = [hot.start(title, kind, both, asked.rounds) for title, kind, both in pairs]
        told.tell(
            "Start",
            "Seconds from the command to the first 200 of /readyz, the median of as many starts.",
            report.table(hot.START_HEAD, [row for row, _ in starts], words=2),
            [verdict for _, verdict in starts],
        )
    if "purge" in parts:
        purged = [purge.measure(title, full.place, asked.purge_seconds) for title, (_, full) in sides.items()]
        told.tell(
            "Purge",
            f"{purge.RATE:,} tokens a second that live for {purge.LIFE} s come into the full store for"
            f" {asked.purge_seconds} s, by direct calls of the store, in a process that purges every {PURGE_EVERY} s as"
            " a worker does. What has expired is counted once a second, and every token's way into the store is timed.",
            report.table(purge.HEAD, [one.row() for one in purged]),
            [one.verdict for one in purged],
        )
    if "memory" in parts:
        grown = [
            growth.measure(title, kind, both[0].place, both[0].filled, asked.requests, wrk)
            for title, kind, both in pairs
        ]
        told.tell(
            "Memory",
            "One worker, asked for tokens, introspections and sessions in turn.",
            report.table(growth.HEAD, [one.row() for one in grown], words=2),
            [one.verdict for one in grown],
        )
    if "lists" in parts:  # the last part: it takes away what the others use
        timed = [one for title, both in sides.items() for one in lists.measure(title, both)]
        told.tell(
            "Lists, and what takes away",
            "Each asked once, in process.",
            report.table(lists.HEAD, [one.row() for one in timed], words=2),
            [one.verdict for one in timed],
        )


def _by_several(
    started: Sequence[Store], kinds: Sequence[str], asked: argparse.Namespace, wrk: str, told: Report
) -> None:
    runs = [run for store in started for kind in kinds for run in workers.measure(store, kind, asked.seconds, wrk)]
    told.tell(
        "One, two and four workers",
        f"Workers, load and stores share all cores, but bound workers keep to one each; 32 connections, runs of"
        f" {asked.seconds} s.",
        report.table(workers.HEAD, workers.rows(runs), words=3),
        [run.verdict for run in runs],
    )


if __name__ == "__main__":
    sys.exit(main())
