"""Dynamic client registration (RFC 7591, OpenID Connect Dynamic Client Registration 1.0)."""

from auth_server.domain import credentials
from auth_server.domain.audit import Actor
from auth_server.protocol import bearer, examples
from auth_server.protocol.client_information import (
    INFORMATION,
    METADATA,
    PATH,
    REQUEST,
    TOLD,
    charge,
    information,
    refusals,
    values_of,
)
from auth_server.protocol.description import Answer, Example
from auth_server.protocol.errors import InvalidRequest, InvalidToken
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server

REFUSED = "There is no initial access token that counts"


def respond(request: Request, server: Server) -> Response:
    """Register a client.

    A use of a token is taken when all else is found in order: who mistypes something has not lost it. An address is
    charged before: to find out may take a fetch of what the client names.

    Raises:
        InvalidToken: no initial access token that counts, where one is needed or sent.
        OAuthError: a member that is not acceptable.
        Throttled: too many clients from this address.
    """
    ticket = _ticket(request, server)
    if request.json is None:
        raise InvalidRequest("The body must be a JSON object: the client's metadata")
    token = credentials.new_client_secret(server.random)
    own = {"strict_auth_method": True, "registration_token": credentials.digest(token).hex()}
    if not ticket:
        own["unused_until"] = server.clock() + server.settings.registration_unused_ttl
    values = values_of(request.json, server)
    if not ticket:
        charge(request, server)
    with refusals():
        draft = server.clients.draft({**values, **own})
        if ticket and not server.initial_tokens.use(ticket):  # taken by another request meanwhile
            raise InvalidToken(REFUSED)
        made = server.clients.keep(draft, by=Actor("registration", address=request.address))
    request.actor = made.client.client_id
    return json_response(information(made.client, token, server, made.secret), 201)


def _ticket(request: Request, server: Server) -> str:
    """The initial access token; empty where none is needed."""
    value = bearer.presented(request) or ""
    if not value and server.settings.registration == "open":
        return ""
    if not value or not server.initial_tokens.counts(value):
        if value:
            server.throttles.unknown_token(request.address)
        raise InvalidToken(REFUSED)
    return value


_REFUSAL = {"error": InvalidToken.code, "error_description": REFUSED, "code": 401, "message": REFUSED}

FEATURE = Feature(
    name="registration",
    specs=("RFC 7591", "OpenID Connect Registration 1.0"),
    enabled=lambda settings: settings.registration != "off",
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.JSON,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "Register a client",
                    "Where REGISTRATION is `token`, with an initial access token that `auth-server clients"
                    " initial-token` makes; where it is `open`, also without. A client that nobody uses is removed"
                    " after a while.",
                    request=METADATA,
                    responses={
                        201: ("The client, with its secret and its registration access token.", INFORMATION),
                        401: Answer("No initial access token that counts.", example=_REFUSAL),
                    },
                    security=("bearer", "optional"),
                    examples={
                        "web": Example(
                            "A web application",
                            REQUEST,
                            status=201,
                            response={
                                **TOLD,
                                "client_secret": examples.CLIENT_SECRET,
                                "client_secret_expires_at": 0,
                            },
                            security="none",
                        )
                    },
                ),
            ),
        ),
    ),
    metadata=lambda server: {"registration_endpoint": server.url(PATH)},
)
