"""Clients' public keys: given by value, or fetched from their `jwks_uri` and kept for a while (OIDC Core §10.1).

Each process keeps its own. Keys are fetched anew when they are old, or when one is sought that is not there: that at
most once a minute for each client, so that nobody can have us ask somebody's host again and again (S-086).
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from auth_server.clock import Clock
from auth_server.domain.foreign_keys import check_jwks, understood
from auth_server.errors import AuthServerError, InvalidInput
from auth_server.logs import log
from auth_server.outbound import Fetched, Outbound, Unreachable
from auth_server.store.records import Client

PAUSE = 60  # seconds between two fetches for one client
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
    """What is known of the keys at one `jwks_uri` of one client."""

    client_id: str
    uri: str
    keys: Sequence[Key] = ()
    fetched_at: int | None = None
    fresh_until: int = 0
    next_try: int = 0
    tries: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)


class ClientKeys:
    """Finds the public keys of clients, for signatures and for encryption."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound, self._clock = outbound, clock
        self._lock = threading.Lock()
        self._by_uri: dict[str, _Held] = {}
        self._by_value: dict[str, tuple[Mapping[str, Any], Sequence[Key]]] = {}

    def find(self, client: Client, kid: str | None = None, *, anew: bool = False) -> Sequence[Key]:
        """Return all public keys of a client, whatever they are for.

        Args:
            kid: of the key that is sought; keys by URI are fetched anew if it is not among them.
            anew: fetch them anew in any case; that too at most once a minute.

        Raises:
            NoKeys: it has none, or they cannot be fetched, or are not to be used.
        """
        if client.jwks is not None:
            return self._given(client.client_id, client.jwks)
        if not client.jwks_uri:
            raise NoKeys("the client has registered no keys")
        held = self._held(client)
        tries = held.tries
        missing = anew or (kid is not None and all(key.kid != kid for key in held.keys))
        if missing or held.fresh_until <= self._clock():
            self._refresh(held, tries, missing)
        if held.fetched_at is None or held.fetched_at + KEPT <= self._clock():
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
        keys = KeySet.import_key_set({"keys": [dict(key) for key in jwks["keys"]]}).keys
        _keep(self._by_value, client_id, (jwks, keys))
        return keys

    def _held(self, client: Client) -> _Held:
        with self._lock:
            held = self._by_uri.get(client.client_id)
            if held is None or held.uri != client.jwks_uri:
                held = _Held(client.client_id, client.jwks_uri)
                _keep(self._by_uri, client.client_id, held)
            return held

    def _refresh(self, held: _Held, tries: int, missing: bool) -> None:
        """Fetch keys anew, unless another thread has just done so, since there were so many tries."""
        if not held.busy.acquire(timeout=WAIT):
            return
        try:
            now = self._clock()
            if held.tries != tries or now < held.next_try:
                return
            held.next_try = now + PAUSE if missing and held.fetched_at is not None else now
            try:
                fetched = self._outbound.get(held.uri)
                held.keys = _read(fetched)
            except (Unreachable, NoKeys) as error:
                held.next_try = now + PAUSE
                log.warning("the keys of client %s were not fetched: %s", held.client_id, error)
                return
            held.fetched_at = now
            fresh = FRESH if fetched.max_age is None else fetched.max_age
            held.fresh_until = now + min(max(PAUSE, fresh), LONGEST)
        finally:
            held.tries += held.tries == tries
            held.busy.release()


def _keep(known: dict[str, _V], client_id: str, value: _V) -> None:
    """Keep what is newest, of so many clients at most."""
    known.pop(client_id, None)
    known[client_id] = value
    while len(known) > MOST:
        known.pop(next(iter(known)), None)


def _read(fetched: Fetched) -> Sequence[Key]:
    """The keys of a document; kinds that are not known do not count (RFC 7517 §5), weak and private ones spoil it."""
    if fetched.status != 200:
        raise NoKeys(f"the answer has status {fetched.status}")
    try:
        jwks = understood(json.loads(fetched.body))
        check_jwks(jwks)
        return KeySet.import_key_set({"keys": [dict(key) for key in jwks["keys"]]}).keys
    except (InvalidInput, JoseError, ValueError, TypeError, RecursionError) as error:
        raise NoKeys(str(error)) from None
