"""The token endpoint (RFC 6749 §3.2). It owns the phases that all grants share; a grant fills in its own part."""

from contextlib import suppress

from auth_server.protocol import examples
from auth_server.protocol.client_authentication import spend_once
from auth_server.protocol.description import Example, Link, Schema
from auth_server.protocol.errors import InvalidRequest, UnsupportedGrantType
from auth_server.protocol.extensions import dpop
from auth_server.protocol.feature import Authorization, Body, Cors, Endpoint, Feature, Grant, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import Issued, issue
from auth_server.store.guess import WrongGuess

NEW_TOKEN = "$response.body#/access_token"


def respond(request: Request, server: Server) -> Response:
    """Issue a token; where the store is far away, first on the guess that what it would say is what it said last."""
    grant = select_grant(request, server)
    if grant.only_issues and server.state.is_far:
        with suppress(WrongGuess), server.state.guess():
            return _issue(grant, request, server)
    return _issue(grant, request, server)


def _issue(grant: Grant, request: Request, server: Server) -> Response:
    """First what only reads, then one-time things, then writes."""
    with server.records.one_look():
        caller = grant.authenticate(request, server)
        caller.proof = dpop.prove_for_token(request, caller.client, server)
        spend_once(request, caller, server)
        authorization = grant.authorize(request, caller, server)
        if caller.proof is not None:
            authorization.cnf = {"jkt": caller.proof.jkt}
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
        "token_type": issued.token.token_type,
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


TOKEN: Schema = {
    "title": "TokenResponse",
    "type": "object",
    "required": ["access_token", "token_type", "scope", "status", "session_id", "client_name"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {
            "type": "string",
            "enum": ["Bearer", "DPoP"],
            "description": "`DPoP` where the request had a DPoP proof: the token is bound to its key (RFC 9449).",
        },
        "expires_in": {"type": "integer", "description": "Seconds; absent if the token never expires."},
        "scope": {"type": "string"},
        "status": {"type": "string", "const": "success"},
        "session_id": {"type": "string", "description": "SHA-256 of the token in hex digits."},
        "client_name": {"type": "string"},
    },
}
_TEXT = {"type": ["string", "null"]}  # null: absent, in JSON bodies
_REQUEST: Schema = {
    "title": "TokenRequest",
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "minLength": 1, "examples": ["client_credentials"]},
        "scope": {**_TEXT, "description": "Words parted by spaces; narrows what is registered."},
        "client_id": _TEXT,
        "client_secret": {**_TEXT, "format": "password"},
        "client_assertion_type": _TEXT,
        "client_assertion": _TEXT,
        "username": {**_TEXT, "description": "PhotoPrism's password and session grants."},
        "password": {**_TEXT, "format": "password", "description": "PhotoPrism's password grant."},
        "code": {**_TEXT, "description": "PhotoPrism's grants: a verification code, where one is asked for."},
        "client_name": {**_TEXT, "description": "Name of the app password to be made."},
        "expires_in": {
            "type": ["integer", "string", "null"],
            "description": "Seconds that the app password lives; 0 or -1 for ever.",
        },
    },
}
_GIVEN = {"token_type": "Bearer", "status": "success", "session_id": examples.SESSION_ID}
_BY_CLIENT = {
    "access_token": examples.CLIENT_TOKEN,
    **_GIVEN,
    "scope": "metrics",
    "client_name": "Monitoring",
    "expires_in": 86400,
}
_APP_PASSWORD = {
    "grant_type": "password",
    "username": examples.NAME,
    "password": examples.PASSWORD,
    "client_name": "Sync",
    "scope": "webdav sessions",
}
_CREDENTIALS = {"code": 40, "message": "Invalid credentials"}
_EXAMPLES = {
    "client_credentials": Example(
        "Client credentials, by Basic", {"grant_type": "client_credentials"}, response=_BY_CLIENT, security="client"
    ),
    "client_credentials_in_body": Example(
        "Client credentials, in the body",
        {
            "grant_type": "client_credentials",
            "client_id": examples.CLIENT_ID,
            "client_secret": examples.CLIENT_SECRET,
            "scope": "metrics",
        },
        response=_BY_CLIENT,
        security="none",
    ),
    "app_password": Example(
        "An app password, for a person who signed in",
        _APP_PASSWORD,
        response={
            "access_token": examples.APP_PASSWORD,
            **_GIVEN,
            "scope": "sessions webdav",
            "client_name": "Sync",
            "expires_in": 31536000,
        },
        security="bearer",
    ),
    "wrong_secret": Example(
        "With a wrong secret",
        {"grant_type": "client_credentials", "client_id": examples.CLIENT_ID, "client_secret": "0" * 43},
        status=401,
        response={"error": "invalid_client", "error_description": "Client authentication failed", **_CREDENTIALS},
        security="none",
    ),
    "wrong_password": Example(
        "An app password, with a wrong password",
        {**_APP_PASSWORD, "password": "Wrong-whale-42-sings"},
        status=401,
        response={"error": "invalid_grant", "error_description": "Invalid credentials", **_CREDENTIALS},
        security="bearer",
    ),
}
_LINKS = {
    "introspect": Link("post_oauth_introspect", "Ask whether it counts.", request={"token": NEW_TOKEN}),
    "revoke": Link("post_oauth_revoke", "End it.", request={"token": NEW_TOKEN}),
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
                    "To a client that authenticates, by Basic or in the body; or an app password to a person who signed"
                    " in and whose session is in the header.",
                    request=_REQUEST,
                    responses={
                        200: ("The token; it is shown this once.", TOKEN),
                        401: "Wrong credentials: of the client, or of the person who asks for an app password. With"
                        " `code` 32 the password is right, and a verification code is missing.",
                    },
                    security=("client", "bearer"),
                    examples=_EXAMPLES,
                    links=_LINKS,
                ),
            ),
        ),
    ),
    metadata=lambda server: {"token_endpoint": server.url("/api/v1/oauth/token")},
)
