"""Redis servers of our own on random ports: one, a set with a sentinel, a cluster; to be harmed and brought back."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis.connection import UnixDomainSocketConnection
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError
from redis.exceptions import ConnectionError as BrokenConnection

from tests.servers.auth_server import free_port
from tests.servers.packages import find
from tests.servers.processes import until

SLOTS = 16384


class Redis:
    """One server, reachable over TCP and over a socket file. It writes to disk only what SAVE is told to.

    Args:
        folder: a folder of its own; a snapshot in it is read at each start.
        options: of its command line, besides.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Start it, with what its snapshot holds; return when it answers. *options* are added to its command line."""
        fixed = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket)]
        fixed += ["--dir", str(self.folder), "--save", "", "--enable-debug-command", "yes"]
        fixed += ["--repl-diskless-sync-delay", "0"]
        self._run([*fixed, *self._options, *options], "Ready to accept connections")

    def _run(self, arguments: list[str], ready: str) -> None:
        command = [find("redis-server"), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        printed = ""
        for line in self._process.stdout:
            printed += line
            if ready in line:
                return
        raise RuntimeError(printed)

    def command(self, *words: str) -> bytes:
        """Send one command past our own code; return the first part of the raw answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65536)

    def ask(self, *words: str | bytes | int) -> Any:
        """Send one command past our own code; return its answer, read."""
        kind: Any = UnixDomainSocketConnection
        connection = kind(path=str(self.socket), protocol=2, driver_info=None)
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def info(self, name: str) -> bytes:
        """Return what it says of itself under a name."""
        try:
            lines: list[bytes] = self.ask("INFO").splitlines()
        except BrokenConnection:  # who becomes a replica closes all connections
            return b""
        return next((line.partition(b":")[2] for line in lines if line.startswith(name.encode() + b":")), b"")

    def let_nobody_follow(self) -> None:
        """Let its replicas hear of nothing more."""
        self.ask("ACL", "SETUSER", "default", "-psync", "-sync")
        self.ask("CLIENT", "KILL", "TYPE", "replica")

    def stop(self) -> None:
        """Kill it; what is not in a snapshot is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Redis]:
    """A started server, stopped at the end."""
    server = Redis(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Sentinel(Redis):
    """A sentinel that watches one master, and is quicker than others.

    Args:
        settings: lines of its configuration, besides.
    """

    def __init__(self, folder: Path, master: Redis, *settings: str) -> None:
        super().__init__(folder)
        lines = [f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket}", f"dir {folder}"]
        lines += [f"sentinel monitor main 127.0.0.1 {master.port} 1"]
        lines += ["sentinel down-after-milliseconds main 300", "sentinel failover-timeout main 2000", *settings]
        (folder / "sentinel.conf").write_text("\n".join(lines))

    def start(self, *_: str) -> None:
        self._run([str(self.folder / "sentinel.conf"), "--sentinel"], "+monitor master")

    def hasten(self) -> None:
        """Let it look every tenth of a second."""
        for period in ("info-period", "ping-period", "ask-period", "publish-period"):
            self.ask("SENTINEL", "DEBUG", period, 100)


class Watched:
    """A master, a replica and a sentinel.

    Args:
        folder: an empty folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.servers = [Redis(folder / name) for name in ("one", "two")]
        self.servers[1] = Redis(folder / "two", "--replicaof", "127.0.0.1", str(self.servers[0].port))
        self.sentinel = Sentinel(folder / "sentinel", self.servers[0])
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/main/0"

    def start(self) -> None:
        """Start all; return when a failover is possible."""
        for server in (*self.servers, self.sentinel):
            server.start()
        self.sentinel.hasten()
        until(lambda: b"ok" in [_member(row, "master-link-status") for row in self._replicas()])

    def _replicas(self) -> list[list[bytes]]:
        rows: list[list[bytes]] = self.sentinel.ask("SENTINEL", "REPLICAS", "main")
        return rows

    def master(self) -> Redis:
        """Return the server that the sentinel calls master."""
        port = int(self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])
        return next(server for server in self.servers if server.port == port)

    def settle(self) -> None:
        """Return when the replica has all that the master has."""
        master = self.master()
        replica = next(server for server in self.servers if server is not master)
        until(lambda: replica.info("master_link_status") == b"up")
        until(lambda: replica.info("master_repl_offset") == master.info("master_repl_offset"))

    def fail_over(self) -> None:
        """Have the replica become master in peace; return when the sentinel says so."""
        before = self.master()
        self.sentinel.ask("SENTINEL", "FAILOVER", "main")
        until(lambda: self.master() is not before)

    def stop(self) -> None:
        """Kill all."""
        for server in (*self.servers, self.sentinel):
            server.stop()


def _member(row: list[bytes], name: str) -> bytes:
    """A member of an answer that is a list of names and values."""
    return row[row.index(name.encode()) + 1]


class Cluster:
    """Three nodes with a third of the slots each, and a replica of the first.

    Args:
        folder: an empty folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.nodes = [self._node(folder / name) for name in ("one", "two", "three", "replica")]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])

    @staticmethod
    def _node(folder: Path) -> Redis:
        own = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "1000")
        return Redis(folder, *own, "--cluster-require-full-coverage", "no", "--cluster-replica-no-failover", "yes")

    def start(self) -> None:
        """Start all; return when they are a cluster."""
        first, *others = self.nodes
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes[:3]):
            node.ask("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1)
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        bus = first._options[first._options.index("--cluster-port") + 1]
        for node in others:
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
        until(lambda: all(node.ask("CLUSTER", "INFO").count(b"cluster_known_nodes:4") for node in self.nodes))
        self.replicate(self.nodes[3], first)
        until(lambda: all(b"cluster_slots_ok:16384" in node.ask("CLUSTER", "INFO") for node in self.nodes))
        until(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes))

    def replicate(self, replica: Redis, master: Redis) -> None:
        """Let one follow another; return when it has all that the other has."""
        replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
        until(lambda: replica.info("master_link_status") == b"up")
        until(lambda: replica.info("master_repl_offset") == master.info("master_repl_offset"))

    def owner(self, prefix: str) -> Redis:
        """Return the node that has the keys with a prefix, by its own word."""
        for node in self.nodes:
            try:
                node.ask("EXISTS", prefix)
            except (MovedError, BrokenConnection):
                continue
            except AskError:  # it has them still
                pass
            return node
        raise LookupError(prefix)

    def begin_move(self, prefix: str, to: Redis) -> None:
        """Begin to move the slot of a prefix to another node."""
        source, slot = self.owner(prefix), key_slot(prefix.encode())
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ask("CLUSTER", "MYID"))

    def move(self, prefix: str, to: Redis, count: int) -> None:
        """Move some keys of that slot."""
        source, slot = self.owner(prefix), key_slot(prefix.encode())
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
        source.ask("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, prefix: str, to: Redis) -> None:
        """Let the slot belong to the node that has all its keys now."""
        slot = key_slot(prefix.encode())
        for node in (to, *(other for other in self.nodes[:3] if other is not to)):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.ask("CLUSTER", "MYID"))

    def take_over(self, replica: Redis, master: Redis) -> None:
        """Kill a master and put its replica in its place; return when the others know."""
        master.stop()
        replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        until(lambda: all(self._knows(node, replica) for node in self.nodes if node is not master))

    @staticmethod
    def _knows(node: Redis, master: Redis) -> bool:
        lines = node.ask("CLUSTER", "NODES").decode().splitlines()
        line = next(line for line in lines if line.startswith(master.ask("CLUSTER", "MYID").decode()))
        return "master" in line and len(line.split()) > 8

    def stop(self) -> None:
        """Kill all."""
        for node in self.nodes:
            node.stop()


@contextmanager
def several(kind: type[Watched] | type[Cluster], folder: Path) -> Iterator[Any]:
    """A set or a cluster, started, and stopped at the end."""
    servers = kind(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
