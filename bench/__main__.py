"""`python -m bench`, by `make bench`: measure everything, print it, and write bench/results.md."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import machine, memory, profile, ratios, report, starts, writers

SERVERS = ("gunicorn", "granian")
TITLES = {"gunicorn": "gunicorn, 4 threads", "granian": "Granian, its default threads"}


def arguments() -> argparse.Namespace:
    names = [case.name for case in ratios.CASES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each case (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this kind of server")
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
    cases = [case for case in ratios.CASES if not asked.only or case.name in asked.only]
    wrk, cores = machine.find_wrk(), machine.cores()
    parts = report.head(rounds, seconds)
    print(*parts, sep="\n\n", flush=True)
    verdicts: list[str] = []

    def tell(title: str, part: str) -> None:
        parts.extend((f"## {title}", part))
        print(f"\n## {title}\n\n{part}", flush=True)

    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        for kind in kinds:
            results = []
            for result in ratios.measure(kind, cases, rounds, seconds, wrk, cores, folder):
                results.append(result)
                print(f"{kind}: {result.case.title}: {result.ratio:.3f} {result.verdict}", file=sys.stderr, flush=True)
            tell(TITLES[kind], report.ratios(results))
            verdicts += [result.verdict for result in results]
        if not asked.only:
            runs = [run for kind in kinds for run in writers.measure(kind, seconds, wrk, folder)]
            tell("Two workers that write at once", report.writers(runs))
            sizes = [size for kind in kinds for size in memory.measure(kind, wrk, folder)]
            tell("Memory", report.sizes(sizes))
            started = [start for kind in kinds for start in starts.measure(kind, folder)]
            tell("Start", report.starts(started))
            verdicts += [run.verdict for run in runs] + [size.verdict for size in sizes]
            verdicts += [start.verdict for start in started]
    missed = verdicts.count("MISS")
    print(f"\n{len(verdicts) - missed} held or without a target, {missed} missed.")
    if not (asked.quick or asked.only or asked.server):
        report.RESULTS.write_text("\n\n".join(parts) + "\n")
        print(f"Written to {report.RESULTS.relative_to(Path.cwd())}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
