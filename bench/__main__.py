"""`python -m bench`, by `make bench`: measure everything, print it, and write bench/results.md."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine, memory, profile, ratios, report, starts, stores, writers
from bench.stores import Store

SERVERS = ("gunicorn", "granian")
TITLES = {"gunicorn": "gunicorn, its default threads", "granian": "Granian, its default threads"}
RESULTS = Path(__file__).parent / "results.md"


def arguments() -> argparse.Namespace:
    names = [case.name for case in ratios.CASES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each case (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this kind of server")
    parser.add_argument("--store", choices=ratios.EVERY, action="append", help="only this kind of store")
    parser.add_argument("--only", choices=names, action="append", metavar="CASE", help=f"only: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does everything work?")
    parser.add_argument("--profile", action="store_true", help="where the microseconds of a request go, in process")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if asked.profile:
        print(profile.report_text())
        return 0
    rounds, seconds = (1, 1) if asked.quick else (asked.rounds, asked.seconds)
    kinds: Sequence[str] = asked.server or SERVERS
    wrk, cores = machine.find_wrk(), machine.cores()
    parts = [*report.head("Results of `make bench`"), report.method(rounds, seconds)]
    print(*parts, sep="\n\n", flush=True)
    chapters: dict[str, list[str]] = {name: [f"## {title}"] for name, title in stores.TITLES.items()}
    verdicts: list[str] = []

    def tell(store: Store, title: str, part: str) -> None:
        chapters[store.name].extend((f"### {title}", part))
        print(f"\n### {store.title}: {title}\n\n{part}", flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        stores.started(asked.store or ratios.EVERY, Path(folder), cores[1]) as all_stores,
    ):
        for kind in kinds:
            results = []
            for result in ratios.measure(kind, all_stores, asked.only or (), rounds, seconds, wrk, cores, Path(folder)):
                results.append(result)
                said = f"{kind}, {result.store}: {result.case.title}: {result.ratio:.3f} {result.verdict}"
                print(said, file=sys.stderr, flush=True)
            for store in all_stores:
                tell(store, TITLES[kind], report.ratios(result for result in results if result.store == store.name))
            verdicts += [result.verdict for result in results]
        sqlite = next((store for store in all_stores if store.name == "sqlite"), None)
        if sqlite and not asked.only:
            for title, part, found in _beside(sqlite, kinds, seconds, wrk):
                tell(sqlite, title, part)
                verdicts += found
    missed = verdicts.count("MISS")
    print(f"\n{len(verdicts) - missed} held or without a target, {missed} missed.")
    if not (asked.quick or asked.only or asked.server or asked.store):
        parts += [part for chapter in chapters.values() for part in chapter]
        RESULTS.write_text("\n\n".join(parts) + "\n")
        print(f"Written to {RESULTS.relative_to(Path.cwd())}.")
    return 1 if missed else 0


def _beside(store: Store, kinds: Sequence[str], seconds: int, wrk: str) -> Iterator[tuple[str, str, list[str]]]:
    """Measure what is no ratio; return for each the title, the table and the verdicts."""
    runs = [run for kind in kinds for run in writers.measure(kind, seconds, wrk, store)]
    yield "Two workers that write at once", report.writers(runs), [run.verdict for run in runs]
    sizes = [size for kind in kinds for size in memory.measure(kind, wrk, store)]
    yield "Memory", report.sizes(sizes), [size.verdict for size in sizes]
    begun = [start for kind in kinds for start in starts.measure(kind, store)]
    yield "Start", report.starts(begun), [start.verdict for start in begun]


if __name__ == "__main__":
    sys.exit(main())
