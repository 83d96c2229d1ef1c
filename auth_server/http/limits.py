"""What gunicorn's parser does and Granian's does not, as far as WSGI shows it."""

from collections.abc import Iterable
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
                return self._too_long(environ, start_response)
        if "HTTP_TRANSFER_ENCODING" in environ:
            # A body whose chunks break off comes as if it were whole; and there may have been a Content-Length too,
            # which nobody saw (RFC 9112 §6.1, §8; S-143).
            error = HttpError(400, "Send the body with Content-Length: this web server takes none in chunks")
            return self._refuse(error, environ, start_response)
        return self._application(environ, start_response)

    def _too_long(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        line = len(environ["PATH_INFO"]) > self._longest or len(environ["QUERY_STRING"]) > self._longest
        status, text = (414, "The request line is too long") if line else (431, "A header line is too long")
        return self._refuse(HttpError(status, text), environ, start_response)

    def _refuse(self, error: HttpError, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answer = self._application.refuse(environ, error)
        status = STATUS_LINES[answer.status]
        start_response(status, [*answer.headers, ("Content-Length", str(len(answer.body))), CLOSE])
        return [answer.body]
