"""Keys from outside: clients' public key sets, and private keys to sign with. Weak ones are refused (S-125)."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from auth_server.errors import InvalidInput, Refused

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_OKP_CURVES = ("Ed25519", "X25519")  # the latter to encrypt with
_CRYPTOGRAPHY = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
_ED25519 = ("EdDSA", "Ed25519")


def check_jwks(jwks: Mapping[str, Any]) -> None:
    """Refuse a client's key set that is unusable, weak or holds private keys (S-125, S-142).

    Raises:
        InvalidInput: with field `jwks`; Refused where the form is right, but the key too weak.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= 20 or not all(isinstance(key, dict) for key in keys):
        raise InvalidInput("jwks", 'must be {"keys": […]} with 1 to 20 keys (RFC 7517 §5)')
    for key in keys:
        if _PRIVATE & key.keys():
            raise InvalidInput("jwks", "holds a private or symmetric key; give public keys only")
        kind, curve = str(key.get("kty")), str(key.get("crv"))
        if kind == "RSA":
            _check_rsa_bits("jwks", _rsa_bits(key))
        elif not (kind == "OKP" and curve in _OKP_CURVES) and not (kind == "EC" and curve in _CURVES):
            raise Refused("jwks", f"a key of kind {kind:.20}, {curve:.20} is not used; give EC, Ed25519 or RSA")
    kids = [key.get("kid") for key in keys]
    if len(keys) > 1 and (None in kids or len(set(map(str, kids))) < len(kids)):
        raise InvalidInput("jwks", "each of several keys needs a `kid` of its own")
    try:
        KeySet.import_key_set(json.loads(json.dumps(dict(jwks))))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput("jwks", f"cannot be read: {error}") from None


def understood(jwks: object) -> dict[str, Any]:
    """Return a key set that was fetched, without keys of kinds that are not used here (RFC 7517 §5)."""
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    return {"keys": [key for key in keys if _is_used(key)] if isinstance(keys, list) else None}


def _is_used(key: object) -> bool:
    """Tell whether `check_jwks` is to judge a key: also one that it will refuse, as a symmetric one."""
    if not isinstance(key, dict) or key.get("kty") not in ("EC", "OKP"):
        return not isinstance(key, dict) or key.get("kty") in ("RSA", "oct")
    return key.get("crv") in (*_CURVES, *_OKP_CURVES)


def read_private_key(content: bytes, alg: str | None, algorithms: Sequence[str]) -> tuple[str, bytes]:
    """Return the algorithm that a private key is for, and the key as PEM (PKCS 8).

    Args:
        content: an unencrypted PEM, or a JWK.
        alg: the algorithm, where the key fits several; a JWK's own `alg` counts too.
        algorithms: those that this server signs with.

    Raises:
        InvalidInput: it is no private key, or does not fit *alg*; Refused where it is too weak.
    """
    text = content.lstrip()
    jwk = _read_jwk(text) if text.startswith(b"{") else {}
    key = _from_jwk(jwk) if jwk else _from_pem(text)
    asked = alg or jwk.get("alg")
    fitting = _algorithms(key)
    if asked is not None and asked not in fitting:
        raise InvalidInput("alg", f"the key does not fit {asked!s:.20}; it fits {', '.join(fitting)}")
    named = fitting if asked is None or fitting is _ED25519 else [str(asked)]  # EdDSA and Ed25519 are one algorithm
    wanted = [name for name in named if name in algorithms]
    if not wanted:
        raise Refused("key", f"SIGNING_ALGS has none of {', '.join(fitting)}, so nothing would be signed with it")
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return wanted[0], key.private_bytes(encoding, form, serialization.NoEncryption())


def _read_jwk(text: bytes) -> dict[str, Any]:
    try:
        jwk = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("key", "is neither PEM nor a JWK") from None
    if jwk.get("kty") == "oct" or "k" in jwk:
        raise Refused("key", "is symmetric; tokens are signed with EC, Ed25519 or RSA keys")
    if "d" not in jwk:
        raise InvalidInput("key", "is a public key; give the private one")
    return dict(jwk)


def _from_jwk(jwk: dict[str, Any]) -> Any:
    kind = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}.get(str(jwk.get("kty")))
    if kind is None:
        raise Refused("key", f"of kind {jwk.get('kty')!s:.20} is not used; give EC, Ed25519 or RSA")
    if kind is RSAKey:
        _check_rsa_bits("key", _rsa_bits(jwk))
    try:
        return kind.import_key(jwk).private_key  # type: ignore[attr-defined]
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput("key", f"cannot be read: {error}") from None


def _from_pem(text: bytes) -> Any:
    if b"PUBLIC KEY" in text or b"CERTIFICATE" in text:
        raise InvalidInput("key", "is public; give the private key")
    try:
        return serialization.load_pem_private_key(text, None)
    except TypeError:
        raise InvalidInput("key", "is encrypted; decrypt it first: openssl pkey -in FILE -out PLAIN") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput("key", "cannot be read; give an unencrypted PEM or a JWK") from None


def _algorithms(key: Any) -> Sequence[str]:
    if isinstance(key, rsa.RSAPrivateKey):
        _check_rsa_bits("key", key.key_size)
        return _RSA
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _ED25519
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CRYPTOGRAPHY:
        return (_CRYPTOGRAPHY[key.curve.name],)
    name = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else type(key).__name__
    raise Refused("key", f"of kind {name} is not used; give one of P-256, P-384, P-521, Ed25519 or RSA")


def _check_rsa_bits(field: str, bits: int) -> None:
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise Refused(field, f"RSA keys must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one has {bits}")


def _rsa_bits(jwk: Mapping[str, Any]) -> int:
    """The length of the modulus, asked for before anything computes with it."""
    modulus, exponent = jwk.get("n"), jwk.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str) or len(exponent) > 6 or len(modulus) > 4096:
        raise InvalidInput("jwks", "an RSA key needs `n`, and a small exponent `e`")
    try:
        return int.from_bytes(b64decode(modulus + "=" * (-len(modulus) % 4), b"-_")).bit_length()
    except ValueError:
        return 0
