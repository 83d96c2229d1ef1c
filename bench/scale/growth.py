"""The memory of one worker over a million requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import load, memory, servers
from bench.load import Ask, in_turn
from bench.scale.fill import Filled
from bench.site import INTROSPECT, SESSION
from bench.stores import Place

EVERY = 100_000  # requests
RUN = 2  # seconds between two looks at how many there were
MOST = 4.0  # MiB by which it may have grown since the first look


@dataclass(frozen=True)
class Growth:
    """What was seen: after how many requests, how many MiB were resident in the worker."""

    store: str
    server: str
    seen: Sequence[tuple[int, float]]
    failed: int

    @property
    def grown(self) -> float:
        return self.seen[-1][1] - self.seen[0][1]

    @property
    def verdict(self) -> str:
        return "hold" if self.grown <= MOST and not self.failed else "MISS"

    def row(self) -> tuple[str, ...]:
        figures = ", ".join(f"{mib:.1f}" for _, mib in self.seen)
        until = f"{self.seen[-1][0]:,}"
        return (self.store, self.server, until, figures, f"{self.grown:+.1f}", f"≤ +{MOST:g}", self.verdict)


HEAD = ("store", "server", "requests", f"resident MiB, every {EVERY:,}", "grown", "", "")


def measure(store: str, kind: str, place: Place, filled: Filled, requests: int, wrk: str) -> Growth:
    """Ask one worker for a mixture of tokens, introspections and sessions, until it has answered *requests*."""
    asks: list[Ask] = []
    for free, bound, token, session in zip(
        filled.unlimited, filled.limited, filled.tokens, filled.sessions, strict=True
    ):
        asks += [free.token(), bound.token(), free.ask(INTROSPECT, f"token={token}")]
        asks.append(Ask(SESSION, headers={"X-Auth-Token": session}))
    mixture, done, failed = in_turn(asks), 0, 0
    seen: list[tuple[int, float]] = []
    with servers.running(servers.SERVE, servers.environment(place, kind)) as running:
        while done < requests:
            outcome = load.run(wrk, running.url, mixture, RUN, None)
            done, failed = done + outcome.requests, failed + outcome.failed
            if done >= EVERY * (len(seen) + 1):
                worker = max(servers.descendants(running.process.pid), key=memory.private)
                seen.append((done, memory.resident(worker)))
    return Growth(store, kind, seen, failed)
