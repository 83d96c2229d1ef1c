"""The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3): what a client asks of a person."""

from auth_server.protocol import authorization_request, interaction
from auth_server.protocol.authorization_request import CODE, PROMPTS, RESPONSE_TYPES, parse, refuse
from auth_server.protocol.browser_cookie import browser_of, state_if_new
from auth_server.protocol.cross_site_post import as_link
from auth_server.protocol.endpoints import pushed_authorization
from auth_server.protocol.endpoints.check_session import session_state
from auth_server.protocol.errors import InvalidRequest, OAuthError, Refusal
from auth_server.protocol.extensions import request_object
from auth_server.protocol.feature import Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

PATH = "/api/v1/oauth/authorize"


def respond(request: Request, server: Server) -> Response:
    """Answer an authorization request: to the client at once, or with a page for the person.

    Raises:
        Refusal: the client or its redirect URI is not proven.
    """
    by_link = as_link(request, PATH, server)
    if by_link is not None:
        return by_link
    sent = parse(request.pairs)
    is_pushed = pushed_authorization.is_named(sent[0])
    try:
        source = pushed_authorization.opened if is_pushed else request_object.resolved
        parameters, repeated = source(*sent, server)
    except OAuthError as fault:
        if is_pushed:  # to the person: nothing beside the name counts
            raise
        return _refuse_object(fault, *sent, server)
    redirect = authorization_request.prove(parameters, repeated, server)
    request.actor = redirect.client.client_id
    if request_object.is_required(redirect.client) and not request_object.is_there(sent[0]):
        raise InvalidRequest("This client must sign its requests")  # to the person: nothing beside an object counts
    try:
        asked = authorization_request.check(parameters, repeated, redirect, server)
        if not is_pushed and pushed_authorization.is_required(redirect.client, server):  # RFC 9126 §5 (S-109)
            raise InvalidRequest("This client must push its requests")
        return interaction.begin(asked, request, server)
    except Refusal:
        raise
    except OAuthError as error:
        browser = browser_of(request, server)
        state = session_state(redirect, parameters.get("scope", ""), browser, server)
        answer = refuse(redirect, error, server, state)
        answer.headers += state_if_new(request, browser, server) if state else ()
        return answer


def _refuse_object(fault: OAuthError, parameters: dict[str, str], repeated: set[str], server: Server) -> Response:
    """Tell of a bad request object: to the client if what stands beside it counts and proves the way, else a person."""
    try:
        redirect = authorization_request.prove(parameters, repeated, server)
    except Refusal:
        raise fault from None
    if request_object.is_required(redirect.client):
        raise fault
    return refuse(redirect, fault, server)


_RESPONSES = {
    200: "A page that posts the answer to the client (response_mode form_post).",
    303: "To the client with the answer, or to a page for the person.",
    400: "The client or its redirect URI is not known: a page.",
}
_TEXTS = {
    "client_id": "Who asks.",
    "response_type": "What is asked for, for example `code`.",
    "redirect_uri": "Where the answer goes; one that the client has registered.",
    "scope": "Words parted by spaces.",
    "state": "Comes back with the answer.",
    "code_challenge": "base64url of the SHA-256 of a secret (RFC 7636).",
    "code_challenge_method": "`S256`.",
    "dpop_jkt": "Thumbprint of the key that the code is to be bound to (RFC 9449 §10).",
    "nonce": "Stands in the ID token.",
    "response_mode": "`query`, `fragment` or `form_post`.",
    "prompt": "`none`, `login`, `consent` or `select_account`.",
    "max_age": "Seconds that the person's sign-in may be old.",
    "login_hint": "A name to put into the form.",
    "id_token_hint": "An ID token of ours: who is meant.",
    "acr_values": "How the person should sign in.",
    "claims": "Single claims, as JSON.",
    "ui_locales": "Languages, the best first.",
    "request": "All of this as a JWT, signed by the client (RFC 9101).",
    "request_uri": "The name of a pushed request (RFC 9126), or where a JWT is; one that the client has registered.",
    "display": "Taken, and without effect: the pages fit any screen.",
}


_NAMES = tuple(" ".join(sorted(types)) for types in RESPONSE_TYPES)


def _metadata(server: Server) -> dict[str, object]:
    return {
        "authorization_endpoint": server.url(PATH),
        "response_types_supported": list(_NAMES),
    }


FEATURE = Feature(
    name="authorization",
    specs=("RFC 6749 §3.1", "OpenID Connect Core §3"),
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.PAGE,
            tag="OAuth",
            lane=True,
            repeats=True,
            operations=tuple(
                Operation(
                    method,
                    respond,
                    "Ask a person for authorization",
                    "Opened in the person's browser. Parameters stand in the query string, or in a form.",
                    query=_TEXTS if method == "GET" else {},
                    responses=_RESPONSES,
                    produces="text/html",
                )
                for method in ("GET", "POST")
            ),
        ),
    ),
    response_types=(CODE,),
    metadata=_metadata,
    openid_metadata=lambda server: {"prompt_values_supported": list(PROMPTS)},
)
