"""Requests and responses as the protocol code sees them: no Flask, no sockets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from auth_server.errors import InvalidInput

Headers = tuple[tuple[str, str], ...]
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Request:
    """One request, read and checked for size and form. Written out, for it is made on every one of them.

    Args:
        environ: the WSGI environment, for headers only.
        path: with the issuer's own path taken off.
        address: of the peer, or the one that a trusted proxy names.
        arguments: what stands in the path's placeholders.

    Attributes:
        form: members of a form or of a JSON object at an OAuth endpoint; none occurs twice.
        unreadable: why the body is no JSON object, where the endpoint asks other things before it looks at that.
        lists: the members that may repeat (`resource`, `audience`).
        query: parameters of the query string, where the endpoint takes any.
        pairs: all parameters in their order, where the endpoint judges repeats itself.
        actor: whom it turned out to be from, for the access line: a client_id or uid.
    """

    __slots__ = (
        "_json",
        "actor",
        "address",
        "arguments",
        "environ",
        "form",
        "lists",
        "method",
        "pairs",
        "path",
        "query",
        "unreadable",
    )

    def __init__(
        self,
        environ: Mapping[str, Any],
        method: str,
        path: str,
        address: str,
        arguments: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.environ, self.method, self.path, self.address, self.arguments = environ, method, path, address, arguments
        self.form: Mapping[str, str] = _NOTHING
        self._json: Mapping[str, Any] | None = None
        self.unreadable: InvalidInput | None = None
        self.lists: Mapping[str, Sequence[str]] = _NOTHING
        self.query: Mapping[str, str] = _NOTHING
        self.pairs: Sequence[tuple[str, str]] = ()
        self.actor = ""

    @property
    def json(self) -> Mapping[str, Any] | None:
        """The JSON object of the body, where the endpoint takes JSON; None if there is no body.

        Raises:
            InvalidInput: the body is no JSON object.
        """
        if self.unreadable is not None:
            raise self.unreadable
        return self._json

    @json.setter
    def json(self, members: Mapping[str, Any] | None) -> None:
        self._json = members

    def header(self, name: str) -> str:
        """Return a header's value, empty if it is absent.

        Args:
            name: as WSGI spells it: capitals, with underscores, for example `AUTHORIZATION`.
        """
        return self.environ.get(f"HTTP_{name}", "")  # type: ignore[no-any-return]

    def cookie(self, name: str) -> str:
        """Return a cookie's value; empty if it is absent, or there twice with different values."""
        parts = [part.strip().partition("=") for part in self.header("COOKIE").split(";")]
        found = {value for given, _, value in parts if given == name}
        return found.pop() if len(found) == 1 else ""


@dataclass(slots=True)
class Response:
    """What to answer. Security and caching headers are added where bytes go out."""

    status: int
    body: bytes = b""
    headers: Headers = (JSON_TYPE,)
    policy: str = ""  # Content-Security-Policy of this answer, in place of its endpoint's


def json_response(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """Return a JSON answer."""
    return Response(status, orjson.dumps(value), (JSON_TYPE, *headers))
