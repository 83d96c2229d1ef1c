"""The token endpoint (RFC 6749 §3.2). It owns the phases that all grants share; a grant fills in its own part."""

from auth_server.protocol.client_authentication import spend_once
from auth_server.protocol.errors import InvalidRequest, UnsupportedGrantType
from auth_server.protocol.feature import Authorization, Body, Cors, Endpoint, Feature, Grant, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import Issued, issue


def respond(request: Request, server: Server) -> Response:
    """Issue a token: first what only reads, then one-time things, then writes."""
    grant = select_grant(request, server)
    caller = grant.authenticate(request, server)
    spend_once(caller, server)
    authorization = grant.authorize(request, caller, server)
    issued = issue(authorization, server)
    return token_response(issued, authorization)


def select_grant(request: Request, server: Server) -> Grant:
    """Return the grant that is asked for.

    Raises:
        InvalidRequest: none is named.
        UnsupportedGrantType: this server has no such grant (RFC 6749 §5.2).
    """
    grant_type = request.form.get("grant_type")
    if not grant_type:
        raise InvalidRequest("grant_type is missing")
    grant = server.grants.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType("This server has no such grant_type")
    return grant


def token_response(issued: Issued, authorization: Authorization) -> Response:
    """Return RFC 6749 §5.1's members and PhotoPrism's beside them."""
    answer: dict[str, object] = {
        "access_token": issued.value,
        "token_type": "Bearer",
        "scope": authorization.scope,
        "status": "success",
        "session_id": issued.token.session_id,
        "client_name": authorization.client_name,
    }
    if authorization.ttl is not None:
        answer["expires_in"] = authorization.ttl
    if authorization.beside is not None:
        answer |= authorization.beside(issued.value)
    return json_response(answer)


_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "scope", "status", "session_id", "client_name"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"type": "string", "const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds; absent if the token never expires."},
        "scope": {"type": "string"},
        "status": {"type": "string", "const": "success"},
        "session_id": {"type": "string", "description": "SHA-256 of the token in hex digits."},
        "client_name": {"type": "string"},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "examples": ["client_credentials"]},
        "scope": {"type": "string", "description": "Words parted by spaces; narrows what is registered."},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
        "client_assertion_type": {"type": "string"},
        "client_assertion": {"type": "string"},
        "username": {"type": "string", "description": "PhotoPrism's password and session grants."},
        "password": {"type": "string", "description": "PhotoPrism's password grant."},
        "client_name": {"type": "string", "description": "Name of the app password to be made."},
        "expires_in": {"type": "integer", "description": "Seconds that the app password lives; 0 for ever."},
    },
}

FEATURE = Feature(
    name="token",
    specs=("RFC 6749 §3.2",),
    endpoints=(
        Endpoint(
            path="/api/v1/oauth/token",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM_OR_JSON,
            lane=True,
            cors=Cors.CLIENTS,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "Issue a token",
                    request=_REQUEST,
                    responses={200: ("The token; it is shown this once.", _TOKEN)},
                    security=("client", "bearer"),
                ),
            ),
        ),
    ),
    metadata=lambda server: {"token_endpoint": server.url("/api/v1/oauth/token")},
)
