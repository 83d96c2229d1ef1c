"""Who has our keys and takes writes: one server, whom the sentinels call master, or a node of a cluster.

It is asked when a connection is opened, and never on the way of a command: who loses its place closes its connections
or refuses commands, and then a connection is opened anew.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AskError, MovedError, RedisError
from redis.exceptions import ConnectionError as BrokenConnection
from redis.retry import Retry

from auth_server.redis_url import Node, RedisUrl
from auth_server.store.redis_connection import RedisConnection

TIMEOUT = 2.0  # seconds to connect, and to wait for a part of an answer
HOPS = 4  # from node to node, until one has our keys


class Topology(Protocol):
    def open(self) -> RedisConnection:
        """Return an open connection to the server that has our keys and takes writes.

        Raises:
            RedisError: there is none at the moment, or it cannot be reached.
        """

    def open_at(self, node: Node) -> RedisConnection:
        """Return an open connection to a certain server."""


def topology(url: RedisUrl, key: bytes) -> Topology:
    """Return the topology that a URL names; nothing is opened.

    Args:
        key: one that is in the same slot of a cluster as all of ours, and is never set.
    """
    if url.kind == "sentinel":
        return Sentinels(url)
    return Cluster(url, key) if url.kind == "cluster" else OneServer(url)


def ask(connection: RedisConnection, *command: bytes | str) -> Any:
    """Send a command on a connection that has just been opened, and return its answer; if it is no good, hang up."""
    try:
        return connection.ask(*command)
    except BaseException:  # nothing is swallowed: nobody else has this connection to close it
        connection.close()
        raise


class OneServer:
    """One server, always the same."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url

    def open(self) -> RedisConnection:
        return self.open_at(self._url.nodes[0] if self._url.nodes else None)

    def open_at(self, node: Node | None) -> RedisConnection:
        return self._opened(node, self._url.options)

    def _opened(self, node: Node | None, options: Mapping[str, Any]) -> RedisConnection:
        fixed: dict[str, Any] = {
            "protocol": 2,  # nothing arrives unasked
            "retry": Retry(NoBackoff(), 0),  # the one who asked decides whether to try again
            "driver_info": None,  # two questions less for each connection
        }
        limits = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
        kind: Any = UnixDomainSocketConnection if node is None else SSLConnection if self._url.tls else Connection
        where = {} if node is None else {"host": node[0], "port": node[1]}
        opened = kind(**where, **fixed, **{**limits, **options})
        opened.connect()
        return RedisConnection(opened)


class Sentinels(OneServer):
    """The master of a set that sentinels watch."""

    def __init__(self, url: RedisUrl) -> None:
        super().__init__(url)
        self._sentinels = list(url.nodes)

    def open(self) -> RedisConnection:
        connection = self.open_at(self._master())
        # Those who have not heard of a failover yet name the old master, which may be a replica by now.
        if ask(connection, "ROLE")[0] != b"master":
            connection.close()
            raise BrokenConnection("the one that the sentinels call master is a replica: they have not agreed yet")
        return connection

    def _master(self) -> Node:
        """Where the first sentinel that answers sees the master; it is asked first the next time."""
        failure: RedisError = BrokenConnection("no sentinel answers")
        for sentinel in list(self._sentinels):
            try:
                connection = self._opened(sentinel, self._url.sentinel_options)
                address = ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.master)
                connection.close()
            except RedisError as error:
                failure = error
                continue
            if address is None:
                failure = BrokenConnection(f"the sentinels know no master {self._url.master}")
                continue
            self._sentinels = list(dict.fromkeys((sentinel, *self._sentinels)))
            return address[0].decode(), int(address[1])
        raise failure


class Cluster(OneServer):
    """The node of a cluster that has our slot; all keys are in one, because a script touches several of them."""

    def __init__(self, url: RedisUrl, key: bytes) -> None:
        super().__init__(url)
        self._key = key
        self._nodes = list(url.nodes)  # and those that were named to us, the last that had our slot first

    def open(self) -> RedisConnection:
        failure: RedisError = BrokenConnection("no node of the cluster answers")
        for node in list(self._nodes):
            try:
                return self._from(node)
            except RedisError as error:
                failure = error
        raise failure

    def _from(self, node: Node) -> RedisConnection:
        """Ask a node for our slot, and whom it names, until one has it."""
        for _ in range(HOPS):
            connection = self.open_at(node)
            try:
                ask(connection, b"EXISTS", self._key)
            except MovedError as moved:
                node = (moved.host or node[0], moved.port)  # without a host: the same one
                continue
            except AskError:  # on its way to another node, which does not have it yet
                connection = self.open_at(node)
            self._nodes = list(dict.fromkeys((node, *self._url.nodes, *self._nodes)))[: len(self._url.nodes) + HOPS]
            return connection
        raise BrokenConnection("the cluster's nodes do not agree about who has our slot")
