"""Prometheus metrics, shared by all workers through files (multiprocess mode)."""

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

MANY = 4096  # requests that wait at most
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
RESERVED = 2**20  # bytes for each kind of figure of a process
_with_room = 0  # the process whose files have theirs
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """What is counted. Labels never hold names, secrets or addresses (S-154)."""

    def __init__(self) -> None:
        # The library decides for files or memory when it is imported, so not before `serve` has set the folder.
        from prometheus_client import Counter, Histogram

        _has_room()

        self._requests = Counter(
            "auth_server_requests", "Requests answered", ["endpoint", "method", "status"], registry=None
        )
        self._seconds = Histogram(
            "auth_server_request_seconds", "Time to answer", ["endpoint"], buckets=_BUCKETS, registry=None
        )
        self._tokens = Counter("auth_server_tokens_issued", "Tokens issued", ["grant_type", "format"], registry=None)
        self._introspections = Counter("auth_server_introspections", "Introspections", ["active"], registry=None)
        self._authorizations = Counter(
            "auth_server_authorizations", "Authorizations given to clients", ["first_party"], registry=None
        )
        self._logins = Counter("auth_server_logins", "Logins by password", ["outcome"], registry=None)
        kinds = (("client_credentials", "opaque"), ("client_credentials", "jwt"), ("password", "session"))
        for kind in kinds:  # a labelled counter shows once it is looked up: dashboards want the zero of a fresh start
            self._tokens.labels(*kind)
        self._requests.labels("/readyz", "GET", "200")
        self._seconds.labels("/readyz")
        self._active = {known: self._introspections.labels(str(known).lower()) for known in (True, False)}
        # Counting in the files costs 3 µs a request: what happened waits here for `flush`. Appending needs no lock.
        self._answers: deque[tuple[str, str, int, float]] = deque()
        self._issued: deque[tuple[str, str]] = deque()
        self._asked: deque[bool] = deque()
        self._authorized: deque[bool] = deque()
        self._logged_in: deque[str] = deque()

    def answered(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._answers.append((endpoint, method, status, seconds))
        if len(self._answers) >= MANY:
            self.flush()

    def token_issued(self, grant_type: str, form: str) -> None:
        """Count a token."""
        self._issued.append((grant_type, form))

    def authorized(self, first_party: bool) -> None:
        """Count an authorization that a client was given."""
        self._authorized.append(first_party)

    def introspected(self, active: bool) -> None:
        """Count an introspection."""
        self._asked.append(active)

    def flush(self) -> None:
        """Add up what has happened and write it where all workers' figures are; called by the background thread.

        A process that was born on a full disk counts from when there is room.
        """
        if not _has_room():
            for waiting in (self._answers, self._issued, self._asked, self._authorized, self._logged_in):
                waiting.clear()
            return
        requests: Counts[tuple[str, str, int]] = Counts()
        buckets: Counts[tuple[str, int]] = Counts()
        sums: Counts[str] = Counts()
        for endpoint, method, status, seconds in _drained(self._answers):
            requests[endpoint, method, status] += 1
            buckets[endpoint, bisect_left(_BUCKETS, seconds)] += 1
            sums[endpoint] += seconds  # type: ignore[assignment]
        for (endpoint, method, status), number in requests.items():
            self._requests.labels(endpoint, method, str(status)).inc(number)
        for (endpoint, place), number in buckets.items():
            self._seconds.labels(endpoint)._buckets[place].inc(number)  # there is no public way to add several
        for endpoint, total in sums.items():
            self._seconds.labels(endpoint)._sum.inc(total)
        for kind, number in Counts(_drained(self._issued)).items():
            self._tokens.labels(*kind).inc(number)
        for active, number in Counts(_drained(self._asked)).items():
            self._active[active].inc(number)
        for first_party, number in Counts(_drained(self._authorized)).items():
            self._authorizations.labels(str(first_party).lower()).inc(number)
        for outcome, number in Counts(_drained(self._logged_in)).items():
            self._logins.labels(outcome).inc(number)

    def login(self, outcome: str) -> None:
        """Count a login by password."""
        self._logged_in.append(outcome)

    def render(self) -> bytes:
        """Return all workers' figures in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        self.flush()
        registry = CollectorRegistry()
        if DIRECTORY in os.environ:
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            counters = (self._requests, self._tokens, self._introspections, self._authorizations, self._logins)
            for metric in (*counters, self._seconds):
                registry.register(metric)
        return generate_latest(registry)


def _has_room() -> bool:
    """Give the files of this process their room on the disk, once; tell whether they have it.

    The library maps files that have none yet, and who writes to mapped memory on a full disk is killed (S-134).
    """
    global _with_room
    folder, pid = os.environ.get(DIRECTORY), os.getpid()
    if not folder or _with_room == pid:
        return True
    for kind in ("counter", "histogram"):
        path = f"{folder}/{kind}_{pid}.db"
        if os.path.exists(path):
            continue
        try:
            with open(path, "xb") as file:
                file.write(bytes(RESERVED))
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            return False
    _with_room = pid
    return True


os.register_at_fork(after_in_child=_has_room)


def _drained(waiting: deque[T]) -> Iterator[T]:
    """Take out what waits; other threads may add and take meanwhile."""
    try:
        while True:
            yield waiting.popleft()
    except IndexError:
        return
