"""Tables in Markdown, for the terminal and for the files of results."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tabulate import tabulate

from bench import machine
from bench.memory import Size
from bench.ratios import Result
from bench.starts import Start
from bench.writers import Writers


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table whose first *words* columns are text and whose others are figures."""
    return tabulate(
        list(rows),
        head,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] * words + ["right"] * (len(head) - words),
    )


def ratios(results: Iterable[Result]) -> str:
    """Return the table of hot paths on one kind of server."""
    head = (
        "of the bare callable",
        "ratio",
        "least",
        "most",
        "target",
        "",
        "a second",
        "bare",
        "p99 ms",
        "most",
        "errors",
    )
    return table(head, (_ratio(result) for result in results))


def _ratio(result: Result) -> tuple[str, ...]:
    target = result.target
    middle = sorted(outcome.rate for outcome in result.ours)[len(result.ours) // 2]
    bare = sorted(outcome.rate for outcome in result.bare)[len(result.bare) // 2]
    return (
        result.case.title,
        f"{result.ratio:.3f}",
        f"{min(result.ratios):.3f}",
        f"{max(result.ratios):.3f}",
        "–" if target is None else f"≥ {target:.2f}",
        result.verdict,
        f"{middle:,.0f}",
        f"{bare:,.0f}",
        f"{result.p99:.1f}",
        f"{max(outcome.p99 for outcome in result.ours):.1f}",
        str(result.failed),
    )


def writers(runs: Iterable[Writers]) -> str:
    """Return the table of two workers that write at once."""
    rows = (
        (
            run.server,
            run.title,
            f"{run.outcome.rate:,.0f}",
            f"{run.outcome.p99:.1f}",
            str(run.outcome.failed),
            run.verdict,
        )
        for run in runs
    )
    return table(("server", "client_credentials", "a second", "p99 ms", "errors", ""), rows, words=2)


def sizes(found: Iterable[Size]) -> str:
    """Return the table of memory."""
    rows = (
        (size.title, f"{size.mib:.1f}", "–" if size.limit is None else f"≤ {size.limit:.0f}", size.verdict)
        for size in found
    )
    return table(("memory", "MiB", "target", ""), rows)


def starts(found: Iterable[Start]) -> str:
    """Return the table of start times."""
    rows = (
        (start.title, f"{start.seconds:.2f}", "–" if start.limit is None else f"≤ {start.limit:.0f}", start.verdict)
        for start in found
    )
    return table(("from the command to /readyz", "seconds", "target", ""), rows)


def head(title: str) -> list[str]:
    """Return the beginning of a report: what was measured, when, on what."""
    return [
        f"# {title}",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} (UTC):",
        "\n".join(machine.described()),
    ]


def method(rounds: int, seconds: int) -> str:
    """Return how ratios to the bare callable are measured."""
    return (
        "One worker on one core, wrk with 16 kept connections and the stores' servers on another; the bare callable and"
        f" ours, on every store, are live and take turns, {rounds} rounds of {seconds} s. The median of the rounds'"
        " ratios counts. The p99 is the median too, and at most 30 ms. Client authentication, logs, metrics and stores"
        " are as in production: PostgreSQL commits to disk, Redis has `appendonly yes` and `appendfsync everysec`."
    )
