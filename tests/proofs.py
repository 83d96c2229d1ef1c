"""Making DPoP proofs by hand, also those that no library would make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from joserfc.jwk import ECKey

from tests.signing import EcKey, Sign, base64url, compact

_jtis = count()


@dataclass(frozen=True)
class Prover:
    """A key, and the proofs that are made with it.

    Args:
        issuer: the server's.
    """

    issuer: str
    key: EcKey = field(default_factory=EcKey)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as proofs hold it."""
        return {name: self.key.jwk[name] for name in ("kty", "crv", "x", "y")}

    @property
    def jkt(self) -> str:
        """Its thumbprint, by another's code than the server's own."""
        return ECKey.import_key(self.jwk).thumbprint()

    def proof(
        self,
        now: int,
        path: str,
        method: str = "POST",
        *,
        token: str | None = None,
        header: Mapping[str, Any] | None = None,
        sign: Sign | None = None,
        **changes: object,
    ) -> str:
        """Return a good proof with *changes*; None leaves a member out.

        Args:
            token: the access token that it comes with.
        """
        claims: dict[str, object] = {
            "jti": f"proof-{next(_jtis)}",
            "htm": method,
            "htu": self.issuer + path,
            "iat": now,
        }
        if token is not None:
            claims["ath"] = base64url(sha256(token.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk, **(header or {})}
        return compact(_without_none(head), _without_none({**claims, **changes}), sign or self.key.sign)


def _without_none(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}
