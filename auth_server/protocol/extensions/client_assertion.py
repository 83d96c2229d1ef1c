"""Client assertions: private_key_jwt and client_secret_jwt (RFC 7523 §2.2, OIDC Core §9)."""

from collections.abc import Mapping
from hashlib import sha256
from math import ceil
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc.errors import JoseError

from auth_server.domain import credentials
from auth_server.domain.client_rules import ASSERTION_ALGORITHMS
from auth_server.protocol import profiles
from auth_server.protocol.client_signature import LEEWAY, BadSignature, header_of, signed_claims, times_fit
from auth_server.protocol.errors import InvalidClient
from auth_server.protocol.feature import Caller, ClientAuth, Feature
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import Client
from auth_server.store.state import OnceKey

ASSERTION_TYPE = JWTBearerClientAssertion.CLIENT_ASSERTION_TYPE
MAX_LIFE = 3600  # seconds
MAX_LENGTH = 8192


class ClientAssertion(JWTBearerClientAssertion):
    """Authlib's reading of an assertion, with the checks that it leaves out or leaves lax.

    Args:
        client: the client that the assertion names; its registered method and keys alone decide.
        audiences: values of `aud`, of which exactly one must be given.
    """

    def __init__(self, server: Server, client: Client, audiences: set[str]) -> None:
        super().__init__(validate_jti=False, leeway=LEEWAY)  # type: ignore[no-untyped-call]
        self._server, self._client, self._audiences = server, client, audiences

    def verified(self, assertion: str) -> Mapping[str, Any]:
        """Return the claims of a good assertion.

        Raises:
            InvalidClient: for every fault alike.
        """
        try:
            claims = signed_claims(assertion, self._client, self._algorithms(), self._server)
            self._check(header_of(assertion), claims)
        except BadSignature:
            raise InvalidClient() from None
        return claims

    def _algorithms(self) -> tuple[str, ...]:
        client = self._client
        possible = ASSERTION_ALGORITHMS[client.token_endpoint_auth_method]
        registered = client.metadata.get("token_endpoint_auth_signing_alg")
        possible = profiles.of(client).among(possible)
        return tuple(alg for alg in possible if registered in (None, alg))  # never "none" (S-008)

    def _check(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        now = self._server.clock()
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1 and not profiles.of(self._client).issuer_alone:
            audience = audience[0]
        client_id = self._client.client_id
        right = (
            claims.get("iss") == client_id == claims.get("sub")  # RFC 7523 §3 (1), (2)
            and isinstance(audience, str)
            and audience in self._audiences  # one value only: RFC 7523bis (S-006)
            and times_fit(claims, now)
            and claims.get("exp") is not None
            and claims["exp"] <= now + MAX_LIFE
            and isinstance(claims.get("jti"), str)
            and 0 < len(claims["jti"]) <= 256
            and str(header.get("typ", "JWT")).lower() in ("jwt", "client-authentication+jwt")
        )
        if not right:
            raise InvalidClient()


def authenticate(request: Request, server: Server) -> Caller:
    """Return the client that a signed assertion proves; its jti is still to be spent.

    Raises:
        InvalidClient: for every fault alike.
        Throttled: too many bad assertions of this client from this address.
    """
    assertion = request.form["client_assertion"]
    client_id = _claimed(assertion)
    server.throttles.check_client(client_id, request.address)  # whether there is such a client or not (S-001)
    try:
        client = server.records.clients.get(client_id) if credentials.CLIENT_ID(client_id) else None
        if client is None or not client.enabled or client.token_endpoint_auth_method not in ASSERTION_ALGORITHMS:
            raise InvalidClient()
        if request.form.get("client_id", client_id) != client_id:
            raise InvalidClient()
        audiences = {server.issuer}
        if not profiles.of(client).issuer_alone:  # S-006
            audiences |= {server.url("/api/v1/oauth/token"), server.url(request.path)}
        claims = ClientAssertion(server, client, audiences).verified(assertion)
    except InvalidClient:
        server.throttles.failed_client(client_id, request.address)
        raise
    request.actor = client_id
    key = sha256(f"assertion {client_id} {claims['jti']}".encode("utf-8", "surrogatepass")).digest()
    once = OnceKey(key, ceil(claims["exp"]) + LEEWAY)  # rounded up: remembered in the last second, too (S-005)
    return Caller(client, method=client.token_endpoint_auth_method, once=(once,))


def _claimed(assertion: str) -> str:
    """Return the client_id that an assertion claims, nothing of which is believed yet; empty if it has none."""
    if len(assertion) > MAX_LENGTH or not credentials.JWT(assertion):
        return ""
    try:
        reader = JWTBearerClientAssertion(validate_jti=False)  # type: ignore[no-untyped-call]
        _, claims = reader.extract_assertion(assertion)
    except (InvalidClientError, JoseError, ValueError, TypeError, RecursionError):
        return ""
    client_id = claims.get("sub")
    return client_id if isinstance(client_id, str) else ""


def _metadata(server: Server) -> dict[str, object]:
    algorithms = [alg for algs in ASSERTION_ALGORITHMS.values() for alg in algs]
    endpoints = ("token_endpoint", "introspection_endpoint", "revocation_endpoint")
    return {f"{endpoint}_auth_signing_alg_values_supported": algorithms for endpoint in endpoints}


FEATURE = Feature(
    name="client_assertion",
    specs=("RFC 7521", "RFC 7523"),
    client_auth=tuple(ClientAuth(method, ASSERTION_TYPE, authenticate) for method in ASSERTION_ALGORITHMS),
    metadata=_metadata,
)
