"""The hot paths without Flask, whose machinery costs 55 to 70 µs a request (PERFORMANCE.md).

The same endpoints, the same exchange; only routing differs. What is not exactly a method and path of the lane,
a preflight or a wrong method too, is Flask's.
"""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from auth_server.http.errors import HttpError
from auth_server.http.exchange import Exchange
from auth_server.protocol.feature import Endpoint, Operation
from auth_server.protocol.messages import Response

if TYPE_CHECKING:
    from flask import Flask

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Lane:
    """The WSGI application: the lane before Flask.

    Args:
        routes: method and exact path to endpoint and operation.
        flask: takes everything else.
    """

    def __init__(
        self, routes: Mapping[tuple[str, str], tuple[Endpoint, Operation]], exchange: Exchange, flask: "Flask"
    ) -> None:
        self._routes, self._exchange, self._flask = routes, exchange, flask

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if "," in host or (not host and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"):  # RFC 9112 §3.2
            response = self.refuse(environ, HttpError(400, "There must be one Host header"))
        else:
            route = self._routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if route is None:
                return self._flask(environ, start_response)
            response = self._exchange.run(environ, *route)
        body = response.body
        start_response(STATUS_LINES[response.status], [*response.headers, ("Content-Length", str(len(body)))])
        return [body]

    def refuse(self, environ: Mapping[str, Any], error: HttpError) -> Response:
        """Return the answer to what the web server could not read as a request."""
        with self._flask.app_context():  # pages are rendered in one
            return self._exchange.refuse(environ, error)
