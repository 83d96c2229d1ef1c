"""Client authentication: exactly one method per request (RFC 6749 §2.3), failures told alike."""

import binascii
from binascii import a2b_base64
from urllib.parse import unquote_plus

from auth_server.domain import credentials
from auth_server.protocol.errors import InvalidClient, InvalidRequest
from auth_server.protocol.extensions import dpop
from auth_server.protocol.feature import Caller, ClientAuth, Feature
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import Client

BASIC, POST, NONE = "client_secret_basic", "client_secret_post", "none"
_NOBODY = credentials.digest("nobody").hex()  # compared with where there is no client, for equal work (S-001)


def authenticate(request: Request, server: Server) -> Caller:
    """Return the client that the request authenticates.

    Raises:
        InvalidRequest: two methods at once, or credentials that cannot be read.
        InvalidClient: unknown client, wrong secret, wrong method: told alike.
        Throttled: too many wrong secrets of this client from this address; the secret was not looked at.
    """
    form = request.form
    basic = basic_credentials(request)
    secret = form.get("client_secret", "")
    assertion_type = form.get("client_assertion_type", "")
    assertion = form.get("client_assertion", "")
    if (basic is not None) + bool(secret) + bool(assertion or assertion_type) > 1:
        raise InvalidRequest("Use one client authentication method only")  # RFC 6749 §2.3
    if basic is not None:
        if form.get("client_id", basic[0]) != basic[0]:
            raise InvalidRequest("client_id differs from the Authorization header")
        return Caller(_by_secret(request, server, *basic, BASIC), method=BASIC)
    if assertion or assertion_type:
        by_assertion = server.assertions.get(assertion_type)
        if by_assertion is None or not assertion:
            raise InvalidClient()
        return by_assertion(request, server)
    client_id = form.get("client_id", "")
    if secret:
        return Caller(_by_secret(request, server, client_id, secret, POST), method=POST)
    if not client_id:
        raise InvalidClient("Client authentication is required")
    client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
    if client is None or not client.enabled or client.token_endpoint_auth_method != NONE:
        raise InvalidClient()  # RFC 6749 §3.2.1: a confidential client must authenticate (S-004)
    request.actor = client_id
    return Caller(client, method=NONE)


def authenticate_confidential(request: Request, server: Server) -> Caller:
    """Return the client like `authenticate`, but never a public one (RFC 7662 §2.1, RFC 6749 §4.4)."""
    caller = authenticate(request, server)
    if caller.method == NONE:
        raise InvalidClient()
    return caller


def spend_once(request: Request, caller: Caller, server: Server) -> None:
    """Remember the jti of a client's assertion (RFC 7523 §3) and of its DPoP proof (RFC 9449 §11.1), in one step.

    Raises:
        InvalidClient: the assertion was used before, here, at another endpoint or on another replica.
        InvalidDpopProof: the proof was.
    """
    proof = caller.proof
    once = caller.once if proof is None else (*caller.once, proof.once)
    known = server.state.spend(once, server.clock()) if once else None
    if known is None:
        return
    client_id = caller.client.client_id if caller.client else ""
    if proof is not None and known.key == proof.once.key:
        raise dpop.replayed(request, server, client_id)
    server.audit.record("client.assertion", "replayed", client_id=client_id)
    raise InvalidClient()


def is_attempted(request: Request) -> bool:
    """Tell whether the request tries to authenticate a client at all."""
    members = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
    return is_basic(request) or any(member in request.form for member in members)


def is_basic(request: Request) -> bool:
    """Tell whether the Authorization header has the scheme Basic, in any case."""
    return request.header("AUTHORIZATION")[:6].lower() in ("basic ", "basic")


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """Return client_id and secret of a Basic header, form-decoded (RFC 6749 §2.3.1); None without one.

    Raises:
        InvalidClient: the header cannot be read.
    """
    if not is_basic(request):
        return None
    try:
        pair = a2b_base64(request.header("AUTHORIZATION")[6:].strip(), strict_mode=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise InvalidClient("The Authorization header cannot be read") from None
    # Ids may hold a colon, but then it is encoded: the first one parts them.
    client_id, colon, secret = pair.partition(":")
    if not colon:
        raise InvalidClient("The Authorization header cannot be read")
    if "%" not in pair and "+" not in pair:
        return client_id, secret
    return unquote_plus(client_id), unquote_plus(secret)


def _by_secret(request: Request, server: Server, client_id: str, secret: str, method: str) -> Client:
    server.throttles.check_client(client_id, request.address)
    client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
    if client is None:
        credentials.secret_matches(secret, _NOBODY)
    elif server.clients.secret_matches(client, secret) and client.enabled and _may_use(client, method):
        request.actor = client_id
        return client
    server.throttles.failed_client(client_id, request.address)
    raise InvalidClient()


def _may_use(client: Client, method: str) -> bool:
    """PhotoPrism's clients use Basic and post; one registered over RFC 7591 is held to its method."""
    registered = client.token_endpoint_auth_method
    return registered == method or (not client.strict_auth_method and {registered, method} == {BASIC, POST})


FEATURE = Feature(
    name="client_authentication",
    specs=("RFC 6749 §2.3",),
    client_auth=(ClientAuth(BASIC), ClientAuth(POST), ClientAuth(NONE, confidential=False)),
)
