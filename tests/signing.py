"""Making JWTs by hand, also those that no library would make."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Sign = Callable[[bytes], bytes]


def base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """Return what base64url without padding holds."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(header: Mapping[str, Any], claims: object, sign: Sign) -> str:
    """Return a compact JWS; *claims* may be text that is to stand there as it is."""
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    signed = f"{base64url(json.dumps(header).encode())}.{base64url(payload.encode())}"
    return f"{signed}.{base64url(sign(signed.encode()))}"


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a JWT, unchecked."""
    header, claims, _ = token.split(".")
    return json.loads(unbase64url(header)), json.loads(unbase64url(claims))


def unsigned(data: bytes) -> bytes:
    """Return no signature at all."""
    return b""


def mac(key: bytes) -> Sign:
    """Return HS256 with *key*."""
    return lambda data: hmac.digest(key, data, "sha256")


@dataclass(frozen=True)
class EcKey:
    """An ES256 key pair of a test's own."""

    kid: str = "k1"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        point = self.private.public_key().public_numbers()
        x, y = (base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256", "x": x, "y": y}

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.jwk]}

    def public(self, encoding: serialization.Encoding) -> bytes:
        """Return the public key as PEM or DER."""
        return self.private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        """Return an ES256 signature."""
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
