"""Whether a client has signed something, an assertion or a request object: with its own keys, or with its secret."""

from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any, TypeGuard

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey

from auth_server.domain.client_keys import NoKeys
from auth_server.domain.client_rules import MAC_ALGS
from auth_server.errors import AuthServerError
from auth_server.protocol.server import Server
from auth_server.store.records import Client

LEEWAY = 8  # seconds of clock difference for exp
AHEAD = 60  # seconds that nbf and iat may lie in the future
_UNDERSTOOD_BY_NOBODY = frozenset(("crit", "b64", "zip"))  # RFC 7515 §4.1.11, RFC 7797 (S-044, S-047)


class BadSignature(AuthServerError):
    """It is no JWT, or not of this client."""


class _Registry(jws.JWSRegistry):
    """What may stand in a JWT: unknown header members are ignored (RFC 7515 §4), long RSA keys and signatures fit."""

    max_header_length = 4096  # characters, as all of these
    max_signature_length = 2048

    def __init__(self, *algorithms: str) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)


_READING = _Registry()


def header_of(token: str) -> Mapping[str, Any]:
    """Return the header of a JWT, nothing of which is believed yet.

    Raises:
        BadSignature: it is none, or asks for what is never done.
    """
    try:
        header: dict[str, Any] = jws.extract_compact(token.encode(), registry=_READING).headers()
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise BadSignature("it is no JWT") from None
    if not isinstance(header, dict) or _UNDERSTOOD_BY_NOBODY & header.keys():
        raise BadSignature("its header asks for what is not done here")
    return header


def signed_claims(token: str, client: Client, algorithms: Collection[str], server: Server) -> Mapping[str, Any]:
    """Return the claims of a JWT that a client has signed with one of the algorithms.

    Raises:
        BadSignature: it is none, or it is not.
    """
    header = header_of(token)
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algorithms or not isinstance(kid, str | None):
        raise BadSignature("its algorithm is not the client's")
    if alg in MAC_ALGS:
        payload = verified(token, alg, (OctKey.import_key(secret) for secret in server.clients.mac_secrets(client)))
    else:
        payload = _by_public_key(token, alg, kid, client, server)
    if payload is None:
        raise BadSignature("it is not signed by the client")
    return object_of(payload)


def unsigned_claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT without a signature.

    Raises:
        BadSignature: it has one.
    """
    obj = jws.extract_compact(token.encode(), registry=_READING)
    if obj.protected.get("alg") != "none" or obj.segments["signature"]:
        raise BadSignature("it has a signature, or another algorithm")
    return object_of(obj.payload)


def times_fit(claims: Mapping[str, Any], now: int) -> bool:
    """Tell whether a JWT has not expired and counts already; times that are absent do not matter."""
    times = [claims.get(name) for name in ("exp", "nbf", "iat")]
    if not all(time is None or is_number(time) for time in times):
        return False
    expires, *begins = times
    return (expires is None or now - LEEWAY < expires) and all((begin or 0) <= now + AHEAD for begin in begins)


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a claim is a NumericDate, fractions included (RFC 7519 §2)."""
    return type(value) is int or (isinstance(value, float) and isfinite(value))


def object_of(payload: bytes) -> Mapping[str, Any]:
    """Return the claims that a payload holds.

    Raises:
        BadSignature: it is no JSON object.
    """
    try:
        claims = orjson.loads(payload)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise BadSignature("it holds no JSON object")
    return claims


def _by_public_key(token: str, alg: str, kid: str | None, client: Client, server: Server) -> bytes | None:
    try:
        keys = server.client_keys.find(client, kid)
        payload = verified(token, alg, _fitting(keys, alg, kid))
        if payload is None and kid is None and client.jwks_uri:  # the key may have changed, and nothing tells
            payload = verified(token, alg, _fitting(server.client_keys.find(client, anew=True), alg, kid))
        return payload
    except NoKeys as error:
        raise BadSignature(str(error)) from None


def _fitting(keys: Iterable[Key], alg: str, kid: str | None) -> Iterable[Key]:
    names = (alg, "EdDSA", "Ed25519", None) if alg in ("EdDSA", "Ed25519") else (alg, None)
    for key in keys:
        if kid in (None, key.kid) and key.get("use") in ("sig", None) and key.get("alg") in names:
            yield key


def verified(token: str, alg: str, keys: Iterable[Key]) -> bytes | None:
    """Return the payload of a JWT that one of the keys has signed; None if none has."""
    registry = _Registry(alg)
    for key in keys:
        try:
            return jws.deserialize_compact(token, key, registry=registry).payload
        except (JoseError, ValueError, TypeError):
            continue
    return None
