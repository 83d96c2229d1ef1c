"""The hot path and the start over a store that holds a lot, beside one that holds only what the load uses."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench import load, servers, site, starts
from bench.load import Ask, Outcome, in_turn
from bench.ratios import shares
from bench.scale.fill import Filled
from bench.stores import Place

LEAST = 0.85  # of the empty store's throughput
SLOWER = 0.5  # seconds that a start may take longer
TITLES = {
    "introspection": "introspection",
    "opaque": "client_credentials, opaque",
    "opaque-limited": "… at most 10 living tokens, all there",
    "session": "GET /api/v1/session",
}


@dataclass(frozen=True)
class Side:
    """One of the two stores."""

    place: Place
    filled: Filled

    def asks(self) -> dict[str, Ask]:
        """Return the requests, each with another client or person in turn."""
        filled = self.filled
        pairs = zip(filled.unlimited, filled.tokens, strict=True)
        sessions = (Ask(site.SESSION, headers={"X-Auth-Token": token}) for token in filled.sessions)
        return {
            "introspection": in_turn([client.ask(site.INTROSPECT, f"token={token}") for client, token in pairs]),
            "opaque": in_turn([client.token() for client in filled.unlimited]),
            "opaque-limited": in_turn([client.token() for client in filled.limited]),
            "session": in_turn(list(sessions)),
        }


@dataclass(frozen=True)
class Result:
    """All rounds of one case."""

    store: str
    server: str
    case: str
    empty: Sequence[Outcome]
    full: Sequence[Outcome]

    @property
    def ratios(self) -> list[float]:
        return shares(self.full, self.empty)

    @property
    def verdict(self) -> str:
        failed = sum(outcome.failed for outcome in (*self.empty, *self.full))
        return "hold" if statistics.median(self.ratios) >= LEAST and not failed else "MISS"

    def row(self) -> tuple[str, ...]:
        rates = [statistics.median(outcome.rate for outcome in side) for side in (self.full, self.empty)]
        return (
            self.store,
            self.server,
            TITLES[self.case],
            f"{statistics.median(self.ratios):.2f}",
            f"{min(self.ratios):.2f}",
            f"{max(self.ratios):.2f}",
            f"≥ {LEAST:.2f}",
            self.verdict,
            *(f"{rate:,.0f}" for rate in rates),
            f"{statistics.median(outcome.p99 for outcome in self.full):.1f}",
            str(sum(outcome.failed for outcome in self.full)),
        )


HEAD = (
    "store",
    "server",
    "of the empty store",
    "ratio",
    "least",
    "most",
    "target",
    "",
    "full",
    "empty",
    "p99 ms",
    "errors",
)


START_HEAD = ("store", "server", "full", "empty", "target", "")


def measure(
    store: str, kind: str, sides: tuple[Side, Side], rounds: int, seconds: int, wrk: str, cores: tuple[int, int]
) -> Iterator[Result]:
    """Let servers over both stores, the empty one first, take turns on one core."""
    with ExitStack() as stack:
        live = []
        for side in sides:
            environment = servers.environment(side.place, kind)
            live.append((stack.enter_context(servers.running(servers.SERVE, environment, cores[0])), side.asks()))
        for case in TITLES:
            for server, asks in live:  # until each has seen all clients, and read what it keeps in memory
                load.run(wrk, server.url, asks[case], 1, cores[1])
            outcomes: tuple[list[Outcome], list[Outcome]] = ([], [])
            for _ in range(rounds):
                for (server, asks), found in zip(live, outcomes, strict=True):
                    found.append(load.run(wrk, server.url, asks[case], seconds, cores[1]))
            yield Result(store, kind, case, *outcomes)


def start(store: str, kind: str, sides: tuple[Side, Side], rounds: int) -> tuple[tuple[str, ...], str]:
    """Return the row of how long a start takes over both stores, and the verdict."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, found in zip(sides, seconds, strict=True):
            found.append(starts.start(servers.SERVE, side.place, kind))
    empty, full = (statistics.median(found) for found in seconds)
    verdict = "hold" if full <= empty + SLOWER else "MISS"
    return (store, kind, f"{full:.2f}", f"{empty:.2f}", f"≤ {empty + SLOWER:.2f}", verdict), verdict
