"""Clients' public keys: given by value, or fetched from their `jwks_uri` and kept for a while (OIDC Core §10.1).

What was fetched lies in the store for all processes, and each keeps the keys that it has read there. They are fetched
anew when they are old, or when one is sought that is not there: for one client twice in a minute at most, then once a
minute, so that nobody can have us ask somebody's host again and again (S-086).
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from auth_server.clock import Clock
from auth_server.domain.foreign_keys import check_jwks, understood
from auth_server.errors import AuthServerError, InvalidInput
from auth_server.logs import log
from auth_server.outbound import Fetched, Outbound, Unreachable
from auth_server.store.records import Client
from auth_server.store.state import Entry, Kind, Rate, State

PAUSE = 60  # seconds between two fetches for one client
RATE = Rate(2, PAUSE)  # the first one, and one for keys that change soon after that
FRESH = 600  # seconds after which keys are asked for anew, where their host says nothing
LONGEST = 3600  # seconds, whatever it says
KEPT = 21600  # seconds that keys go on counting where they cannot be fetched anew
WAIT = 2.0  # seconds to wait for another thread that fetches the same
MOST = 1000  # clients whose keys a process keeps
_V = TypeVar("_V")


class NoKeys(AuthServerError):
    """A client's keys are not to be had, or not to be used; the text is for logs and administrators."""


@dataclass(slots=True)
class _Held:
    """What a process knows of the keys at one `jwks_uri` of one client.

    Args:
        entry: the key of the store's entry.
        read: what stood in it.
    """

    client_id: str
    uri: str
    entry: bytes
    keys: Sequence[Key] = ()
    read: bytes = b""
    counts_until: int = 0
    fresh_until: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)

    def wants(self, kid: str | None, now: int) -> bool:
        """Tell whether the keys are old, or the one that is sought is missing."""
        return self.fresh_until <= now or (kid is not None and all(key.kid != kid for key in self.keys))


class ClientKeys:
    """Finds the public keys of clients, for signatures and for encryption."""

    def __init__(self, outbound: Outbound, state: State, clock: Clock) -> None:
        self._outbound, self._state, self._clock = outbound, state, clock
        self._lock = threading.Lock()
        self._by_uri: dict[str, _Held] = {}
        self._by_value: dict[str, tuple[Mapping[str, Any], Sequence[Key]]] = {}

    def find(self, client: Client, kid: str | None = None, *, anew: bool = False) -> Sequence[Key]:
        """Return all public keys of a client, whatever they are for.

        Args:
            kid: of the key that is sought; keys by URI are fetched anew if it is not among them.
            anew: look for other keys than last time, though none is missing by name.

        Raises:
            NoKeys: it has none, or they cannot be fetched, or are not to be used.
        """
        if client.jwks is not None:
            return self._given(client.client_id, client.jwks)
        if not client.jwks_uri:
            raise NoKeys("the client has registered no keys")
        held = self._held(client)
        if anew or held.wants(kid, self._clock()):
            self._renew(held, kid, held.read if anew else None)
        if held.counts_until <= self._clock():
            raise NoKeys(f"the keys of client {client.client_id} cannot be fetched")
        return held.keys

    def for_encryption(self, client: Client, alg: str) -> Key:
        """Return the key that a client wants content to be encrypted with (OIDC Core §10.2).

        Args:
            alg: of the key management, such as RSA-OAEP-256 or ECDH-ES.

        Raises:
            NoKeys: it has none that fits, or as in `find`.
        """
        kinds = ("RSA",) if alg.startswith("RSA") else ("EC", "OKP")
        for key in self.find(client):
            usable = key.get("use") in ("enc", None) and key.get("alg") in (alg, None) and key.get("crv") != "Ed25519"
            if key.key_type in kinds and usable:
                return key
        raise NoKeys(f"the client has no key for {alg}")

    def _given(self, client_id: str, jwks: Mapping[str, Any]) -> Sequence[Key]:
        """Keys by value; they were checked when they were given."""
        known = self._by_value.get(client_id)
        if known is not None and known[0] is jwks:  # the record, and with it its members, is cached
            return known[1]
        keys = _imported(jwks)
        _keep(self._by_value, client_id, (jwks, keys))
        return keys

    def _held(self, client: Client) -> _Held:
        with self._lock:
            held = self._by_uri.get(client.client_id)
            if held is None or held.uri != client.jwks_uri:
                entry = sha256(f"client keys {client.client_id} {client.jwks_uri}".encode()).digest()
                held = _Held(client.client_id, client.jwks_uri, entry)
                _keep(self._by_uri, client.client_id, held)
            return held

    def _renew(self, held: _Held, kid: str | None, old: bytes | None) -> None:
        """Look for newer keys: what another thread or process has fetched, else at their host.

        Args:
            old: what the store held when its keys would not do; None where others are wanted for their age or name.
        """
        if not held.busy.acquire(timeout=WAIT):
            return
        try:
            self._read(held)
            if (held.read == old or held.wants(kid, self._clock())) and self._may_ask(held):
                self._fetch(held)
        finally:
            held.busy.release()

    def _read(self, held: _Held) -> None:
        entry = self._state.get(Kind.CLIENT_KEYS, held.entry, self._clock())
        if entry is not None and entry.data != held.read:
            known = orjson.loads(entry.data)
            held.keys, held.fresh_until = _imported(known["jwks"]), known["fresh_until"]
            held.read, held.counts_until = entry.data, entry.expires_at or 0

    def _may_ask(self, held: _Held) -> bool:
        return self._state.draw(f"jwks:{held.entry.hex()[:32]}", 1, RATE, self._clock()).allowed

    def _fetch(self, held: _Held) -> None:
        now = self._clock()
        try:
            fetched = self._outbound.get(held.uri)
            jwks = _checked(fetched)
        except (Unreachable, NoKeys) as error:
            self._may_ask(held)  # the second try of a minute is used up too
            log.warning("the keys of client %s were not fetched: %s", held.client_id, error)
            return
        fresh = FRESH if fetched.max_age is None else fetched.max_age
        known = {"jwks": jwks, "fresh_until": now + min(max(PAUSE, fresh), LONGEST)}
        self._state.put(
            Kind.CLIENT_KEYS, Entry(held.entry, now + KEPT, orjson.dumps(known), client_id=held.client_id), now
        )
        self._read(held)


def _keep(known: dict[str, _V], client_id: str, value: _V) -> None:
    """Keep what is newest, of so many clients at most."""
    known.pop(client_id, None)
    known[client_id] = value
    while len(known) > MOST:
        known.pop(next(iter(known)), None)


def _imported(jwks: Mapping[str, Any]) -> Sequence[Key]:
    return KeySet.import_key_set({"keys": [dict(key) for key in jwks["keys"]]}).keys


def _checked(fetched: Fetched) -> dict[str, Any]:
    """The keys of a document; kinds that are not known do not count (RFC 7517 §5), weak and private ones spoil it."""
    if fetched.status != 200:
        raise NoKeys(f"the answer has status {fetched.status}")
    try:
        jwks = understood(orjson.loads(fetched.body))
        check_jwks(jwks)
    except (InvalidInput, JoseError, ValueError, TypeError) as error:
        raise NoKeys(str(error)) from None
    return jwks
