"""Prometheus metrics, shared by all workers through files (multiprocess mode)."""

import os

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """What is counted. Labels never hold names, secrets or addresses (S-154)."""

    def __init__(self) -> None:
        # The library decides for files or memory when it is imported, so not before `serve` has set the folder.
        from prometheus_client import Counter, Histogram

        self._requests = Counter(
            "auth_server_requests", "Requests answered", ["endpoint", "method", "status"], registry=None
        )
        self._seconds = Histogram(
            "auth_server_request_seconds", "Time to answer", ["endpoint"], buckets=_BUCKETS, registry=None
        )
        self._tokens = Counter("auth_server_tokens_issued", "Tokens issued", ["grant_type", "format"], registry=None)
        self._introspections = Counter("auth_server_introspections", "Introspections", ["active"], registry=None)
        self._logins = Counter("auth_server_logins", "Logins by password", ["outcome"], registry=None)
        # Looking labels up costs more than counting: each combination is looked up once.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        # A labelled counter shows once it is looked up: dashboards want the zero of a fresh start.
        kinds = (("client_credentials", "opaque"), ("client_credentials", "jwt"), ("password", "session"))
        self._issued: dict[tuple[str, str], Counter] = {kind: self._tokens.labels(*kind) for kind in kinds}
        self._active = {known: self._introspections.labels(str(known).lower()) for known in (True, False)}

    def answered(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (endpoint, method, status)
        children = self._children.get(key)
        if children is None:
            counter, histogram = self._requests.labels(endpoint, method, str(status)), self._seconds.labels(endpoint)
            children = self._children[key] = (counter, histogram)
        children[0].inc()
        children[1].observe(seconds)

    def token_issued(self, grant_type: str, form: str) -> None:
        """Count a token."""
        child = self._issued.get((grant_type, form))
        if child is None:
            child = self._issued[grant_type, form] = self._tokens.labels(grant_type, form)
        child.inc()

    def introspected(self, active: bool) -> None:
        """Count an introspection."""
        self._active[active].inc()

    def login(self, outcome: str) -> None:
        """Count a login by password."""
        self._logins.labels(outcome).inc()

    def render(self) -> bytes:
        """Return all workers' figures in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        registry = CollectorRegistry()
        if DIRECTORY in os.environ:
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            for metric in (self._requests, self._seconds, self._tokens, self._introspections, self._logins):
                registry.register(metric)
        return generate_latest(registry)
