"""Token introspection (RFC 7662): whether a token counts, told only to those whom it is meant for."""

from auth_server.domain import refresh_tokens, scopes
from auth_server.domain.tokens import Living
from auth_server.errors import NotAuthenticated
from auth_server.protocol import bearer, examples
from auth_server.protocol.authorization_grant import of_refresh_token, still_allowed
from auth_server.protocol.client_authentication import authenticate_confidential, is_attempted, spend_once
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.errors import InvalidClient, InvalidGrant, InvalidRequest, InvalidToken
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.subject import may_name, subject
from auth_server.store.records import Client

INACTIVE = json_response({"active": False})


def respond(request: Request, server: Server) -> Response:
    """Tell an entitled caller what a token is; everybody else, and all other tokens, get `{"active": false}`."""
    with server.records.one_look(), server.tokens.ahead(request.form.get("token", "")):
        client, scope = authenticate(request, server)
        value = request.form.get("token")
        if not value:
            raise InvalidRequest("token is missing")
        if refresh_tokens.is_one(value):
            return _refresh_token(value, client, scope, server)
        living = server.tokens.find(value)
    if living is None or not may_introspect(client, scope, living, server.issuer):
        return _inactive(server)
    server.metrics.introspected(True)
    return json_response(members(living, server))


def _refresh_token(value: str, client: Client | None, scope: str, server: Server) -> Response:
    """A refresh token is its client's business, and that of whoever sees all that is meant for this server."""
    presented = server.refresh_tokens.find(value)
    family = presented.family if presented is not None and server.refresh_tokens.counts(presented) else None
    owner = server.records.clients.get(family.client_id) if family else None
    mine = owner is not None and client is not None and client.client_id == owner.client_id
    if presented is None or family is None or owner is None or not (mine or scopes.has(scope, "introspect")):
        return _inactive(server)
    allowed = of_refresh_token(presented)
    try:
        user = still_allowed(allowed, owner, server)
    except InvalidGrant:
        return _inactive(server)
    server.metrics.introspected(True)
    bound = {"cnf": {"jkt": allowed.jkt}} if allowed.jkt else {}
    return json_response(
        {
            **bound,
            "active": True,
            "scope": allowed.scope,
            "client_id": owner.client_id,
            "username": user.name,
            "token_type": "refresh_token",
            "exp": family.expires_at,
            "iat": family.used_at,
            "sub": subject(user.uid, owner, server),
            "aud": server.issuer,
            "iss": server.issuer,
        }
    )


def _inactive(server: Server) -> Response:
    server.metrics.introspected(False)
    return Response(INACTIVE.status, INACTIVE.body, INACTIVE.headers)


def authenticate(request: Request, server: Server) -> tuple[Client | None, str]:
    """Return the client that asks, and the scope that counts: a confidential client, or a bearer with `introspect`.

    Raises:
        InvalidClient: no or wrong credentials, or a public client (RFC 7662 §2.1).
        InvalidToken: a bearer token that does not count or lacks the scope.
    """
    if is_attempted(request):
        caller = authenticate_confidential(request, server)
        assert caller.client is not None
        spend_once(request, caller, server)
        return caller.client, caller.client.scope
    try:
        living = bearer.find(request, server)
    except NotAuthenticated:
        raise InvalidToken("The bearer token does not count") from None
    if living is None:
        raise InvalidClient("Client authentication is required")
    if living.token.is_app_password or not scopes.has(living.token.scope, "introspect"):
        raise InvalidToken("The bearer token lacks the scope introspect")
    return living.client, living.token.scope


def may_introspect(client: Client | None, scope: str, living: Living, issuer: str) -> bool:
    """The audience rule of CONTRACT section 5: (a) its own token, (b) one meant for it, (c) one for this server."""
    token = living.token
    if client is not None:
        if token.client_id == client.client_id:
            return True
        if token.audience and (
            client.client_id in token.audience or not set(token.audience).isdisjoint(client.resource)
        ):
            return True
    return (not token.audience or issuer in token.audience) and scopes.has(scope, "introspect")


def members(living: Living, server: Server) -> dict[str, object]:
    """Return RFC 7662 §2.2's members, as far as they apply to this token."""
    token, issuer = living.token, server.issuer
    person = subject(token.subject, living.client, server) if token.subject else None
    answer: dict[str, object] = {
        "active": True,
        "scope": token.scope,
        "token_type": token.token_type,
        "iat": token.created_at,
        "sub": person or token.client_id or token.ref_id,
        "aud": token.audience[0] if len(token.audience) == 1 else token.audience or issuer,
        "iss": issuer,
    }
    if token.client_id is not None:
        answer["client_id"] = token.client_id
    if living.user is not None and may_name(living.client, token.scope):
        answer["username"] = living.user.name
    if token.expires_at is not None:
        answer["exp"] = token.expires_at
    if token.jti:
        answer["jti"] = token.jti
    if token.cnf:
        answer["cnf"] = token.cnf
    return answer


_SCHEMA: Schema = {
    "title": "Introspection",
    "type": "object",
    "required": ["active"],
    "properties": {
        "active": {"type": "boolean"},
        "scope": {"type": "string"},
        "client_id": {"type": "string"},
        "username": {"type": "string"},
        "token_type": {"type": "string"},
        "exp": {"type": "integer", "description": "Unix seconds; absent if the token never expires."},
        "iat": {"type": "integer"},
        "sub": {"type": "string", "description": "The person's uid, or the client_id."},
        "aud": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "iss": {"type": "string"},
        "jti": {"type": "string", "description": "Of a JWT."},
        "cnf": {"type": "object", "description": "The key that the token is bound to (RFC 7800)."},
    },
}
_REQUEST: Schema = {
    "title": "IntrospectionRequest",
    "type": "object",
    "required": ["token"],
    "properties": {
        "token": {"type": "string", "minLength": 1, "description": "A token of any kind."},
        "token_type_hint": {"type": "string", "description": "Ignored: the token itself says what it is."},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string", "format": "password"},
        "client_assertion_type": {"type": "string"},
        "client_assertion": {"type": "string"},
    },
}
_EXAMPLES = {
    "active": Example(
        "A token that counts",
        {"token": examples.CLIENT_TOKEN},
        response={
            "active": True,
            "scope": "metrics",
            "token_type": "Bearer",
            "client_id": examples.CLIENT_ID,
            "sub": examples.CLIENT_ID,
            "iss": "http://127.0.0.1:2342",
            "aud": "http://127.0.0.1:2342",
            "iat": 1734084000,
            "exp": 1734170400,
        },
    ),
    "inactive": Example("Any other", {"token": "0" * 48}, response={"active": False}),
}


def _metadata(server: Server) -> dict[str, object]:
    methods = [m.method for feature in server.features for m in feature.client_auth if m.confidential]
    return {
        "introspection_endpoint": server.url("/api/v1/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
    }


FEATURE = Feature(
    name="introspection",
    specs=("RFC 7662",),
    endpoints=(
        Endpoint(
            path="/api/v1/oauth/introspect",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM,
            lane=True,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "Tell whether a token counts",
                    "The caller is a client that authenticates, or a bearer token of scope `introspect`.",
                    request=_REQUEST,
                    responses={200: ("What the caller may know of the token.", _SCHEMA)},
                    security=("client", "bearer"),
                    examples=_EXAMPLES,
                ),
            ),
        ),
    ),
    metadata=_metadata,
)
