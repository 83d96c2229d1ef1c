"""Token revocation (RFC 7009), by clients, by whoever holds the token, and by the person it belongs to."""

from auth_server.domain import credentials, refresh_tokens
from auth_server.domain.audit import Actor
from auth_server.domain.tokens import Token
from auth_server.errors import Forbidden, NotFound
from auth_server.protocol import bearer, examples
from auth_server.protocol.client_authentication import NONE, authenticate, is_attempted, spend_once
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.errors import InvalidGrant, InvalidRequest
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server


def respond(request: Request, server: Server) -> Response:
    """End a token, everywhere and durably, before the answer goes out.

    Known and unknown tokens look alike: the answer holds the SHA-256 of what was sent.
    """
    value = request.form.get("token", "")
    if is_attempted(request):
        return by_client(request, value, server)
    if not value:
        return by_header(request, server)
    hint = request.form.get("token_type_hint", "")
    if hint == "ref_id" or (not hint and credentials.REF_ID(value)):
        return by_person(request, value, server)
    if hint == "session_id" or (not hint and credentials.SESSION_ID(value)):
        return by_person(request, value, server)
    if refresh_tokens.is_one(value):
        return refresh_token(value, None, request, server)
    living = server.tokens.find(value)
    if living is not None:
        revoke(living.token, request, server, why="holder")
    return deleted(credentials.digest(value).hex())


def refresh_token(value: str, client_id: str | None, request: Request, server: Server) -> Response:
    """End a refresh token, its line, and the access tokens that came of the same authorization (RFC 7009 §2.1).

    One that was used before, but is genuine, ends them just so.

    Args:
        client_id: the client that asks; None for whoever holds it.

    Raises:
        InvalidGrant: it is another client's, and lives on (S-053).
    """
    presented = server.refresh_tokens.find(value)
    if presented is not None:
        family = presented.family
        if client_id not in (None, family.client_id):
            raise InvalidGrant("The token was not issued to this client")
        server.refresh_tokens.end(bytes.fromhex(family.family_id))
        by = Actor(family.uid, client_id or "", request.address)
        why = "client" if client_id else "holder"
        server.audit.change("refresh_token.revoke", by, client_id=family.client_id, uid=family.uid, why=why)
    return deleted(credentials.digest(value).hex())


def by_client(request: Request, value: str, server: Server) -> Response:
    """A client ends one of its own tokens (RFC 7009 §2.1).

    Raises:
        InvalidGrant: the token is another's, and lives on (S-053).
    """
    caller = authenticate(request, server)
    if not value:
        raise InvalidRequest("token is missing")
    spend_once(request, caller, server)
    if refresh_tokens.is_one(value) and caller.client is not None:
        return refresh_token(value, caller.client.client_id, request, server)
    living = server.tokens.find(value)
    if living is not None:
        if caller.client is None or living.token.client_id != caller.client.client_id:
            raise InvalidGrant("The token was not issued to this client")
        revoke(living.token, request, server, why="client")
    elif caller.method != NONE:  # who proves nothing could fill the store
        server.tokens.forget(value)
    return deleted(credentials.digest(value).hex())


def by_header(request: Request, server: Server) -> Response:
    """The token in the header ends itself.

    Raises:
        InvalidRequest: there is no token in the request at all.
    """
    value = bearer.presented(request)
    if value is None:
        raise InvalidRequest("token is missing")
    living = server.tokens.find(value) if credentials.is_token(value) else None
    if living is not None:
        revoke(living.token, request, server, why="holder")
    return deleted(credentials.digest(value).hex())


def by_person(request: Request, identifier: str, server: Server) -> Response:
    """A person who is signed in names one of their own by ref id or session id.

    Raises:
        Forbidden: nobody is signed in.
        NotFound: no token of theirs has that ref id.
    """
    living = bearer.find(request, server)
    if living is None or not living.is_person:
        raise Forbidden(bearer.DENIED)
    try:
        token = server.tokens.by_identifier(identifier)
    except NotFound:
        token = None
    if token is not None and token.subject == living.token.subject:
        revoke(token, request, server, why="person")
        return deleted(token.session_id)
    if credentials.SESSION_ID(identifier):
        return deleted(identifier)
    raise NotFound("Not found")


def revoke(token: Token, request: Request, server: Server, *, why: str, actor: str | None = None) -> None:
    """End a token.

    Args:
        why: holder, client, person, admin or login.
        actor: the uid of whoever did it; by default the token's own.
    """
    server.tokens.revoke(token, Actor(actor or token.subject or "", address=request.address), why)


def deleted(session_id: str) -> Response:
    """Return PhotoPrism's body, which RFC 7009 leaves free."""
    return json_response({"status": "deleted", "session_id": session_id})


_TEXT = {"type": ["string", "null"]}  # null: absent, in JSON bodies
_REQUEST: Schema = {
    "title": "RevocationRequest",
    "type": "object",
    "properties": {
        "token": {**_TEXT, "description": "A token of any kind; or ref id or session id of one's own."},
        "token_type_hint": {**_TEXT, "examples": ["access_token", "session_id", "ref_id"]},
        "client_id": _TEXT,
        "client_secret": {**_TEXT, "format": "password"},
        "client_assertion_type": _TEXT,
        "client_assertion": _TEXT,
    },
}
DELETED: Schema = {
    "title": "Deleted",
    "type": "object",
    "required": ["status", "session_id"],
    "properties": {
        "status": {"type": "string", "const": "deleted"},
        "session_id": {"type": "string", "description": "SHA-256 of the token in hex digits."},
    },
}
DELETED_EXAMPLE = {"status": "deleted", "session_id": examples.SESSION_ID}
_EXAMPLES = {
    "holder": Example(
        "By whoever holds it", {"token": examples.APP_PASSWORD}, response=DELETED_EXAMPLE, security="none"
    ),
    "client": Example(
        "By the client that it was issued to",
        {"token": examples.CLIENT_TOKEN},
        response=DELETED_EXAMPLE,
        security="client",
    ),
    "person": Example(
        "By the person whose it is, by ref id",
        {"token": examples.REF_ID, "token_type_hint": "ref_id"},
        response=DELETED_EXAMPLE,
        security="bearer",
    ),
}


def _metadata(server: Server) -> dict[str, object]:
    return {
        "revocation_endpoint": server.url("/api/v1/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": list(server.auth_methods),
    }


FEATURE = Feature(
    name="revocation",
    specs=("RFC 7009",),
    endpoints=(
        Endpoint(
            path="/api/v1/oauth/revoke",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM_OR_JSON,
            lane=True,
            cors=Cors.CLIENTS,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "End a token",
                    "Holding the token is proof enough; a client that authenticates ends its own tokens only.",
                    request=_REQUEST,
                    responses={
                        200: ("Ended, or unknown.", DELETED),
                        403: "Nobody is signed in who might name a token by ref id or session id.",
                        404: "No token of yours has that ref id.",
                    },
                    security=("client", "bearer", "optional"),
                    examples=_EXAMPLES,
                ),
            ),
        ),
    ),
    metadata=_metadata,
)
