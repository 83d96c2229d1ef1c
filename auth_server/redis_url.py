"""REDIS_URL: its forms, read in one place for the settings and for the store.

| form | leads to |
| --- | --- |
| `redis://[USER:PASSWORD@]HOST:6379/0` | one server |
| `unix://[USER:PASSWORD@]/run/redis.sock?db=0` | one server on this machine, by its socket file |
| `redis+sentinel://[USER:PASSWORD@]HOST:26379,HOST:26379/MASTER-NAME/0` | whom the sentinels call master |
| `redis+cluster://[USER:PASSWORD@]HOST:6379,HOST:6379` | the node of a cluster that has our keys |

With `rediss` in place of `redis` everything is TLS, sentinels included. After `?` come options, see OPTIONS below.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Node = tuple[str, int]

_FORM = re.compile(r"(?:(rediss?)(?:\+(sentinel|cluster))?|unix)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#?)").match
_SWITCH = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


def _switch(text: str) -> bool:
    return _SWITCH[text.lower()]


def _seconds(text: str) -> float:
    if not 0 < float(text) < 3600:
        raise ValueError(text)
    return float(text)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", text):
        raise ValueError(text)
    return int(text)


def _file(text: str) -> str:
    if not (os.path.exists(text) and os.access(text, os.R_OK)):
        raise FileNotFoundError(text)
    return text


# Names as redis-py's connections have them.
OPTIONS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "username": (str, "text"),
    "password": (str, "text"),
    "db": (_number, "the number of a database"),
    "socket_timeout": (_seconds, "seconds"),
    "socket_connect_timeout": (_seconds, "seconds"),
    "socket_keepalive": (_switch, "yes or no"),
    "client_name": (str, "text"),
    "sentinel_username": (str, "text"),
    "sentinel_password": (str, "text"),
    "ssl_ca_certs": (_file, "a file"),
    "ssl_ca_path": (_file, "a folder"),
    "ssl_certfile": (_file, "a file"),
    "ssl_keyfile": (_file, "a file"),
    "ssl_password": (str, "text"),
    "ssl_check_hostname": (_switch, "yes or no"),
}


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where Redis is, and how to get in.

    Args:
        nodes: the server, the sentinels, or nodes of the cluster; empty for a socket file.
        tls: whether connections are TLS.
        options: of connections that hold state, as redis-py names them.
        sentinel_options: of connections to sentinels.
        master: what the sentinels call it.
    """

    kind: Literal["server", "sentinel", "cluster"]
    nodes: tuple[Node, ...]
    tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # with the password
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    master: str = ""


def read(url: str) -> RedisUrl:
    """Return what a REDIS_URL says.

    Raises:
        ValueError: it has none of the forms; in a sentence that holds no secret, and goes on after the setting's name.
    """
    form = _FORM(url)
    if form is None:
        raise ValueError("must begin with redis://, rediss:// or unix://, or redis+sentinel:// or redis+cluster://")
    scheme, several, authority, path, query, fragment = form.groups()
    user, _, hosts = authority.rpartition("@")
    if fragment or (scheme and "@" in path) or ("@" in (query or "") and _odd_options(query)):
        raise ValueError("cannot be read; its password is not percent-encoded: @ is %40, / is %2F, ? is %3F, # is %23")
    options = _options(query or "", is_tls=scheme == "rediss", is_sentinel=several == "sentinel")
    username, _, password = user.partition(":")
    given = {"username": unquote(username), "password": unquote(password)}
    options = {**options, **{name: value for name, value in given.items() if value}}
    if scheme is None:
        if not path.strip("/") or hosts:
            raise ValueError("needs the path of a socket; write unix:///run/redis.sock")
        if "socket_keepalive" in options:
            raise ValueError("has the option socket_keepalive, which no socket file has")
        return RedisUrl("server", (), options={**options, "path": unquote(path)})
    kind: Literal["server", "sentinel", "cluster"] = several or "server"  # type: ignore[assignment]  # the pattern has
    nodes = _nodes(hosts, kind)
    master, database = "", path.strip("/")
    if kind == "sentinel":
        master, _, database = database.partition("/")
        if not master:
            raise ValueError("needs the master's name; write redis+sentinel://HOST:26379,HOST:26379/MASTER-NAME/0")
    if not re.fullmatch("[0-9]{0,6}", database):  # redis-py would take database 0
        raise ValueError(
            f"must end with the number of a database; write {'redis+sentinel' if master else 'redis'}://HOST:PORT/"
            + ("MASTER-NAME/0" if master else "0")
        )
    if database:
        options = {"db": int(database), **options}
    if kind == "cluster" and options.get("db"):
        raise ValueError("leads to a cluster, which has database 0 alone")
    ours, theirs = _parted(options)
    return RedisUrl(kind, nodes, scheme == "rediss", ours, theirs, unquote(master))


def _odd_options(query: str) -> bool:
    return any(name not in OPTIONS for name, _ in parse_qsl(query, keep_blank_values=True))


def _options(query: str, *, is_tls: bool, is_sentinel: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parse, what = OPTIONS.get(name, (None, ""))
        if parse is None:
            raise ValueError(f"has no option {name}; there are {', '.join(OPTIONS)}")
        if name.startswith("ssl_") and not is_tls:
            raise ValueError(f"has the option {name}, which needs rediss")
        if name.startswith("sentinel_") and not is_sentinel:
            raise ValueError(f"has the option {name}, which needs redis+sentinel")
        try:
            options[name] = parse(value)
        except FileNotFoundError:
            raise ValueError(f"has an option {name}: there is no {value} that can be read") from None
        except (ValueError, KeyError):
            raise ValueError(f"has an option {name} that is not {what}") from None
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("has the option ssl_keyfile, which needs ssl_certfile")
    return options


def _nodes(hosts: str, kind: str) -> tuple[Node, ...]:
    """Where the servers are; without a host, this machine."""
    default = 26379 if kind == "sentinel" else 6379
    nodes = []
    for host in hosts.split(","):
        try:
            parts = urlsplit(f"//{host}")
            nodes.append((unquote(parts.hostname or "localhost"), default if parts.port is None else parts.port))
        except ValueError:
            raise ValueError(
                "cannot be read; its host or port is wrong, or its password is not percent-encoded"
            ) from None
    if kind == "server" and len(nodes) > 1:
        raise ValueError("names several hosts; write redis+sentinel:// or redis+cluster://")
    return tuple(nodes)


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of connections that hold state, and of those to sentinels: users and databases are not the same."""
    ours = {name: value for name, value in options.items() if not name.startswith("sentinel_")}
    theirs = {name: value for name, value in ours.items() if name not in ("username", "password", "db")}
    for name in ("username", "password"):
        if f"sentinel_{name}" in options:
            theirs[name] = options[f"sentinel_{name}"]
    return ours, theirs
