"""Client configuration (RFC 7592): a registered client reads, replaces or removes itself."""

from typing import Any

from auth_server.domain import credentials
from auth_server.domain.audit import Actor
from auth_server.domain.clients import SecretNeeded
from auth_server.errors import Conflict, Forbidden, NotFound
from auth_server.protocol import bearer, examples
from auth_server.protocol.client_information import (
    INFORMATION,
    PATH,
    REPLACEMENT,
    REQUEST,
    TOLD,
    charge,
    information,
    refusals,
    values_of,
)
from auth_server.protocol.description import Answer, Example, Parameter
from auth_server.protocol.errors import InvalidClientMetadata, InvalidRequest, InvalidToken
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Responses, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.store.records import Client

REFUSED = "This is not the registration access token of this client"
_NOT_SENT = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


def read(request: Request, server: Server) -> Response:
    """Return the client (RFC 7592 §2.1)."""
    client, token = _client(request, server)
    return json_response(information(client, token, server))


def replace(request: Request, server: Server) -> Response:
    """Replace all of the client's metadata (RFC 7592 §2.2); what only an admin may set stays as it is.

    Raises:
        OAuthError: a member that is not acceptable, or one that is not the client's to send.
        Throttled: too much from this address.
    """
    client, token = _client(request, server)
    members = request.json
    if members is None:
        raise InvalidRequest("The body must be a JSON object: the client's metadata")
    _check_identity(members, client, server)
    values, by = values_of(members, server, client.scope), _actor(client, request)
    charge(request, server)
    secret = None
    try:
        with refusals():
            try:
                client = server.clients.change(client.client_id, values, by)
            except SecretNeeded:
                made = server.clients.new_secret(client.client_id, values=values, by=by)
                client, secret = made.client, made.secret
    except NotFound:  # removed meanwhile
        raise InvalidToken(REFUSED) from None
    except Conflict as error:  # changed meanwhile
        raise InvalidRequest(str(error)) from None
    return json_response(information(client, token, server, secret))


def remove(request: Request, server: Server) -> Response:
    """Remove the client and all that it holds (RFC 7592 §2.3)."""
    client, _ = _client(request, server)
    try:
        server.clients.remove(client.client_id, _actor(client, request))
    except NotFound:  # by another request, meanwhile
        raise InvalidToken(REFUSED) from None
    return Response(204, b"", ())


def _client(request: Request, server: Server) -> tuple[Client, str]:
    """The client of the path, and the token that has proven to be its own.

    Raises:
        InvalidToken: there is no such client, or the token is another's (RFC 7592 §2.1; S-084).
        Forbidden: an admin has disabled the client.
    """
    value, client_id = bearer.presented(request) or "", request.arguments["client_id"]
    client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
    known = client.registration_token if client else ""
    if not value or not known or not credentials.secret_matches(value, known) or client is None:
        if value:
            server.throttles.unknown_token(request.address)
        raise InvalidToken(REFUSED)
    request.actor = client_id
    if not client.enabled:
        raise Forbidden("The client is disabled; ask those who run this server")
    return client, value


def _check_identity(members: Any, client: Client, server: Server) -> None:
    """RFC 7592 §2.2: it says who it is, and sends nothing that only the server makes."""
    sent = [name for name in _NOT_SENT if members.get(name) is not None]
    if sent:
        raise InvalidClientMetadata(f"{sent[0]} must not be sent (RFC 7592 §2.2)")
    if members.get("client_id") != client.client_id:
        raise InvalidClientMetadata("client_id must be that of the path (RFC 7592 §2.2)")
    secret = members.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and server.clients.secret_matches(client, secret)):
        raise InvalidClientMetadata("client_secret cannot be chosen; leave it out")


def _actor(client: Client, request: Request) -> Actor:
    return Actor("registration", client.client_id, request.address)


_REFUSAL = {"error": InvalidToken.code, "error_description": REFUSED, "code": 401, "message": REFUSED}
_RESPONSES: Responses = {
    200: ("The client as it is now.", INFORMATION),
    401: Answer("Not the registration access token of this client, or there is no such client.", example=_REFUSAL),
    403: "An admin has disabled the client.",
}
_CLIENT = {"client_id": examples.REGISTERED_ID}

FEATURE = Feature(
    name="client_configuration",
    specs=("RFC 7592",),
    enabled=lambda settings: settings.registration != "off",
    endpoints=(
        Endpoint(
            f"{PATH}/<client_id>",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.JSON,
            arguments={"client_id": Parameter("The client's id.")},
            operations=(
                Operation(
                    "GET",
                    read,
                    "Read one's own registration",
                    "With the registration access token that came with the registration.",
                    responses=_RESPONSES,
                    security=("bearer",),
                    examples={"client": Example("A web application", arguments=_CLIENT, response=TOLD)},
                ),
                Operation(
                    "PUT",
                    replace,
                    "Replace one's own registration",
                    "All members anew: what is left out gets its default again. A new secret comes with the answer"
                    " only where the client had none that fits.",
                    request=REPLACEMENT,
                    responses=_RESPONSES,
                    security=("bearer",),
                    examples={
                        "client": Example(
                            "A web application",
                            {**_CLIENT, **REQUEST},
                            _CLIENT,
                            response=TOLD,
                        )
                    },
                ),
                Operation(
                    "DELETE",
                    remove,
                    "Remove one's own registration",
                    "Its tokens end at once, and its registration access token with them.",
                    responses={204: "It is gone.", 401: _RESPONSES[401], 403: _RESPONSES[403]},
                    security=("bearer",),
                    examples={"client": Example("A web application", arguments=_CLIENT, status=204)},
                ),
            ),
        ),
    ),
)
