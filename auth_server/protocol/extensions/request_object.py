"""Request objects: an authorization request as a JWT, given or by reference (OIDC Core §6, RFC 9101).

What stands in it wins over what stands beside it; for a client that must sign its requests nothing else counts.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urldefrag

import orjson

from auth_server.domain import credentials
from auth_server.domain.client_metadata import Member, switch, text, texts
from auth_server.domain.client_rules import ASSERTION_ALGORITHMS, MAC_ALGS, has_keys
from auth_server.errors import InvalidInput
from auth_server.logs import log
from auth_server.outbound import Unreachable
from auth_server.protocol import profiles
from auth_server.protocol.client_signature import BadSignature, header_of, signed_claims, times_fit, unsigned_claims
from auth_server.protocol.errors import InvalidRequest, InvalidRequestObject, InvalidRequestUri, RequestNotSupported
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.store.records import Client

BY_VALUE, BY_REFERENCE = "request", "request_uri"
ALG, URIS, REQUIRED = "request_object_signing_alg", "request_uris", "require_signed_request_object"
SIGNED = ASSERTION_ALGORITHMS["private_key_jwt"]
UNSIGNED = "none"  # for clients that are registered for it, and for nobody else
MAX_LENGTH = 65536  # characters
MAX_URI = 512  # characters (OIDC Core §6.2)
MAX_URIS = 50
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII).fullmatch
_TYPES = ("jwt", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt")
_OWN_KEYS = frozenset(("jwk", "jku", "x5u", "x5c"))
_OF_JWT = frozenset(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"))  # that are no parameters


def is_there(parameters: Mapping[str, str]) -> bool:
    """Tell whether a request comes with an object."""
    return BY_VALUE in parameters or BY_REFERENCE in parameters


def is_required(client: Client) -> bool:
    """Tell whether a client must sign its requests; then nothing counts that is not signed (RFC 9101 §10.5)."""
    return client.metadata.get(REQUIRED) is True


def resolved(parameters: dict[str, str], repeated: set[str], server: Server) -> tuple[dict[str, str], set[str]]:
    """Return the parameters that count, and those of them that are repeated; as they are without an object.

    Raises:
        OAuthError: the object does not count; nothing that stands in it may be used.
    """
    client_id = parameters.get("client_id", "")
    if not is_there(parameters) or not credentials.CLIENT_ID(client_id):
        return parameters, repeated
    client = server.records.clients.get(client_id)
    if client is None or not client.enabled or "client_id" in repeated:
        return parameters, repeated  # the request fails for its client
    if repeated & {BY_VALUE, BY_REFERENCE} or (BY_VALUE in parameters and BY_REFERENCE in parameters):
        raise InvalidRequest("There must be one request object, as request or as request_uri")  # OIDC Core §6.1
    by_value = parameters.get(BY_VALUE)
    given = by_value if by_value is not None else _fetched(parameters[BY_REFERENCE], client, server)
    inside = _parameters(_claims(given, client, server), client, server)
    if is_required(client):
        return {"client_id": client.client_id, **inside}, set()  # RFC 9101 §6.3
    types = {frozenset(side["response_type"].split()) for side in (inside, parameters) if "response_type" in side}
    if len(types) > 1:
        raise InvalidRequestObject("response_type differs inside and outside of the request object")  # OIDC Core §6.1
    outside = {name: value for name, value in parameters.items() if name not in (BY_VALUE, BY_REFERENCE)}
    return {**outside, **inside}, repeated


def _fetched(uri: str, client: Client, server: Server) -> str:
    """The object that a URI leads to; only to what the client has registered a request leaves (S-087)."""
    registered = client.metadata.get(URIS, ())
    plain = urldefrag(uri).url  # the fragment names a version (OIDC Core §6.2), and nothing is kept here
    if uri not in registered and plain not in registered:
        raise InvalidRequestUri("request_uri is not one that the client has registered")
    try:
        fetched = server.outbound.get(plain, MAX_LENGTH)
        if fetched.status != 200:
            raise Unreachable(f"the answer has status {fetched.status}")
    except Unreachable as error:
        log.info("a request object of client %s was not fetched: %s", client.client_id, error)
        raise InvalidRequestUri("There is no request object at request_uri") from None
    return fetched.body.decode("ascii", "replace").strip()


def _claims(given: str, client: Client, server: Server) -> Mapping[str, Any]:
    """The claims of an object that is signed, or not, as the client is registered."""
    if len(given) > MAX_LENGTH or not _FORM(given):
        raise InvalidRequestObject("The request object is no JWT with a signature")
    registered = client.metadata.get(ALG)
    try:
        header = header_of(given)
        if _OWN_KEYS & header.keys() or str(header.get("typ", "JWT")).lower() not in _TYPES:
            raise InvalidRequestObject("The header of the request object is not acceptable")
        if header.get("alg") != UNSIGNED:
            return signed_claims(
                given, client, profiles.of(client).among(SIGNED) if registered is None else (registered,), server
            )
        if registered is None:
            raise RequestNotSupported("Unsigned request objects are not offered to this client")
        if registered != UNSIGNED or is_required(client):
            raise InvalidRequestObject("The request object is not signed")
        return unsigned_claims(given)
    except BadSignature:
        raise InvalidRequestObject("The request object is not signed as the client is registered for") from None


def _parameters(claims: Mapping[str, Any], client: Client, server: Server) -> dict[str, str]:
    """The parameters that stand in an object, if it is the client's, for us, and for now."""
    audience = claims.get("aud", server.issuer)
    if claims.get("iss", client.client_id) != client.client_id or claims.get("sub") == client.client_id:
        raise InvalidRequestObject("iss is not the client, or sub is")  # RFC 9101 §10.8: it may be meant for elsewhere
    if server.issuer not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidRequestObject("aud does not name this server")
    if not times_fit(claims, server.clock()):
        raise InvalidRequestObject("The request object has expired, or does not count yet")
    if claims.get("client_id", client.client_id) != client.client_id:
        raise InvalidRequestObject("client_id differs inside and outside of the request object")
    if is_there(claims):
        raise InvalidRequestObject("A request object must hold neither request nor request_uri")
    return {name: _text(value) for name, value in claims.items() if name not in _OF_JWT and value is not None}


def _text(value: Any) -> str:
    """A claim as it would stand in a query string: objects, as `claims`, are JSON there (OIDC Core §6.1)."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _read_uris(name: str, value: Any) -> tuple[str, ...]:
    uris = texts(name, value)
    if len(uris) > MAX_URIS or any(len(uri) > MAX_URI for uri in uris):
        raise InvalidInput(name, f"must be at most {MAX_URIS} URLs of at most {MAX_URI} characters")
    return uris


def _check_alg(client: Client) -> None:
    alg = client.metadata.get(ALG)
    if alg is None:
        return
    if alg not in (*SIGNED, *MAC_ALGS, UNSIGNED):
        raise InvalidInput(ALG, f"{alg!r} is not supported; choose among {', '.join((*SIGNED, *MAC_ALGS, UNSIGNED))}")
    if alg in SIGNED and not has_keys(client):
        raise InvalidInput(ALG, "needs the client's public keys, as jwks or jwks_uri")


def _check_required(client: Client) -> None:
    if is_required(client) and client.metadata.get(ALG) not in MAC_ALGS and not has_keys(client):
        raise InvalidInput(REQUIRED, "needs the client's public keys, as jwks or jwks_uri")
    if is_required(client) and client.metadata.get(ALG) == UNSIGNED:
        raise InvalidInput(REQUIRED, f"does not go with {ALG} {UNSIGNED}")


def _metadata(server: Server) -> dict[str, object]:
    return {
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": [*SIGNED, *MAC_ALGS],
    }


FEATURE = Feature(
    name="request_object",
    specs=("OpenID Connect Core §6", "RFC 9101"),
    client_metadata=(
        Member(ALG, text, _check_alg),
        Member(URIS, _read_uris, is_called=True),
        Member(REQUIRED, switch, _check_required),
    ),
    metadata=_metadata,
)
