"""Many replicas in one process, with the clock in our hand: what their periodic work asks of the shared store.

`python -m bench.simulation` shows that rotation, purge and invalidation grow with the number of replicas, and not with
its square. Real parts do the work: each replica has its own keyring, caches and background work over one store; only
the network is missing. They tick one after the other, as replicas do whose seconds do not begin at the same moment.
"""

import argparse
import os
import sqlite3
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from auth_server import assembly, settings
from auth_server.background import PURGE_EVERY, Background
from auth_server.protocol.server import Server
from bench import report
from bench.servers import environment
from bench.stores import Place

SIZES = (1, 10, 100, 1000)
HOT = 20  # clients that every replica serves all the time
START = 1_800_000_000  # Unix seconds
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass
class Asked:
    """Statements that have reached the store."""

    reads: int = 0
    writes: int = 0

    def note(self, statement: str) -> None:
        """Count one."""
        if statement.startswith(WRITES):
            self.writes += 1
        elif statement.startswith(("SELECT", "WITH")):
            self.reads += 1


@dataclass(frozen=True)
class Phase:
    """Something that happens to all replicas, and what it took of the store."""

    name: str
    asked: Asked


class Fleet:
    """Replicas over one store.

    Args:
        folder: an empty one.
    """

    def __init__(self, replicas: int, folder: Path, asked: Asked) -> None:
        self.now, self._asked = START, asked
        variables = environment(Place(folder / "home"))
        variables |= {
            "AUTH_SERVER_KEY_ENCRYPTION_KEY": b64encode(os.urandom(32)).decode(),
            "AUTH_SERVER_LOG_LEVEL": "error",
        }
        loaded = settings.load(variables).settings
        stores = assembly.stores(loaded)
        stores.upgrade()
        self.servers: list[Server] = [assembly.assemble(loaded, stores, lambda: self.now) for _ in range(replicas)]
        self._backgrounds = [Background(server) for server in self.servers]
        self.tick()
        clients = self.servers[0].clients
        self._hot = [clients.add({"client_name": "hot", "scope": "metrics"}).client.client_id for _ in range(HOT)]
        self.serve()

    def tick(self) -> None:
        """Let each do its periodic work of this second."""
        for background in self._backgrounds:
            background.tick()

    def serve(self) -> None:
        """Let each look at the clients that it serves, and at the keys."""
        for server in self.servers:
            for client_id in self._hot:
                server.records.clients.get(client_id)
            server.keyring.jwks()

    def seconds(self, count: int) -> None:
        """Let time pass, a second at a time."""
        for _ in range(count):
            self.now += 1
            self.tick()
            self.serve()

    def phases(self) -> Iterator[Phase]:
        """Go through what happens to replicas."""
        yield self._phase("an idle second", lambda: self.seconds(1))
        yield self._phase("the second in which one purges", self._purge)
        yield self._phase("a rotation, until all sign with the new keys", self._rotate)
        yield self._phase("a client is changed, until all serve it anew", self._change)

    def _phase(self, name: str, happens: Callable[[], None]) -> Phase:
        before = (self._asked.reads, self._asked.writes)
        happens()
        return Phase(name, Asked(self._asked.reads - before[0], self._asked.writes - before[1]))

    def _purge(self) -> None:
        self.now += PURGE_EVERY - 1
        self.seconds(1)

    def _rotate(self) -> None:
        old = {server.keyring.signing_key().kid for server in self.servers}
        self.servers[0].keyring.rotate()
        self.now += self.servers[0].settings.jwks_max_age
        self.tick()
        new = {server.keyring.signing_key().kid for server in self.servers}
        if len(old) != 1 or len(new) != 1 or old == new:
            raise AssertionError(f"the replicas do not sign with one new key: {old}, {new}")

    def _change(self) -> None:
        self.servers[-1].clients.change(self._hot[0], {"client_name": "changed"})
        self.serve()
        names = {client.client_name for server in self.servers if (client := server.records.clients.get(self._hot[0]))}
        if names != {"changed"}:
            raise AssertionError(f"some replicas serve an old copy: {names}")


@contextmanager
def counted() -> Iterator[Asked]:
    """Count the statements of all SQLite connections that are opened meanwhile."""
    asked, connect = Asked(), sqlite3.connect

    class Counted(sqlite3.Connection):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            self.set_trace_callback(asked.note)

    with ExitStack() as stack:
        for place in (sqlite3, sqlite3.dbapi2):
            stack.enter_context(patch.object(place, "connect", partial(connect, factory=Counted)))
        yield asked


def simulate(sizes: Sequence[int]) -> dict[str, list[Asked]]:
    """Return what each phase asked of the store, for fleets of these sizes."""
    found: dict[str, list[Asked]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="simulation-") as folder, counted() as asked:
            for phase in Fleet(size, Path(folder), asked).phases():
                found.setdefault(phase.name, []).append(phase.asked)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulation", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the size of the largest fleet")
    sizes = [size for size in SIZES if size <= parser.parse_args().most]
    found = simulate(sizes)
    for kind in ("reads", "writes"):
        rows = [(name, *(f"{getattr(asked, kind):,}" for asked in each)) for name, each in found.items()]
        print(report.table((f"{kind} of the store, by replicas", *map(str, sizes)), rows), end="\n\n")


if __name__ == "__main__":
    main()
