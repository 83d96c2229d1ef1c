"""Client assertions: private_key_jwt and client_secret_jwt (RFC 7523 §2.2, OIDC Core §9)."""

from collections.abc import Mapping
from hashlib import sha256
from math import ceil, isfinite
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from auth_server.domain import credentials
from auth_server.domain.client_rules import ASSERTION_ALGORITHMS
from auth_server.protocol.errors import InvalidClient
from auth_server.protocol.feature import Caller, ClientAuth, Feature
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import Client
from auth_server.store.state import OnceKey

ASSERTION_TYPE = JWTBearerClientAssertion.CLIENT_ASSERTION_TYPE
LEEWAY = 8  # seconds of clock difference for exp
AHEAD = 60  # seconds that nbf and iat may lie in the future
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
            token = self._decoded(assertion)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError, InvalidClientError):
            raise InvalidClient() from None
        self._check(token.header, token.claims)
        return token.claims

    def _decoded(self, assertion: str) -> jwt.Token:
        client = self._client
        algorithms = list(ASSERTION_ALGORITHMS[client.token_endpoint_auth_method])  # joserfc's leave PS256, EdDSA out
        registered = client.metadata.get("token_endpoint_auth_signing_alg")
        if registered is not None:
            algorithms.remove(registered)  # ValueError if it is not among them: never "none" (S-008)
            algorithms = [registered]
        if client.token_endpoint_auth_method == "private_key_jwt":
            keys = KeySet.import_key_set({"keys": [dict(key) for key in (client.jwks or {})["keys"]]})
            kid = self.extract_assertion(assertion)[0].get("kid")
            if kid is not None and kid not in [key.kid for key in keys.keys]:
                raise ValueError("unknown kid")  # S-009
            return jwt.decode(assertion, keys, algorithms=algorithms)
        for secret in self._server.clients.mac_secrets(client):
            try:
                return jwt.decode(assertion, OctKey.import_key(secret), algorithms=algorithms)
            except JoseError:
                continue
        raise ValueError("no secret fits")

    def _check(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        now = self._server.clock()
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        times = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
        client_id = self._client.client_id
        right = (
            claims.get("iss") == client_id == claims.get("sub")  # RFC 7523 §3 (1), (2)
            and isinstance(audience, str)
            and audience in self._audiences  # one value only: RFC 7523bis (S-006)
            and all(value is None or _is_number(value) for value in times.values())
            and times["exp"] is not None
            and now - LEEWAY < times["exp"] <= now + MAX_LIFE
            and (times["nbf"] or 0) <= now + AHEAD
            and (times["iat"] or 0) <= now + AHEAD
            and isinstance(claims.get("jti"), str)
            and 0 < len(claims["jti"]) <= 256
            and not {"crit", "b64", "zip"} & header.keys()  # RFC 7515 §4.1.11 (S-044)
            and str(header.get("typ", "JWT")).lower() in ("jwt", "client-authentication+jwt")
        )
        if not right:
            raise InvalidClient()


def _is_number(value: object) -> bool:
    """Tell whether a claim is a NumericDate, fractions included (RFC 7519 §2); Python's JSON has infinities too."""
    return type(value) is int or (isinstance(value, float) and isfinite(value))


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
        audiences = {server.issuer, server.url("/api/v1/oauth/token"), server.url(request.path)}
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
