"""Limits of a request's head, for web servers that have none of their own for a single line."""

from collections.abc import Iterable
from typing import Any

from auth_server.http.lane import Application, StartResponse

_TEXT = b"A header line is too long\n"
_HEADERS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_TEXT))),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
]


def limited(application: Application, longest: int) -> Application:
    """Return an application that refuses header values, paths and query strings of more than *longest* characters."""

    def guarded(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        for value in environ.values():  # on every request: a plain loop is the fastest
            if value.__class__ is str and len(value) > longest:
                start_response("431 Request Header Fields Too Large", _HEADERS)
                return [_TEXT]
        return application(environ, start_response)

    return guarded
