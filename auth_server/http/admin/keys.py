"""Signing keys: list and rotate."""

from auth_server.domain.audit import Actor
from auth_server.domain.keys import described
from auth_server.errors import InvalidInput
from auth_server.protocol import bearer
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.feature import Body, Endpoint, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server

SCOPE = "admin:keys"


def ls(request: Request, server: Server) -> Response:
    """Return all keys, without anything private."""
    bearer.require_scope(request, server, SCOPE)
    return json_response([described(key) for key in server.keyring.all()])


def rotate(request: Request, server: Server) -> Response:
    """Let next keys take over, and tell which ones sign or will sign.

    Raises:
        InvalidInput: no such algorithm, a member of the wrong type or one that is unknown.
    """
    living = bearer.require_scope(request, server, SCOPE)
    alg, now = _wanted(request)
    token = living.token
    by = Actor(token.subject or "", token.client_id or "", request.address)
    rotated = server.keyring.rotate(alg, now=now, by=by)
    return json_response(described(rotated[0]) if alg else [described(key) for key in rotated])


def _wanted(request: Request) -> tuple[str | None, bool]:
    members = request.json or {}
    for name in members:
        if name not in ("alg", "now"):
            raise InvalidInput(name, "is unknown here; write alg or now")
    alg, now = members.get("alg"), members.get("now")
    if alg is not None and (not isinstance(alg, str) or not alg):
        raise InvalidInput("alg", "must be the name of an algorithm, for example ES256")
    if now is not None and not isinstance(now, bool):
        raise InvalidInput("now", "must be true or false")
    return alg, bool(now)


_TIME = {"type": ["string", "null"], "format": "date-time", "description": "RFC 3339; null for never."}
_KEY: Schema = {
    "title": "SigningKey",
    "type": "object",
    "required": ["kid", "alg", "status", "created_at", "activates_at", "retires_at"],
    "properties": {
        "kid": {"type": "string"},
        "alg": {"type": "string", "examples": ["ES256"]},
        "status": {"type": "string", "enum": ["next", "active", "retiring", "retired"]},
        "created_at": {**_TIME, "type": "string"},
        "activates_at": _TIME,
        "retires_at": _TIME,
    },
}
_KEYS = {"type": "array", "items": _KEY}
_ACTIVE = {
    "kid": "Yh3vR1nq",
    "alg": "ES256",
    "status": "active",
    "created_at": "2026-10-01T08:00:00Z",
    "activates_at": "2026-10-01T08:00:00Z",
    "retires_at": None,
}
_NEXT = {**_ACTIVE, "kid": "b8Tz0kXw", "status": "next", "activates_at": "2026-12-30T08:00:00Z"}
_REQUEST: Schema = {
    "title": "KeyRotation",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "alg": {
            "type": ["string", "null"],
            "description": "One of SIGNING_ALGS; absent for all.",
            "examples": ["ES256"],
        },
        "now": {
            "type": ["boolean", "null"],
            "description": "Do not wait until every cache of the JWKS knows the key that takes over.",
        },
    },
}


def _endpoint(path: str, operation: Operation, body: Body = Body.NONE) -> Endpoint:
    return Endpoint(path, surface=Surface.PROBLEM, tag="Admin", body=body, operations=(operation,))


ENDPOINTS = (
    _endpoint(
        "/api/v1/admin/keys",
        Operation(
            "GET",
            ls,
            "List signing keys",
            "Those that sign, will sign or have signed.",
            responses={200: ("The keys, without their private parts.", _KEYS)},
            security=("bearer",),
            scope=SCOPE,
            examples={"keys": Example("One algorithm", response=[_ACTIVE, _NEXT])},
        ),
    ),
    _endpoint(
        "/api/v1/admin/keys/rotate",
        Operation(
            "POST",
            rotate,
            "Rotate signing keys",
            "Tells the key that signs, or will sign at `activates_at`.",
            request=_REQUEST,
            responses={200: ("One key where `alg` is given, else one for each algorithm.", {"anyOf": [_KEY, _KEYS]})},
            security=("bearer",),
            scope=SCOPE,
            examples={
                "one": Example("One algorithm", {"alg": "ES256"}, response=_NEXT),
                "all": Example("All of them, when caches know the keys that take over", {}, response=[_NEXT]),
            },
        ),
        Body.JSON,
    ),
)
