"""One exchange, for the lane and for Flask: read, run, render errors, add headers, count, log."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from auth_server.errors import AuthServerError, Unavailable
from auth_server.http import headers, incoming
from auth_server.http.errors import Bug, HttpError, render, status_of
from auth_server.http.peer import peer_address
from auth_server.logs import Seldom
from auth_server.protocol.feature import Cors, Endpoint, Operation, Surface
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server

log = logging.getLogger("auth_server.http")
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
POLICY = "Content-Security-Policy"
_NO_ARGUMENTS: Mapping[str, str] = {}


class Exchange:
    """Runs operations of endpoints.

    Attributes:
        page_context: what pages that tell of errors are rendered in; on the lane there is none yet.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.page_context: Callable[[Any], AbstractContextManager[object]] = nullcontext
        self._common: dict[str, Headers] = {}
        self._seldom = Seldom(log, server.clock)

    def run(
        self,
        environ: Mapping[str, Any],
        endpoint: Endpoint,
        operation: Operation,
        arguments: Mapping[str, str] = _NO_ARGUMENTS,
    ) -> Response:
        """Return the whole answer to a request; whatever happens, there is one."""
        started = time.perf_counter()
        server = self.server
        request: Request | None = None
        try:
            request = incoming.read(environ, endpoint, operation, server.settings, arguments)
            response = operation.respond(request, server)
        except Exception as error:  # nothing is swallowed: `_failed` answers, and logs what is a bug
            response = self._failed(error, endpoint, environ)
        server.state.settle()
        extra: Headers = ()
        if operation.deprecated is not None:
            extra = headers.deprecation(operation.deprecated, server.issuer)
        if endpoint.cors is Cors.CLIENTS:
            asked = request or Request(environ, environ["REQUEST_METHOD"], endpoint.path, "")
            try:
                extra += headers.cors(asked, endpoint, server.clients, server.settings.cors_origins)
            except Unavailable as error:  # nobody knows whose page asks
                response = self._failed(error, endpoint, environ)
        return self.finish(environ, endpoint, response, started, request, extra)

    def _failed(self, error: Exception, endpoint: Endpoint, environ: Mapping[str, Any]) -> Response:
        """Return the answer to an error; of a bug the log has it all and the answer nothing (S-151)."""
        if isinstance(error, Unavailable):
            self._seldom.warn("%s: %s", endpoint.path, error)
        elif not isinstance(error, AuthServerError) or status_of(error) == 500:
            request_id = self.server.random(8).hex()
            log.error("request %s failed", request_id, exc_info=error)
            error = Bug(request_id)
        if endpoint.surface is not Surface.PAGE:
            return render(error, endpoint.surface)
        with self.page_context(environ):
            return render(error, endpoint.surface)

    def preflight(self, environ: Mapping[str, Any], endpoint: Endpoint) -> Response:
        """Return the answer to OPTIONS."""
        started, server = time.perf_counter(), self.server
        asked = Request(environ, "OPTIONS", endpoint.path, "")
        try:
            answer = headers.preflight(asked, endpoint, server.clients, server.settings.cors_origins)
        except Unavailable as error:
            answer = self._failed(error, endpoint, environ)
        return self.finish(environ, endpoint, answer, started)

    def refuse(self, environ: Mapping[str, Any], error: HttpError) -> Response:
        """Return the answer to what no endpoint takes: an unknown path, a wrong method, no request at all."""
        path = environ.get("PATH_INFO", "").removeprefix(self.server.settings.issuer_path)
        return self.finish(environ, None, render(error, surface_of(path)), time.perf_counter())

    def finish(
        self,
        environ: Mapping[str, Any],
        endpoint: Endpoint | None,
        response: Response,
        started: float,
        request: Request | None = None,
        extra: Headers = (),
    ) -> Response:
        """Add the headers that every answer has, count and log."""
        method = environ["REQUEST_METHOD"]
        path = endpoint.path if endpoint else "unknown"
        common = self._common.get(path)
        if common is None:
            common = self._common[path] = headers.common(self.server.issuer, endpoint)
        if response.policy:
            common = (*(pair for pair in common if pair[0] != POLICY), (POLICY, response.policy))
        response.headers = response.headers + extra + common
        seconds = time.perf_counter() - started
        counted = method if method in METHODS else "other"  # nobody makes labels of their own (S-154)
        self.server.metrics.answered(path, counted, response.status, seconds)
        if request is None:
            address, actor = peer_address(environ, self.server.settings.proxies), ""
        else:
            address, actor = request.address, request.actor
        self.server.access_log.write(method, path, response.status, seconds, address, actor)
        return response


def surface_of(path: str) -> Surface:
    """Return how errors look at a path that no endpoint has."""
    if path.startswith("/api/v1/oauth"):
        return Surface.OAUTH
    if path.startswith("/api/v1/admin"):
        return Surface.PROBLEM
    if path.startswith(("/api", "/metrics", "/.well-known/")):
        return Surface.PHOTOPRISM
    return Surface.PAGE
