"""Pushed authorization requests (RFC 9126): a client sends its request itself, and the browser carries a name for it.

What was pushed waits in the store, in order and with the client proven. Its name may be opened again and again, until
it expires or the person's answer has gone to the client.
"""

from collections.abc import Mapping

import orjson

from auth_server.domain import credentials
from auth_server.domain.keys import base64url
from auth_server.protocol import authorization_request, examples, profiles
from auth_server.protocol.client_authentication import NONE, authenticate, spend_once
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.errors import InvalidDpopProof, InvalidRequest, InvalidRequestUri, Refusal
from auth_server.protocol.extensions import dpop, request_object
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Proof, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.store.records import Client
from auth_server.store.state import Entry, Kind, Rate

PATH = "/api/v1/oauth/par"
PREFIX = "urn:ietf:params:oauth:request_uri:"  # RFC 9126 §2.2
FLOOD = Rate(2000, 1)  # requests of one client that wait for a person
MAX_LENGTH = 16384  # characters of what is kept for one
ANSWERED_BY = 4 * 3600  # seconds after which nobody answers any more who has opened a request in time
_CREDENTIALS = frozenset(("client_secret", "client_assertion", "client_assertion_type"))


# ---- the client pushes
def respond(request: Request, server: Server) -> Response:
    """Keep a request that is in order, and return its name.

    Raises:
        OAuthError: the client does not prove itself, or what the authorization endpoint would tell it of its request.
        Throttled: too many requests of this client wait.
    """
    with server.records.one_look():
        caller = authenticate(request, server)
        client = caller.client
        assert client is not None
        caller.proof = dpop.prove(request, client, server)
        spend_once(request, caller, server)
        parameters = _in_order(_sent(request, client), client, caller.proof, server)
    if sum(map(len, parameters.values())) > MAX_LENGTH:
        raise InvalidRequest("The request is too long")
    server.throttles.pushed(_source(client), request.address, FLOOD)
    name = base64url(server.random(32)).decode()
    now, ttl = server.clock(), server.settings.par_ttl
    known = orjson.dumps({"parameters": parameters, "opens_until": now + ttl, "address": request.address})
    entry = Entry(credentials.digest(name), now + ttl + ANSWERED_BY, known, client.client_id)
    server.state.put(Kind.PUSHED_REQUEST, entry, now)
    return json_response({"request_uri": PREFIX + name, "expires_in": ttl}, 201)


def _sent(request: Request, client: Client) -> dict[str, str]:
    """The parameters that were sent, without what proves the client.

    Raises:
        InvalidRequest: a request_uri stands among them.
    """
    if request_object.BY_REFERENCE in request.form:  # RFC 9126 §2.1
        raise InvalidRequest("request_uri must not be pushed")
    sent = {name: value for name, value in request.form.items() if name not in _CREDENTIALS}
    return {**sent, "client_id": client.client_id}


def _in_order(sent: dict[str, str], client: Client, proof: Proof | None, server: Server) -> Mapping[str, str]:
    """The parameters that count, checked as the authorization endpoint checks them (RFC 9126 §2.1).

    The code belongs to a key that is proven here (RFC 9449 §10.1).
    """
    if request_object.is_required(client) and not request_object.is_there(sent):
        raise InvalidRequest("This client must sign its requests")
    parameters, _ = request_object.resolved(sent, set(), server)  # RFC 9126 §3
    if proof is not None and parameters.setdefault("dpop_jkt", proof.jkt) != proof.jkt:
        raise InvalidDpopProof("dpop_jkt names another key than the proof")
    redirect = authorization_request.prove(parameters, set(), server)
    if profiles.of(client).names_redirect and not redirect.given:
        raise InvalidRequest("redirect_uri is missing")
    authorization_request.check(parameters, set(), redirect, server)
    return parameters


def _source(client: Client) -> str:
    """Whom a request counts against: a client that proves itself, else whoever sends it."""
    return "" if client.token_endpoint_auth_method == NONE else client.client_id


# ---- the browser brings the name
def is_required(client: Client, server: Server) -> bool:
    """Tell whether a client must push its requests (RFC 9126 §5, §6)."""
    return client.require_par or server.settings.par_required


def is_named(parameters: Mapping[str, str]) -> bool:
    """Tell whether a request is the name of a pushed one."""
    return parameters.get(request_object.BY_REFERENCE, "").startswith(PREFIX)


def opened(parameters: Mapping[str, str], repeated: set[str], server: Server) -> tuple[dict[str, str], set[str]]:
    """Return what was pushed under a name, nothing of it repeated. What stands beside that never counts (RFC 9101 §5).

    Raises:
        InvalidRequestUri: it is unknown, another client's, expired or answered.
    """
    name = parameters[request_object.BY_REFERENCE]
    entry = server.state.get(Kind.PUSHED_REQUEST, _key(name), server.clock())
    known = orjson.loads(entry.data) if entry is not None else {}
    unclear = bool(repeated & {request_object.BY_REFERENCE, "client_id"}) or request_object.BY_VALUE in parameters
    if entry is None or unclear or entry.client_id != parameters.get("client_id"):
        raise InvalidRequestUri("request_uri is unknown, answered, or another client's; begin again")
    if known["opens_until"] <= server.clock():
        raise InvalidRequestUri("request_uri has expired; begin again")
    return {**known["parameters"], request_object.BY_REFERENCE: name}, set()


def answer_once(parameters: Mapping[str, str], server: Server) -> None:
    """See that a pushed request is answered once (RFC 9126 §7.3); any other request is left alone.

    Raises:
        Refusal: it was answered before, in another window.
    """
    if not is_named(parameters):
        return
    taken = server.state.take(
        Kind.PUSHED_REQUEST, _key(parameters[request_object.BY_REFERENCE]), parameters["client_id"], server.clock()
    )
    if taken is None or not taken.first:
        raise Refusal("This page was answered before; go back to the application and try again")
    client = server.records.clients.get(parameters["client_id"])
    if client is not None:
        server.throttles.answered(_source(client), orjson.loads(taken.entry.data)["address"], FLOOD)


def _key(name: str) -> bytes:
    return credentials.digest(name.removeprefix(PREFIX))


_REQUEST: Schema = {
    "title": "PushedAuthorizationRequest",
    "description": "The parameters of an authorization request, and what proves the client.",
    "type": "object",
    "properties": {
        "client_id": {"type": "string"},
        "response_type": {"type": "string", "examples": ["code"]},
        "redirect_uri": {"type": "string", "description": "A registered one; empty is absent (RFC 6749 §3.1)."},
        "scope": {"type": "string", "description": "Words parted by spaces."},
        "state": {"type": "string"},
        "code_challenge": {"type": "string", "description": "base64url of the SHA-256 of a secret (RFC 7636)."},
        "code_challenge_method": {"type": "string", "examples": ["S256"]},
        "request": {"type": "string", "description": "All of this as a JWT, signed by the client (RFC 9101)."},
        "dpop_jkt": {"type": "string", "description": "Thumbprint of the key that the code is to be bound to."},
        "client_secret": {"type": "string", "format": "password"},
        "client_assertion_type": {"type": "string"},
        "client_assertion": {"type": "string"},
    },
}
_SCHEMA: Schema = {
    "title": "PushedAuthorization",
    "type": "object",
    "required": ["request_uri", "expires_in"],
    "properties": {
        "request_uri": {"type": "string", "description": "Goes to the authorization endpoint, with client_id."},
        "expires_in": {"type": "integer", "description": "Seconds in which it must be opened."},
    },
}


def _metadata(server: Server) -> dict[str, object]:
    return {
        "pushed_authorization_request_endpoint": server.url(PATH),
        "require_pushed_authorization_requests": server.settings.par_required,
    }


FEATURE = Feature(
    name="pushed_authorization",
    specs=("RFC 9126",),
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM,
            cors=Cors.CLIENTS,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "Push an authorization request",
                    "The client sends its request itself, and the browser only the name that it gets for it. A DPoP"
                    " proof in the header `DPoP` binds the code to its key.",
                    request=_REQUEST,
                    responses={201: ("The request waits under this name.", _SCHEMA)},
                    security=("client",),
                    examples={
                        "code": Example(
                            "A request for a code",
                            {
                                "response_type": "code",
                                "redirect_uri": examples.REDIRECT_URI,
                                "scope": "metrics",
                                "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
                                "code_challenge_method": "S256",
                            },
                            status=201,
                            response={"request_uri": PREFIX + examples.REGISTRATION_TOKEN, "expires_in": 60},
                        )
                    },
                ),
            ),
        ),
    ),
    metadata=_metadata,
)
