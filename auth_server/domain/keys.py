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

from auth_server.clock import Clock, rfc3339
from auth_server.domain import clock_check
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.sealing import Sealing
from auth_server.errors import Conflict, InvalidInput, NotFound, Unavailable
from auth_server.store import recent
from auth_server.store.records import Records, StoredKey

RSA_BITS = 2048
SAME = 2  # seconds in which several rotations at once are one (S-121)
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

    def __init__(self, records: Records, sealing: Sealing, policy: Policy, audit: Audit, clock: Clock) -> None:
        self._records, self._sealing, self._policy, self._audit = records, sealing, policy, audit
        self._clock = clock
        self._parsed: dict[str, SigningKey] = {}
        self._effective: tuple[Sequence[StoredKey], int, dict[str, StoredKey]] = ((), 0, {})
        self._published: tuple[Sequence[StoredKey], dict[str, int | None]] = ((), {})
        self._jwks: tuple[Sequence[StoredKey], int, bytes, float] = ((), 0, b"", 0.0)

    # ---- hot path
    def signing_key(self, alg: str | None = None) -> SigningKey:
        """Return the key that signs now.

        Args:
            alg: its algorithm; None takes the first of the settings that has a key.

        Raises:
            Unavailable: there is no key yet.
        """
        keys, now = self._records.keys.all(), self._clock()
        if self._effective[0] is not keys or self._effective[1] != now:
            self._effective = (keys, now, effective(keys, now))
        signing = self._effective[2]
        for name in (alg,) if alg else self._policy.algorithms:
            if name in signing:
                return self._private(signing[name])
        raise Unavailable(f"there is no key for {alg or 'any algorithm of SIGNING_ALGS'} yet")

    def verifies(self, kid: str) -> bool:
        """Tell whether tokens signed with *kid* are still good."""
        keys = self._records.keys.all()
        if self._published[0] is not keys:
            counting = {key.kid: key.retires_at for key in keys if key.status in PublishedStatus}
            self._published = (keys, counting)
        ends = self._published[1].get(kid, 0)
        return ends is None or ends > self._clock()

    def jwks(self) -> bytes:
        """Return the public keys that verifiers may meet as a JWK set in JSON (RFC 7517 §5).

        While the store is away they are those of last time: whoever verifies may keep them for a while as well; and
        where it says nothing, nobody who wants them is the one to wait whether it speaks again. A store that is far is
        asked now and then: who has changed the keys waits for that (store/recent.py).
        """
        known, until, body, asked_at = self._jwks
        now, moment = self._clock(), recent.monotonic()
        if self._records.is_far and moment < asked_at + recent.TERM and now < until:
            return body
        if body and self._records.is_silent():
            return body
        try:
            keys = self._records.keys.all()
        except Unavailable:
            if not body:
                raise
            return body
        if known is not keys or until <= now:
            published = [key for key in keys if self.verifies(key.kid)]
            body = orjson.dumps({"keys": [key.public_jwk for key in published]})
            until = min((key.retires_at for key in published if key.retires_at is not None), default=1 << 62)
        self._jwks = (keys, until, body, moment)
        return body

    # ---- life
    def all(self) -> Sequence[StoredKey]:
        """Return all keys, in the state that they have now."""
        return self._advanced(self._records.keys.all())

    def advance(self) -> None:
        """Write down what time has brought, and make the keys that are missing. Safe to call anywhere, any time.

        A replica whose clock is wrong leaves it to the others.
        """
        keys, algorithms = self._records.keys.all(), self._policy.algorithms
        held = {(key.alg, key.status) for key in keys}
        lacking = any((alg, "next") not in held for alg in algorithms)
        if not (lacking or self._advanced(keys) != list(keys)):
            return
        if not keys or clock_check.is_right(self._records, self._clock):  # the very first keys are nobody's loss
            self._edit(lambda stored: self._filled(self._advanced(stored), algorithms))

    def rotate(self, alg: str | None = None, *, now: bool = False, by: Actor = SERVER) -> Sequence[StoredKey]:
        """Let the next key take over, at once or as soon as every cache knows it.

        Of several that ask at the same time to rotate at once, one does; the others are told of the same key.

        Args:
            alg: one algorithm; None means all that have keys.
            now: do not wait until the next key has been published for the JWKS's max-age.
            by: who asks, for the audit.

        Returns:
            For each algorithm the key that signs or will sign.

        Raises:
            InvalidInput: no such algorithm.
        """
        moment = self._clock()
        waiting: set[str] = set()

        def start(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            algorithms = self._named(alg, keys)
            keys = self._filled(self._advanced(keys), algorithms)
            waiting.clear()  # an edit may be tried again
            done = self._just_rotated(keys) if now else frozenset()
            for key in keys:
                if key.alg in algorithms and key.status == ("active" if key.alg in done else "next"):
                    waiting.add(key.kid)
            begun = [self._scheduled(key, moment, now) if key.kid in waiting else key for key in keys]
            return self._filled(self._advanced(begun), algorithms)

        told = [key for key in self._edit(start) if key.kid in waiting]
        self._audit.change("key.rotate", by, kids=[key.kid for key in told], now=now)
        return told

    def remove(self, kid: str, by: Actor = SERVER) -> StoredKey:
        """Take a key out at once; what it signed is inactive. The next key takes the place of an active one.

        Raises:
            NotFound: no such key.
        """
        found: list[StoredKey] = []

        def take_out(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            keys = self._advanced(keys)
            found[:] = [key for key in keys if key.kid == kid]
            if not found:
                raise NotFound(f"there is no key {kid!r}; see: auth-server keys ls")
            rest = [key for key in keys if key.kid != kid]
            if found[0].status == "active":
                rest = [self._scheduled(key, self._clock(), True) if key.alg == found[0].alg else key for key in rest]
            return self._filled(self._advanced(rest), [found[0].alg])

        self._edit(take_out)
        self._audit.change("key.remove", by, kid=kid, alg=found[0].alg, status=found[0].status)
        return found[0]

    def import_key(self, alg: str, private_pem: bytes, by: Actor = SERVER) -> StoredKey:
        """Add an existing private key as its algorithm's next one, in place of the one that waits.

        A rotation that was announced happens, but not before every cache knows the new key.

        Raises:
            Conflict: the key is there already.
        """
        new = self._stored(alg, private_pem)

        def put(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            keys = self._advanced(keys)
            if any(key.kid == new.kid for key in keys):
                raise Conflict(f"the key {new.kid} is in the keyring already")
            replaced = [key for key in keys if (key.alg, key.status) == (alg, "next")]
            announced = any(key.activates_at is not None for key in replaced)
            added = self._scheduled(new, self._clock(), False) if announced else new
            return [key for key in keys if key not in replaced] + [added]

        imported = next(key for key in self._edit(put) if key.kid == new.kid)
        self._audit.change("key.import", by, kid=imported.kid, alg=alg)
        return imported

    def warm(self) -> None:
        """Open the keys that sign or will sign, so that forked workers share them.

        Raises:
            SealBroken: the key-encryption key is the wrong one.
        """
        for key in self._records.keys.all():
            if key.status in ("active", "next"):
                self._private(key)
        self.jwks()

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

    def _named(self, alg: str | None, keys: Sequence[StoredKey]) -> Sequence[str]:
        """The algorithms that a command means: it may run with other settings than the server's."""
        held = sorted({key.alg for key in keys if key.status in ("active", "next")}) or self._policy.algorithms
        if alg is None:
            return held
        names = _ED25519 if alg in _ED25519 else (alg,)  # two names of one algorithm (RFC 9864)
        found = [name for name in (*held, *self._policy.algorithms) if name in names]
        if not found:
            raise InvalidInput("alg", f"{alg} is not among SIGNING_ALGS; choose {', '.join(held)}")
        return found[:1]

    def _just_rotated(self, keys: Sequence[StoredKey]) -> frozenset[str]:
        """The algorithms whose keys changed places a moment ago."""
        since = self._clock() + self._policy.overlap - SAME
        return frozenset(key.alg for key in keys if key.status == "retiring" and (key.retires_at or 0) > since)

    def _edit(self, function: Callable[[Sequence[StoredKey]], Sequence[StoredKey]]) -> Sequence[StoredKey]:
        """Change the keys under the store's lock, and note what became of each."""
        before: dict[str, str] = {}

        def watched(keys: Sequence[StoredKey]) -> Sequence[StoredKey]:
            before.clear()
            before.update({key.kid: key.status for key in keys})
            return function(keys)

        after = self._records.keys.edit(watched)
        for key in after:
            if before.get(key.kid) != key.status:
                self._audit.change(f"key.{key.status}", SERVER, kid=key.kid, alg=key.alg)
        for kid in before.keys() - {key.kid for key in after}:
            self._audit.change("key.gone", SERVER, kid=kid)
        return after

    def _scheduled(self, key: StoredKey, moment: int, now: bool) -> StoredKey:
        if key.status != "next":
            return key
        at = moment if now else max(moment, key.published_at + self._policy.max_age)
        return replace(key, activates_at=at if key.activates_at is None else min(at, key.activates_at))

    def _advanced(self, keys: Sequence[StoredKey]) -> list[StoredKey]:
        """The keys as time has made them; of algorithms that only other replicas have in their settings too."""
        moment, overlap = self._clock(), self._policy.overlap
        signing = effective(keys, moment)
        after: list[StoredKey] = []
        for key in keys:
            signs = signing.get(key.alg)
            if key.status == "next" and signs is key:
                key = replace(key, status="active")
            elif key.status == "active" and signs is not None and signs is not key:
                key = replace(key, status="retiring", retires_at=(signs.activates_at or moment) + overlap)
            elif key.status == "active" and self._is_forgotten(key, moment):
                key = replace(key, status="retiring", retires_at=moment + overlap)
            elif key.status == "next" and self._is_forgotten(signs, moment):
                continue
            elif key.status == "next" and key.activates_at is None and self._is_old(signs, moment):
                key = self._scheduled(key, moment, False)
            if key.status == "retiring" and (key.retires_at or 0) <= moment:
                key = replace(key, status="retired", sealed=b"")
            if key.status == "retired" and (key.retires_at or 0) + overlap <= moment:
                continue
            after.append(key)
        return after

    def _is_forgotten(self, active: StoredKey | None, moment: int) -> bool:
        """Whether nobody has rotated an algorithm for so long that no replica can have it in its settings any more."""
        if active is None or active.alg in self._policy.algorithms:
            return False
        return (active.activates_at or active.created_at) + self._policy.interval + self._policy.overlap <= moment

    def _is_old(self, active: StoredKey | None, moment: int) -> bool:
        """Whether the successor's time has come: it is then published for the max-age before it signs."""
        if active is None or active.alg not in self._policy.algorithms:
            return False
        return (active.activates_at or active.created_at) + self._policy.interval <= moment

    def _filled(self, keys: list[StoredKey], algorithms: Sequence[str]) -> list[StoredKey]:
        """The keys, and those that are missing of *algorithms*.

        The very first keys sign at once; the key of an algorithm that is added later waits like every other.
        """
        first = not any(key.status == "active" for key in keys)
        lacking = [alg for alg in algorithms if (alg, "next") not in {(key.alg, key.status) for key in keys}]
        filled = [*keys, *(self._stored(alg, generate(alg)) for alg in lacking)]
        active = {key.alg for key in filled if key.status == "active"}
        starting = [key for key in filled if key.alg in algorithms and key.alg not in active]
        filled = [self._scheduled(key, self._clock(), first) if key in starting else key for key in filled]
        return self._filled(self._advanced(filled), algorithms) if first and starting else filled
