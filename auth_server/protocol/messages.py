"""Requests and responses as the protocol code sees them: no Flask, no sockets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

Headers = tuple[tuple[str, str], ...]
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Request:
    """One request, read and checked for size and form.

    Args:
        environ: the WSGI environment, for headers only.
        path: with the issuer's own path taken off.
        address: of the peer, or the one that a trusted proxy names.
        form: members of a form or of a JSON object at an OAuth endpoint; none occurs twice.
        json: the JSON object of the body, where the endpoint takes JSON.
        lists: the members that may repeat (`resource`, `audience`).
        arguments: what stands in the path's placeholders.
        query: parameters of the query string, where the endpoint takes any.
    """

    environ: Mapping[str, Any]
    method: str
    path: str
    address: str
    form: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    actor: str = ""  # whom the request turned out to be from, for the access line: a client_id or uid

    def header(self, name: str) -> str:
        """Return a header's value, empty if it is absent.

        Args:
            name: as WSGI spells it: capitals, with underscores, for example `AUTHORIZATION`.
        """
        return self.environ.get(f"HTTP_{name}", "")  # type: ignore[no-any-return]


@dataclass(slots=True)
class Response:
    """What to answer. Security and caching headers are added where bytes go out."""

    status: int
    body: bytes = b""
    headers: Headers = (JSON_TYPE,)


def json_response(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """Return a JSON answer."""
    return Response(status, orjson.dumps(value), (JSON_TYPE, *headers))
