"""What a refusal of Redis means to whoever set it up: what it said, and what to write or to do instead.

The error of a command may hold values, or the user's name: of that only the command is told, or what kind it is. What
is said of a connection holds neither.
"""

import re
from collections.abc import Mapping

from redis.exceptions import AuthenticationError, OutOfMemoryError, RedisError
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import TimeoutError as TooLate

from auth_server.errors import Unavailable
from auth_server.redis_url import RedisUrl

LOOK = "see whether it runs, and where REDIS_URL is set: auth-server config show"
TLS = "; REDIS_URL begins with rediss where that port is TLS, and with redis where not"
A_CLUSTER, NO_CLUSTER = "it is a node of a cluster", "it is no cluster"
_PASSWORD = "correct the user or the password in REDIS_URL; what is special in a URL is written in percent: @ is %40"
_MASTER = "let REDIS_URL lead to the master; where sentinels know it, write redis+sentinel://HOST:26379/MASTER-NAME/0"
_RIGHTS = "give the user of REDIS_URL all rights that docs/how-to/redis.md lists"
_UNKNOWN = re.compile(r"unknown command ['`]([A-Za-z]+)").match
_MAY_NOT_RUN = re.compile(r"no permissions to run the '([a-z|]+)' command").search
_KIND = re.compile("[A-Z]{3,}").match
# What it says of a connection.
_OF_CONNECTIONS: Mapping[str, str] = {
    "the sentinels know no master": "write in REDIS_URL the name that sentinel.conf has after `sentinel monitor`",
    "it is a replica": _MASTER,
    "the one that the sentinels call master": "wait until they have agreed",
    "SSL": LOOK + TLS,
    "Connection closed": LOOK + TLS,
    "reset by peer": LOOK + TLS,
    "hung up": LOOK + TLS,
}
# What it says of commands, what that means, and what to do.
_OF_COMMANDS: Mapping[str, tuple[str, str]] = {
    A_CLUSTER: (A_CLUSTER, "write redis+cluster://HOST:PORT in REDIS_URL"),
    NO_CLUSTER: (NO_CLUSTER, "write redis://HOST:6379/0 in REDIS_URL"),
    "DB index is out of range": (
        "there is no database of that number",
        "end REDIS_URL with a number below its setting `databases`, such as 0",
    ),
    "unknown command 'SENTINEL'": (
        "that is no sentinel",
        "name the sentinels' port in REDIS_URL, mostly 26379; or for Redis itself write redis://HOST:6379/0",
    ),
    "read only replica": ("it is a replica", _MASTER),
    "executing the script can't run": ("its user may not run a command of our scripts", _RIGHTS),
    "ACL failure in script": ("its user may not run a command of our scripts, or not use our keys", _RIGHTS),
    "MISCONF": ("it cannot write to its disk: MISCONF", "see what its own log says"),
}


def unavailable(error: RedisError, where: RedisUrl) -> Unavailable:
    """Return what to raise in place of an error.

    Args:
        where: what REDIS_URL says.
    """
    words = str(error)
    if isinstance(error, AuthenticationError):
        return Unavailable(f"Redis refuses ({words})", advice=_PASSWORD)
    if isinstance(error, TooLate):
        return Unavailable(f"Redis does not answer ({words})", advice=LOOK + TLS)
    if isinstance(error, BrokenConnection):
        if isinstance(error.__cause__, BlockingIOError):  # what the kernel says when time is up
            words = "it is silent"
        advice = next((advice for part, advice in _OF_CONNECTIONS.items() if part in words), LOOK)
        return Unavailable(f"Redis does not answer ({words})", advice=advice)
    reason, advice = _of_command(error, words, where)
    return Unavailable(f"Redis refuses ({reason})", advice=advice)


def _of_command(error: RedisError, words: str, where: RedisUrl) -> tuple[str, str]:
    for part, meaning in _OF_COMMANDS.items():
        if part in words:
            return meaning
    if isinstance(error, OutOfMemoryError):
        return "it is full", "give it more memory (maxmemory); docs/how-to/redis.md says how much is needed"
    if found := _MAY_NOT_RUN(words):
        return f"its user may not run {found[1]}", f"ACL SETUSER USER +{found[1]}; or {_RIGHTS}"
    if " key" in words and ("permission" in words or "can't access" in words):
        keys = "{as}:" if where.kind == "cluster" else "as:"
        return "its user may not use our keys", f"ACL SETUSER USER ~{keys}*; or {_RIGHTS}"
    if found := _UNKNOWN(words):
        needed = "let REDIS_URL lead to Redis 7.0 or later, or Valkey, whose commands have their own names"
        return f"it does not know {found[1]}", f"{needed}; to sentinels leads redis+sentinel://"
    kind = _KIND(words)
    return kind[0] if kind else type(error).__name__, LOOK
