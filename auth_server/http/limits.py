"""What gunicorn's parser does and Granian's does not, as far as WSGI shows it."""

from collections.abc import Callable, Iterable
from typing import Any

from auth_server.http.errors import HttpError
from auth_server.http.lane import STATUS_LINES, Lane, StartResponse

CLOSE = ("Connection", "close")


class Limits:
    """The application behind a limit for lines of the head.

    Args:
        longest: characters of a header's value, the path or the query string.
    """

    def __init__(self, application: Lane, longest: int) -> None:
        self._application, self._longest = application, longest

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        longest = self._longest
        for value in environ.values():  # on every request: a plain loop is the fastest
            if value.__class__ is str and len(value) > longest:
                return self._refuse(environ, start_response)
        if "HTTP_TRANSFER_ENCODING" in environ:
            start_response = _last(start_response)
        return self._application(environ, start_response)

    def _refuse(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        too_long = len(environ["PATH_INFO"]) > self._longest or len(environ["QUERY_STRING"]) > self._longest
        status, text = (414, "The request line is too long") if too_long else (431, "A header line is too long")
        answer = self._application.refuse(environ, HttpError(status, text))
        start_response(STATUS_LINES[status], [*answer.headers, ("Content-Length", str(len(answer.body))), CLOSE])
        return [answer.body]


def _last(start_response: StartResponse) -> StartResponse:
    """Close after this answer: there may have been a Content-Length too, which nobody saw (RFC 9112 §6.1, S-143)."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[..., Any]:
        started: Callable[..., Any] = start_response(status, [*headers, CLOSE], *rest)
        return started

    return start
