"""The keyring: states of signing keys, rotation, signing.

Per algorithm one `active` key signs; a `next` one is published ahead, so that caches know it before it signs;
`retiring` ones still verify until the longest token has expired; `retired` ones are only remembered. A key's state
follows from its times: when `activates_at` comes, every process signs with the new key at once, before anybody has
written that down (`Keyring.advance` does, under the store's lock, so that one new key is made however many try).
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain.sealing import Sealing
from auth_server.errors import Conflict, InvalidInput, NotFound
from auth_server.store.records import Records, StoredKey

RSA_BITS = 2048
_CURVES = {"ES256": ("P-256", 32, hashes.SHA256()), "ES384": ("P-384", 48, hashes.SHA384())}
_CURVES["ES512"] = ("P-521", 66, hashes.SHA512())
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

_ED25519 = ("EdDSA", "Ed25519")
PublishedStatus = ("next", "active", "retiring")
Signer = Callable[[bytes], bytes]


def base64url(data: bytes) -> bytes:
    """Return *data* in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@dataclass(frozen=True)
class Policy:
    """How keys live. Durations are seconds.

    Args:
        algorithms: one active key for each.
        interval: how long a key signs.
        overlap: how long a replaced key still verifies; at least the longest token's life.
        max_age: how long verifiers may keep a JWKS; a new key is published that long before it signs.
    """

    algorithms: Sequence[str]
    interval: int
    overlap: int
    max_age: int


class SigningKey:
    """A private key, ready to sign compact JWS."""

    def __init__(self, stored: StoredKey, private_pem: bytes) -> None:
        self.kid, self.alg = stored.kid, stored.alg
        self._sign = _signer(stored.alg, serialization.load_pem_private_key(private_pem, None))
        self._headers: dict[str, bytes] = {}

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """Return a JWT with this *typ*. Done with cryptography directly: joserfc's checks double the time."""
        header = self._headers.get(typ)
        if header is None:
            fields = orjson.dumps({"alg": self.alg, "typ": typ, "kid": self.kid})
            header = self._headers[typ] = base64url(fields) + b"."
        signing_input = header + base64url(orjson.dumps(claims))
        return (signing_input + b"." + base64url(self._sign(signing_input))).decode("ascii")


def _signer(alg: str, key: Any) -> Signer:
    if alg in _CURVES:
        _, size, digest = _CURVES[alg]
        ecdsa = ec.ECDSA(digest)

        def sign_ec(data: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(data, ecdsa))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")  # RFC 7518 §3.4

        return sign_ec
    if alg in ("EdDSA", "Ed25519"):
        return key.sign  # type: ignore[no-any-return]
    digest = _HASHES[alg[2:]]
    pad = padding.PKCS1v15() if alg.startswith("RS") else padding.PSS(padding.MGF1(digest), digest.digest_size)
    return lambda data: key.sign(data, pad, digest)


def generate(alg: str) -> bytes:
    """Return a new private key for *alg* as PEM (PKCS 8)."""
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if alg in _CURVES:
        curve = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[alg]
        key = ec.generate_private_key(curve)
    elif alg in ("EdDSA", "Ed25519"):
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(65537, RSA_BITS)
    return _pem(key)


def _pem(key: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())  # type: ignore[no-any-return]


def public_jwk(alg: str, private_pem: bytes) -> dict[str, Any]:
    """Return the public JWK of a private key: `kid` follows from its thumbprint (RFC 7638), `use` sig, `alg` given."""
    kind: type[ECKey] | type[OKPKey] | type[RSAKey]
    kind = ECKey if alg in _CURVES else OKPKey if alg in ("EdDSA", "Ed25519") else RSAKey
    key = kind.import_key(private_pem)
    members = dict(key.as_dict(private=False))
    members.pop("kid", None)
    kid = key.thumbprint().lstrip("-")  # a leading dash would be an option on the command line
    return {**members, "kid": kid, "use": "sig", "alg": alg}


def effective(keys: Iterable[StoredKey], now: int) -> dict[str, StoredKey]:
    """Return each algorithm's key that signs at *now*: a next key whose time has come, else the active one."""
    signing: dict[str, StoredKey] = {}
    for key in keys:
        if key.status == "active":
            signing.setdefault(key.alg, key)
        elif key.status == "next" and key.activates_at is not None and key.activates_at <= now:
            signing[key.alg] = key
    return signing


def described(key: StoredKey) -> dict[str, str | None]:
    """Return what the command line and the admin API tell of a key: nothing private."""
    return {
        "kid": key.kid,
        "alg": key.alg,
        "status": key.status,
        "created_at": rfc3339(key.created_at),
        "activates_at": rfc3339(key.activates_at),
        "retires_at": rfc3339(key.retires_at),
    }


class Keyring:
    """The signing keys of the server.

    Args:
        records: where keys are stored; its cache makes each question cheap.
        sealing: seals private keys.
        policy: how keys live.
    """

    def __init__(self, records: Records, sealing: Sealing, policy: Policy, clock: Clock, random: Random) -> None:
        self._records, self._sealing, self._policy = records, sealing, policy
        self._clock, self._random = clock, random
        self._parsed: dict[str, SigningKey] = {}
        self._published: tuple[Sequence[StoredKey], frozenset[str]] = ((), frozenset())

    # ---- hot path
    def signing_key(self, alg: str | None = None) -> SigningKey:
        """Return the key that signs now, for *alg* or the first algorithm of the settings."""
        return self._private(effective(self._records.keys.all(), self._clock())[alg or self._policy.algorithms[0]])

    def verifies(self, kid: str) -> bool:
        """Tell whether tokens signed with *kid* are still good: the key is active, retiring or next."""
        keys = self._records.keys.all()
        if self._published[0] is not keys:
            self._published = (keys, frozenset(key.kid for key in keys if key.status in PublishedStatus))
        return kid in self._published[1]

    def jwks(self) -> dict[str, list[Mapping[str, Any]]]:
        """Return the public keys that verifiers may meet (RFC 7517 §5)."""
        now = self._clock()
        keys = [key for key in self._records.keys.all() if key.status in PublishedStatus]
        return {"keys": [key.public_jwk for key in keys if key.retires_at is None or key.retires_at > now]}

    # ---- life
    def all(self) -> Sequence[StoredKey]:
        """Return all keys, in the state that they have now."""
        return self._advanced(self._records.keys.all(), make=False)

    def due(self) -> bool:
        """Tell whether `advance` has something to do."""
        keys = self._records.keys.all()
        held = {(key.alg, key.status) for key in keys}
        wanted = {(alg, status) for alg in self._policy.algorithms for status in ("active", "next")}
        return not wanted <= held or self.all() != list(keys)

    def advance(self) -> None:
        """Write down what time has brought, and make the keys that are missing. Safe to call anywhere, any time."""
        if self.due():
            self._records.keys.edit(lambda keys: self._advanced(keys, make=True))

    def rotate(self, alg: str | None = None, *, now: bool = False) -> Sequence[StoredKey]:
        """Let the next key take over, at once or as soon as every cache knows it.

        Args:
            alg: one algorithm; None means all.
            now: do not wait until the next key has been published for the JWKS's max-age.

        Returns:
            For each algorithm the key that signs or will sign.

        Raises:
            InvalidInput: no such algorithm.
        """
        if alg in _ED25519:  # two names of one algorithm (RFC 9864)
            alg = next((name for name in _ED25519 if name in self._policy.algorithms), alg)
        algorithms = [alg] if alg else list(self._policy.algorithms)
        if alg and alg not in self._policy.algorithms:
            raise InvalidInput("alg", f"{alg} is not among SIGNING_ALGS; choose {', '.join(self._policy.algorithms)}")
        moment = self._clock()
        waiting: set[str] = set()

        def start(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            keys = self._advanced(keys, make=True)
            waiting.clear()  # an edit may be tried again
            waiting.update(key.kid for key in keys if key.status == "next" and key.alg in algorithms)
            return self._advanced(
                [self._scheduled(k, moment, now) if k.alg in algorithms else k for k in keys], make=True
            )

        return [key for key in self._records.keys.edit(start) if key.kid in waiting]

    def remove(self, kid: str) -> StoredKey:
        """Take a key out at once; what it signed is inactive. The next key takes the place of an active one.

        Raises:
            NotFound: no such key.
        """
        found: list[StoredKey] = []

        def take_out(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            keys = self._advanced(keys, make=True)
            found[:] = [key for key in keys if key.kid == kid]
            if not found:
                raise NotFound(f"there is no key {kid!r}; see: auth-server keys ls")
            rest = [key for key in keys if key.kid != kid]
            if found[0].status == "active":
                rest = [self._scheduled(key, self._clock(), True) if key.alg == found[0].alg else key for key in rest]
            return self._advanced(rest, make=True)

        self._records.keys.edit(take_out)
        return found[0]

    def import_key(self, alg: str, private_pem: bytes) -> StoredKey:
        """Add an existing private key as its algorithm's next one, in place of the one that waits.

        Raises:
            Conflict: the key is there already.
        """
        new = self._stored(alg, private_pem)

        def put(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            keys = self._advanced(keys, make=True)
            if any(key.kid == new.kid for key in keys):
                raise Conflict(f"the key {new.kid} is in the keyring already")
            return [key for key in keys if (key.alg, key.status) != (alg, "next")] + [new]

        self._records.keys.edit(put)
        return new

    def warm(self) -> None:
        """Open the keys that sign or will sign, so that forked workers share them.

        Raises:
            SealBroken: the key-encryption key is the wrong one.
        """
        for key in self._records.keys.all():
            if key.status in ("active", "next"):
                self._private(key)

    # ---- the machinery
    def _private(self, stored: StoredKey) -> SigningKey:
        parsed = self._parsed.get(stored.kid)
        if parsed is None:
            pem = self._sealing.open(stored.sealed, f"signing key {stored.kid}")
            parsed = self._parsed[stored.kid] = SigningKey(stored, pem)
        return parsed

    def _stored(self, alg: str, private_pem: bytes) -> StoredKey:
        jwk, moment = public_jwk(alg, private_pem), self._clock()
        sealed = self._sealing.seal(private_pem, f"signing key {jwk['kid']}")
        return StoredKey(jwk["kid"], alg, "next", jwk, sealed, created_at=moment, published_at=moment)

    def _scheduled(self, key: StoredKey, moment: int, now: bool) -> StoredKey:
        if key.status != "next":
            return key
        at = moment if now else max(moment, key.published_at + self._policy.max_age)
        return replace(key, activates_at=at if key.activates_at is None else min(at, key.activates_at))

    def _advanced(self, keys: Sequence[StoredKey], *, make: bool) -> Sequence[StoredKey]:
        """The keys as they should stand now; with *make* new ones are made where they are missing."""
        moment, policy = self._clock(), self._policy
        signing = effective(keys, moment)
        after: list[StoredKey] = []
        for key in keys:
            wanted = key.alg in policy.algorithms
            if key.status == "next" and not wanted:
                continue
            if key.status == "next" and signing.get(key.alg) is key:
                key = replace(key, status="active")
            elif key.status == "active" and (not wanted or signing[key.alg] is not key):
                began = signing[key.alg].activates_at if wanted else None
                key = replace(key, status="retiring", retires_at=(began or moment) + policy.overlap)
            elif key.status == "next" and key.activates_at is None and self._is_old(signing.get(key.alg), moment):
                key = self._scheduled(key, moment, False)
            if key.status == "retiring" and (key.retires_at or 0) <= moment:
                key = replace(key, status="retired", sealed=b"")
            if key.status == "retired" and (key.retires_at or 0) + policy.overlap <= moment:
                continue
            after.append(key)
        if make:
            self._fill(after, moment)
        return after

    def _is_old(self, active: StoredKey | None, moment: int) -> bool:
        """Whether the successor's time has come, early enough to be published for the max-age before."""
        return active is not None and (active.activates_at or active.created_at) + self._policy.interval <= moment

    def _fill(self, keys: list[StoredKey], moment: int) -> None:
        for alg in self._policy.algorithms:
            held = {key.status for key in keys if key.alg == alg}
            if "active" not in held:
                keys[:] = [
                    replace(k, status="active", activates_at=moment) if (k.alg, k.status) == (alg, "next") else k
                    for k in keys
                ]
                if "next" not in held:
                    keys.append(replace(self._stored(alg, generate(alg)), status="active", activates_at=moment))
                held = {"active"}
            if "next" not in held:
                keys.append(self._stored(alg, generate(alg)))
