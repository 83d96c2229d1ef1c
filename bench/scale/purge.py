"""Whether what expires goes as fast as it comes: 1,000 tokens a second that live for ten seconds."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from auth_server.background import PURGE_EVERY, SYNC, Background
from auth_server.domain.tokens import pack
from auth_server.protocol.server import Server
from auth_server.store.engine import reading
from auth_server.store.state import Entry, Kind
from bench import site
from bench.scale.fill import entries, of_client
from bench.site import Client
from bench.stores import Place

RATE = 1000  # tokens a second
LIFE = 10  # seconds
ISSUERS = 4  # threads
LEFT = RATE * 15  # dead rows right after a purge: what has expired while it ran
MOST = RATE * PURGE_EVERY + LEFT  # dead rows at any time


@dataclass(frozen=True)
class Purged:
    """What was seen.

    Args:
        dead: expired rows in the table, once a second.
        put: milliseconds of each token's way into the store.
    """

    store: str
    seconds: float
    dead: Sequence[int]
    put: Sequence[float]

    @property
    def left(self) -> list[int]:
        """Return the dead rows after each purge: where their number has fallen, and grows again."""
        steps = zip(self.dead, self.dead[1:], self.dead[2:], strict=False)
        return [here for before, here, after in steps if here < before - RATE and after >= here]

    @property
    def verdict(self) -> str:
        fast = len(self.put) / self.seconds >= 0.95 * RATE
        return "hold" if fast and self.left and max(self.left) <= LEFT and max(self.dead) <= MOST else "MISS"

    def row(self) -> tuple[str, ...]:
        put = sorted(self.put)
        return (
            self.store,
            f"{len(put) / self.seconds:,.0f}",
            f"{max(self.dead):,}",
            f"≤ {MOST:,}",
            ", ".join(f"{left:,}" for left in self.left) or "none was seen",
            f"≤ {LEFT:,}",
            self.verdict,
            f"{put[len(put) * 99 // 100]:.1f}",
            f"{put[-1]:.0f}",
        )


HEAD = ("store", "issued a second", "dead at most", "", "after each purge", "", "", "put p99 ms", "put most ms")


def measure(store: str, place: Place, seconds: int) -> Purged:
    """Issue for *seconds*; only more than two periods of the purge show anything."""
    server, stores = site.assembled(place)
    engine, table = entries(stores)
    with reading(engine) as connection:
        newest = connection.execute(select(func.max(table.c.number))).scalar_one()
    count = select(func.count()).select_from(table).where(table.c.number > newest)  # SQLite has no index of expiry
    put: list[float] = []
    dead: list[int] = []
    begun = time.perf_counter()
    ends = begun + seconds
    threads = [threading.Thread(target=_issue, args=(server, put, ends)) for _ in range(ISSUERS)]
    threads.append(threading.Thread(target=_look_after, args=(server, ends)))
    for thread in threads:
        thread.start()
    while time.perf_counter() < ends:
        with reading(engine) as connection:
            dead.append(connection.execute(count.where(table.c.expires_at <= server.clock())).scalar_one())
        time.sleep(1)
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    server.close()
    stores.close()
    return Purged(store, took, dead, put)


def _look_after(server: Server, ends: float) -> None:
    """Do what a worker's own thread does."""
    background = Background(server)
    while time.perf_counter() < ends:
        background.tick()
        time.sleep(SYNC)


def _issue(server: Server, put: list[float], ends: float) -> None:
    """Put this thread's share of the tokens, evenly; what came late is caught up with."""
    client = Client("bench", "")
    due = time.perf_counter()
    while due < ends:
        time.sleep(max(0.0, due - time.perf_counter()))
        now = server.clock()
        token = of_client(client, now, LIFE)[1]
        entry = Entry(token.key, token.expires_at, pack(token), token.client_id)
        begun = time.perf_counter()
        server.state.put(Kind.ACCESS_TOKEN, entry, now)
        put.append((time.perf_counter() - begun) * 1000)
        due += ISSUERS / RATE
