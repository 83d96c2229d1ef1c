"""DPoP (RFC 9449): whoever asks proves to hold a key, and what they get is of use with that key only.

A proof is a JWT for one request. At the token endpoint and at PAR it comes beside the client's authentication; at
everything that reads access tokens it belongs to a token that is bound to its key.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import ceil
from struct import pack
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from joserfc.jwk import Key, import_key

from auth_server.domain import credentials
from auth_server.domain.client_rules import ASSERTION_ALGORITHMS
from auth_server.domain.foreign_keys import check_jwks
from auth_server.domain.keys import base64url
from auth_server.domain.tokens import Token
from auth_server.errors import InvalidInput
from auth_server.protocol import profiles
from auth_server.protocol.client_signature import AHEAD, BadSignature, header_of, is_number, object_of, verified
from auth_server.protocol.errors import InvalidDpopProof, InvalidRequest, InvalidToken, OAuthError, UseDpopNonce
from auth_server.protocol.feature import Feature, Proof
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import Client
from auth_server.store.state import OnceKey

ALGORITHMS = ASSERTION_ALGORITHMS["private_key_jwt"]
TYP = "dpop+jwt"
OLD = 300  # seconds that a proof may be old
NONCE_WINDOW = 120  # seconds; a nonce counts in the window that it is of, and in those beside it
MAX_LENGTH = 8192
MAX_JTI = 256
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}  # RFC 7638 §3.2
_PORTS = {"https": 443, "http": 80}
_ADDRESS = re.compile(r"[!-~]+", re.ASCII).fullmatch  # what else a URI cannot hold, urlsplit would drop (RFC 3986 §2)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII).fullmatch


# ---- where tokens are given out
def prove(request: Request, client: Client | None, server: Server) -> Proof | None:
    """Return what a client proves beside its authentication; its jti is still to be spent.

    Args:
        client: None where a person asks, whose tokens are never bound.

    Raises:
        InvalidDpopProof: it does not count.
        UseDpopNonce: it is good, but lacks a nonce of ours.
    """
    value = request.environ.get("HTTP_DPOP")
    if value is None or client is None:
        return None
    return _read(value, request, server, algorithms=profiles.of(client).among(ALGORITHMS))


def prove_for_token(request: Request, client: Client | None, server: Server) -> Proof | None:
    """Return what a client proves that asks for a token; the rest is as in `prove`.

    Raises:
        InvalidDpopProof: also if it proves nothing, and must (S-101).
    """
    proof = prove(request, client, server)
    if proof is None and client is not None and client.require_dpop:
        raise InvalidDpopProof("This client must prove its key with a DPoP header")
    return proof


def asked_key(parameters: Mapping[str, str]) -> str:
    """Return the thumbprint of the key that a code is to be bound to (RFC 9449 §10); empty without one.

    Raises:
        InvalidRequest: it is no thumbprint.
    """
    value = parameters.get("dpop_jkt", "")
    if value and not _THUMBPRINT(value):
        raise InvalidRequest("dpop_jkt must be the base64url of a SHA-256")
    return value


# ---- where tokens are presented
def check(token: Token, value: str, request: Request, server: Server) -> None:
    """See that whoever presents a bound token holds its key (RFC 9449 §7.1).

    Args:
        value: the token as sent.

    Raises:
        InvalidToken: it came in another way than with the scheme DPoP.
        InvalidDpopProof: no proof, one that does not count, or one of another key.
        UseDpopNonce: it is good, but lacks a nonce of ours.
    """
    try:
        if request.header("AUTHORIZATION")[:5].lower() != "dpop ":  # RFC 9449 §7.2: never as Bearer (S-100)
            raise InvalidToken("The token is bound to a key; present it with the scheme DPoP and a proof")
        proof = _read(request.header("DPOP"), request, server, value)
        if token.cnf is None or proof.jkt != token.cnf.get("jkt"):
            raise InvalidDpopProof("The token is bound to another key")
        if server.state.spend((proof.once,), server.clock()) is not None:
            raise replayed(request, server, token.client_id or "")
    except OAuthError as fault:
        fault.status = 401
        challenge = f'DPoP error="{fault.code}", algs="{" ".join(ALGORITHMS)}"'  # RFC 9449 §7.1
        fault.headers += (("WWW-Authenticate", challenge),)
        raise


def replayed(request: Request, server: Server, client_id: str) -> InvalidDpopProof:
    """Note that a proof came again, and return the error."""
    server.audit.record("dpop.proof", "replayed", client_id=client_id, address=request.address)
    return InvalidDpopProof("The proof was used before")


# ---- a proof
def _read(
    value: str, request: Request, server: Server, token: str = "", algorithms: Sequence[str] = ALGORITHMS
) -> Proof:
    """Return what a proof proves (RFC 9449 §4.3).

    Args:
        token: the access token that it comes with, as sent; empty where none does.
        algorithms: that it may be signed with.
    """
    if len(value) > MAX_LENGTH or not credentials.JWT(value):  # two headers arrive as one with a comma
        raise InvalidDpopProof("There must be one DPoP header, and it must be a JWT")
    claims, jkt = _signed(value, algorithms)
    jti, issued_at = claims.get("jti"), claims.get("iat")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI or not is_number(issued_at):
        raise InvalidDpopProof("jti or iat is missing or malformed")
    if claims.get("htm") != request.method:
        raise InvalidDpopProof("htm is not the method of this request")
    if not _is_here(claims.get("htu"), request, server):
        raise InvalidDpopProof("htu is not the address of this request")
    expected = base64url(sha256(token.encode()).digest()).decode() if token else None
    if expected is not None and claims.get("ath") != expected:
        raise InvalidDpopProof("ath is not the hash of the access token")
    expires_at = _counts_until(issued_at, claims.get("nonce"), server)
    path = request.environ["PATH_INFO"]
    key = sha256(f"dpop {jkt} {request.method} {path} {jti}".encode("utf-8", "surrogatepass")).digest()
    return Proof(jkt, OnceKey(key, expires_at))


def _signed(value: str, algorithms: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """The claims of a proof that its own key has signed, and the thumbprint of that."""
    try:
        header = header_of(value)
        alg = header.get("alg")
        if header.get("typ") != TYP or not isinstance(alg, str) or alg not in algorithms:
            raise InvalidDpopProof(f"typ must be {TYP}, and alg one of {', '.join(algorithms)}")
        key, jkt = _key(header.get("jwk"))
        payload = verified(value, alg, (key,))
        if payload is None:
            raise InvalidDpopProof("The proof is not signed with its jwk")
        return object_of(payload), jkt
    except BadSignature:
        raise InvalidDpopProof("The proof is no JWT that is understood here") from None


def _key(jwk: object) -> tuple[Key, str]:
    """The key in a proof's header; weak and costly ones are refused before anything is computed with them (S-142)."""
    try:
        if not isinstance(jwk, dict) or jwk.get("crv") == "X25519":
            raise InvalidInput("jwk", "must be a public key to verify with")
        check_jwks({"keys": [jwk]})
    except InvalidInput:
        raise InvalidDpopProof("jwk must be a public EC, Ed25519 or RSA key of usual size") from None
    members = {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}
    return import_key(members), base64url(sha256(orjson.dumps(members)).digest()).decode()  # RFC 7638 §3


def _is_here(htu: object, request: Request, server: Server) -> bool:
    """Compare with the address that was asked, but for query and fragment (RFC 9449 §4.3 (9); RFC 3986 §6.2)."""
    if not isinstance(htu, str) or not _ADDRESS(htu):
        return False
    try:
        given, ours = urlsplit(htu), urlsplit(server.issuer)
        place = (given.scheme, given.hostname, given.port or _PORTS.get(given.scheme))
        asked = request.environ["PATH_INFO"].encode("latin-1").decode()
    except ValueError:
        return False
    here = (ours.scheme, ours.hostname, ours.port or _PORTS.get(ours.scheme))
    return place == here and "@" not in given.netloc and unquote(given.path) == asked


def _counts_until(issued_at: float, nonce: object, server: Server) -> int:
    """Return when a proof has expired for certain: so long its jti is remembered.

    Where the server asks for nonces, they say how old a proof is, and the client's clock does not matter (§11.1).
    """
    now = server.clock()
    if server.settings.dpop_nonce_required:
        if not isinstance(nonce, str) or not _is_recent(nonce, server):
            raise UseDpopNonce("Send a proof with the nonce of this answer", (("DPoP-Nonce", fresh_nonce(server)),))
        return now + 3 * NONCE_WINDOW
    if not now - OLD < issued_at <= now + AHEAD:
        raise InvalidDpopProof("iat is too old, or lies in the future")
    return ceil(issued_at) + OLD


# ---- nonces
def fresh_nonce(server: Server) -> str:
    """Return the nonce of this moment: a MAC, so that every process knows it and nothing is kept (RFC 9449 §8)."""
    return _nonce(server.clock() // NONCE_WINDOW, server.dpop_nonce_key)


def _nonce(window: int, key: bytes) -> str:
    return base64url(hmac.digest(key, pack(">Q", window), "sha256")[:18]).decode()


def _is_recent(nonce: str, server: Server) -> bool:
    window = server.clock() // NONCE_WINDOW
    near = [_nonce(number, server.dpop_nonce_key) for number in (window - 1, window, window + 1)]  # clocks differ
    return any([hmac.compare_digest(nonce.encode(), known.encode()) for known in near])


FEATURE = Feature(
    name="dpop",
    specs=("RFC 9449",),
    metadata=lambda server: {"dpop_signing_alg_values_supported": list(ALGORITHMS)},
)
