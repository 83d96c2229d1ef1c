"""Discovery: RFC 8414 and OpenID Connect Discovery 1.0, generated from the features that are switched on."""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from auth_server.domain.scopes import ADMIN
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.feature import Cors, Endpoint, Feature, Operation, Respond, Responses, Surface
from auth_server.protocol.messages import JSON_TYPE, Headers, Request, Response
from auth_server.protocol.server import Server

SCOPES = (
    "config",
    "files",
    "introspect",
    "logs",
    "metrics",
    "photos",
    "sessions",
    "settings",
    "users",
    "webdav",
    *ADMIN,
)
MAX_AGE = 300  # seconds


def document(server: Server, *, openid: bool) -> dict[str, Any]:
    """Return the metadata: lists of several features are united and sorted, other members have one owner.

    Raises:
        ValueError: two features declare one member, or the document breaks RFC 8414.
    """
    merged: dict[str, Any] = {"issuer": server.issuer}
    for feature in server.features:
        _merge(merged, feature.metadata(server), feature.name)
        if openid:
            _merge(merged, feature.openid_metadata(server), feature.name)
    filled = {name: value for name, value in sorted(merged.items()) if value not in ("", [], None)}
    if not openid:
        # response_types_supported is left out as long as there is no authorization endpoint; the check demands it.
        checked = AuthorizationServerMetadata({"response_types_supported": ["none"], **filled})
        if filled["issuer"].startswith("https://"):
            checked.validate()  # type: ignore[no-untyped-call]
    return filled


def _merge(merged: dict[str, Any], members: Mapping[str, Any], feature: str) -> None:
    for name, value in members.items():
        if isinstance(value, list | tuple):
            merged[name] = sorted({*merged.get(name, ()), *value})
        elif name in merged:
            raise ValueError(f"{feature} declares {name} a second time")
        else:
            merged[name] = value


def cached(request: Request, body: bytes, max_age: int, kind: tuple[str, str] = JSON_TYPE) -> Response:
    """Return a document that anybody may keep for a while; 304 to those who have it (RFC 9110 §13.1.2)."""
    etag, headers = _headers(body, max_age, kind)
    asked = request.header("IF_NONE_MATCH")
    if asked and (asked == "*" or etag in [part.strip().removeprefix("W/") for part in asked.split(",")]):
        return Response(304, b"", headers[1:])
    return Response(200, body, headers)


@lru_cache(16)
def _headers(body: bytes, max_age: int, kind: tuple[str, str]) -> tuple[str, Headers]:
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    return etag, (kind, ("ETag", etag), ("Cache-Control", f"public, max-age={max_age}"))


def respond_oauth(request: Request, server: Server) -> Response:
    """Return RFC 8414's document."""
    return cached(request, _rendered(server, openid=False), MAX_AGE)


def respond_openid(request: Request, server: Server) -> Response:
    """Return OpenID Connect Discovery's document, with what is there of it."""
    return cached(request, _rendered(server, openid=True), MAX_AGE)


_documents: dict[bool, tuple[Server, bytes]] = {}


def _rendered(server: Server, *, openid: bool) -> bytes:
    """The document's bytes: what it says is fixed when the server is assembled."""
    known = _documents.get(openid)
    if known is None or known[0] is not server:
        known = _documents[openid] = (server, orjson.dumps(document(server, openid=openid)))
    return known[1]


def _metadata(server: Server) -> dict[str, object]:
    return {
        "scopes_supported": list(SCOPES),
        "grant_types_supported": [grant.grant_type for grant in server.grants.values()],
        "token_endpoint_auth_methods_supported": list(server.auth_methods),
    }


def _endpoint(path: str, operation: Operation) -> Endpoint:
    return Endpoint(
        path,
        surface=Surface.PHOTOPRISM,
        tag="Discovery",
        lane=True,
        cors=Cors.ANY,
        cacheable=True,
        operations=(operation,),
    )


_URL, _WORDS = {"type": "string", "format": "uri"}, {"type": "array", "items": {"type": "string"}}
_SCHEMA: Schema = {
    "title": "ServerMetadata",
    "description": "RFC 8414 and OpenID Connect Discovery; what the server has not is left out.",
    "type": "object",
    "required": ["issuer", "token_endpoint", "jwks_uri", "grant_types_supported"],
    "properties": {
        "issuer": _URL,
        "token_endpoint": _URL,
        "introspection_endpoint": _URL,
        "revocation_endpoint": _URL,
        "jwks_uri": _URL,
        "grant_types_supported": _WORDS,
        "scopes_supported": _WORDS,
        "token_endpoint_auth_methods_supported": _WORDS,
        "introspection_endpoint_auth_methods_supported": _WORDS,
        "revocation_endpoint_auth_methods_supported": _WORDS,
    },
    "additionalProperties": True,
}
_EXAMPLE = Example(
    "Abridged",
    response={
        "issuer": "http://127.0.0.1:2342",
        "token_endpoint": "http://127.0.0.1:2342/api/v1/oauth/token",
        "jwks_uri": "http://127.0.0.1:2342/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
    },
)


def _operation(respond: Respond, summary: str) -> Operation:
    responses: Responses = {200: ("The document.", _SCHEMA), 304: "The caller's copy is good."}
    return Operation("GET", respond, summary, responses=responses, examples={"abridged": _EXAMPLE})


FEATURE = Feature(
    name="discovery",
    specs=("RFC 8414", "OpenID Connect Discovery 1.0"),
    endpoints=(
        _endpoint(
            "/.well-known/oauth-authorization-server",
            _operation(respond_oauth, "Authorization server metadata"),
        ),
        _endpoint(
            "/.well-known/openid-configuration",
            _operation(respond_openid, "OpenID provider metadata"),
        ),
    ),
    metadata=_metadata,
)
