"""A server's processes in the place of an application in this process: what browsers and clients of tests ask."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import EnvironHeaders
from werkzeug.test import Client as HttpClient
from werkzeug.wrappers import Request, Response

from tests.servers.visitors import Visitor
from tests.sites import Site

CONNECTION = ("connection", "transfer-encoding", "content-length")  # what is between us and the server only


class Remote:
    """Passes each request on, as somebody who visits the server."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        path = quote(environ["PATH_INFO"].encode("latin-1"))
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        sent = {
            name: value for name, value in EnvironHeaders(environ).items() if name.lower() not in ("host", *CONNECTION)
        }
        answer = self._visitor.call(request.method, path + query, body=request.get_data() or None, headers=sent)
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in CONNECTION]
        return Response(answer.body, answer.status, kept)(environ, start_response)


def site_at(visitor: Visitor) -> Site:
    """A server that runs, for the browsers and clients of tests/relying_party.py, which come from one address."""
    server, application = visitor.server, Remote(visitor)
    return Site(server.inside, application, HttpClient(application), server.clock)  # type: ignore[arg-type]
