"""Registered clients: every rule about their metadata, on all roads (command line, admin API, registration)."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain import credentials, roles, scopes
from auth_server.domain.sealing import Sealing
from auth_server.domain.tokens import Tokens
from auth_server.errors import InvalidInput, NotFound
from auth_server.store.records import Client, ClientSecret, Records
from auth_server.store.state import Page

DEFAULT_TTL = 86400  # seconds, of client_credentials tokens
MAX_TTL = 2678400
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
LOOPBACK_HOSTS = ("127.0.0.1", "[::1]", "localhost")
_FORBIDDEN_SCHEMES = frozenset(("javascript", "data", "vbscript", "file", "blob", "about"))
MIN_MAC_SECRET = 43  # characters: 256 bits, where the secret is the key of a MAC (OIDC Core §16.19)
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192


@dataclass(frozen=True)
class Capabilities:
    """What this server can do for a client; values that are not here are refused at registration."""

    grant_types: tuple[str, ...]
    auth_methods: tuple[str, ...]
    response_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewClient:
    """A client as just made, with the secret that is shown this once."""

    client: Client
    secret: str | None


class Clients:
    """Clients, and every rule about them."""

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        sealing: Sealing,
        capabilities: Capabilities,
        clock: Clock,
        random: Random,
    ) -> None:
        self._records, self._tokens, self._sealing = records, tokens, sealing
        self._capabilities, self._clock, self._random = capabilities, clock, random
        self._origins: tuple[int, frozenset[str]] = (-1, frozenset())

    def add(self, values: Mapping[str, Any], secret: str | None = None) -> NewClient:
        """Register a client.

        Args:
            values: members of `records.Client` by name; absent ones take their defaults.
            secret: a given secret; None makes one where the authentication method needs one.

        Raises:
            InvalidInput: a member is not acceptable; the reason says what to write instead.
            Conflict: the client_id is taken by a client or a user.
        """
        now = self._clock()
        client_id = values.get("client_id") or credentials.new_uid(self._random, "c", now)
        made = Client(**{**values, "client_id": client_id, "created_at": now, "updated_at": now})
        if not made.redirect_uris and not made.scope:
            raise InvalidInput("scope", "a client without redirect URIs needs one, for example: --scope metrics")
        client = self._checked(made)
        if client.token_endpoint_auth_method in SECRET_METHODS:
            secret = secret or credentials.new_client_secret(self._random)
            client = replace(client, secrets=(self._stored_secret(client, secret),))
        elif secret is not None:
            raise InvalidInput("secret", f"{client.token_endpoint_auth_method} uses no secret; leave it out")
        return NewClient(self._records.clients.add(client), secret)

    def find(self, client_id: str) -> Client:
        """Return a client.

        Raises:
            NotFound: there is none.
        """
        client = self._records.clients.get(client_id)
        if client is None:
            raise NotFound(f"there is no client {client_id!r}; see: auth-server clients ls")
        return client

    def change(self, client_id: str, values: Mapping[str, Any]) -> Client:
        """Change members of a client; disabling it ends its tokens at once.

        Raises:
            InvalidInput: a member is not acceptable.
            NotFound: there is no such client.
        """

        def apply(client: Client) -> Client:
            changed = self._checked(replace(client, **values, updated_at=self._clock()))
            if changed.token_endpoint_auth_method not in SECRET_METHODS:
                return replace(changed, secrets=())
            if client.token_endpoint_auth_method not in SECRET_METHODS or (
                changed.token_endpoint_auth_method == "client_secret_jwt" and not all(s.sealed for s in client.secrets)
            ):
                raise InvalidInput(
                    "auth-method", f"a new secret is needed first; run: auth-server clients secret {client_id}"
                )
            return changed

        client = self._records.clients.change(client_id, apply)
        if not client.enabled:
            self._tokens.revoke_client(client_id)
        return client

    def new_secret(
        self, client_id: str, secret: str | None = None, overlap: int = 0, method: str | None = None
    ) -> NewClient:
        """Replace a client's secret.

        Args:
            overlap: seconds that the old ones still count; 0 ends them at once.
            method: another authentication method to change to at the same time.
        """
        text = secret or credentials.new_client_secret(self._random)
        now = self._clock()

        def apply(client: Client) -> Client:
            client = self._checked(
                replace(client, token_endpoint_auth_method=method or client.token_endpoint_auth_method)
            )
            if client.token_endpoint_auth_method not in SECRET_METHODS:
                raise InvalidInput(
                    "client", f"{client_id} authenticates by {client.token_endpoint_auth_method}, without a secret"
                )
            until = now + overlap
            old = [
                replace(held, expires_at=min(until, held.expires_at or until))
                for held in client.secrets
                if overlap and (held.expires_at is None or held.expires_at > now)
            ]
            return replace(client, secrets=(self._stored_secret(client, text), *old), updated_at=now)

        return NewClient(self._records.clients.change(client_id, apply), text)

    def remove(self, client_id: str) -> None:
        """Remove a client and everything it holds.

        Raises:
            NotFound: there is none.
        """
        if not self._records.clients.remove(client_id):
            raise NotFound(f"there is no client {client_id!r}; see: auth-server clients ls")
        self._tokens.revoke_client(client_id)

    def page(self, search: str, page: Page) -> Sequence[Client]:
        """Return clients, newest first; *search* is a prefix of id, name or owner."""
        return self._records.clients.page(search, page)

    def secret_matches(self, client: Client, secret: str) -> bool:
        """Compare a secret with all that count now, each in constant time."""
        now = self._clock()
        held = [s.digest for s in client.secrets if s.expires_at is None or s.expires_at > now]
        return any([credentials.secret_matches(secret, stored) for stored in held])

    def mac_secrets(self, client: Client) -> list[bytes]:
        """Return the secrets themselves, for client_secret_jwt."""
        now = self._clock()
        held = [s for s in client.secrets if s.sealed and (s.expires_at is None or s.expires_at > now)]
        return [self._sealing.open(b64decode(s.sealed), f"client secret {client.client_id}") for s in held]

    def public_origins(self) -> frozenset[str]:
        """Return the origins of the pages of public clients: whose pages may call us (S-148)."""
        generation = self._records.generation()
        if self._origins[0] != generation:
            clients = self._records.clients.page("", Page(100000))
            public = [c for c in clients if c.enabled and c.token_endpoint_auth_method == "none"]
            self._origins = (generation, frozenset(origin(uri) for c in public for uri in c.redirect_uris))
        return self._origins[1]

    # ---- the rules
    def _stored_secret(self, client: Client, secret: str) -> ClientSecret:
        if not credentials.CLIENT_SECRET(secret):
            raise InvalidInput("secret", "must have 32 to 128 printable ASCII characters without space")
        sealed = ""
        if client.token_endpoint_auth_method == "client_secret_jwt":
            if len(secret) < MIN_MAC_SECRET:
                raise InvalidInput("secret", f"must have at least {MIN_MAC_SECRET} characters for client_secret_jwt")
            sealed = b64encode(self._sealing.seal(secret.encode(), f"client secret {client.client_id}")).decode()
        return ClientSecret(credentials.digest(secret).hex(), sealed)

    def _checked(self, client: Client) -> Client:
        """Return the client in normal form, or raise InvalidInput for the first member that is wrong."""
        if not credentials.CLIENT_ID(client.client_id):
            raise InvalidInput("client-id", "must have 1 to 255 characters of A-Z a-z 0-9 . _ ~ : / -")
        can = self._capabilities
        _among("auth-method", client.token_endpoint_auth_method, can.auth_methods)
        _among("role", client.role, roles.CLIENT_ROLES)
        _among("token-format", client.token_format, ("opaque", "jwt"))
        for grant in client.grant_types:
            _among("grant-types", grant, can.grant_types)
        for response_type in client.response_types:
            _among("response-types", response_type, can.response_types)
        if len(client.client_name) > 160 or any(ord(c) < 32 for c in client.client_name):
            raise InvalidInput("name", "must have at most 160 characters on one line")
        if "client_credentials" in client.grant_types and client.token_endpoint_auth_method == "none":
            raise InvalidInput("grant-types", "client_credentials needs a client that authenticates (RFC 6749 §4.4)")
        if client.access_token_ttl is not None and not 1 <= client.access_token_ttl <= MAX_TTL:
            raise InvalidInput("expires", f"must be 1 to {MAX_TTL} seconds")
        if client.token_limit < 1:
            client = replace(client, token_limit=-1)
        for uri in (*client.redirect_uris, *client.post_logout_redirect_uris):
            check_redirect_uri(uri)
        for uri in (*client.audience, *client.resource):
            if not uri or len(uri) > 512 or not uri.isprintable() or " " in uri:
                raise InvalidInput("audience", "must be a URI such as https://api.example.org")
        if client.jwks is not None:
            check_jwks(client.jwks)
        if client.token_endpoint_auth_method == "private_key_jwt" and client.jwks is None:
            raise InvalidInput("jwks", "private_key_jwt needs the client's public keys; give --jwks FILE")
        if client.jwks_uri:
            raise InvalidInput("jwks-uri", "keys by URL are not offered yet; give the keys themselves with --jwks FILE")
        scope = scopes.normal(client.scope)
        if client.scope and not scope:
            raise InvalidInput("scope", "holds no usable word; write for example: metrics sessions")
        return replace(client, scope=scope)


def _among(field: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidInput(field, f"{value!r} is not supported; choose among {', '.join(allowed) or 'none yet'}")


def check_redirect_uri(uri: str) -> None:
    """Refuse what must never be a redirect URI (RFC 6749 §3.1.2, RFC 8252 §7).

    Raises:
        InvalidInput: with field `redirect-uri`.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise InvalidInput("redirect-uri", f"{uri[:200]!r} is no URI") from None
    if not parts.scheme or not uri.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in uri) or len(uri) > 2048:
        raise InvalidInput("redirect-uri", f"{uri[:200]!r} is no absolute URI")
    if parts.scheme in _FORBIDDEN_SCHEMES:  # S-017
        raise InvalidInput("redirect-uri", f"the scheme {parts.scheme} can run code or read files; it is never allowed")
    if "#" in uri:
        raise InvalidInput("redirect-uri", "must have no fragment (RFC 6749 §3.1.2)")
    if parts.scheme in ("http", "https"):
        if not parts.hostname or "@" in parts.netloc:
            raise InvalidInput("redirect-uri", f"{uri[:200]!r} needs a host, and no user before it")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise InvalidInput(
                "redirect-uri", "must be https, or http on 127.0.0.1, [::1] or localhost (RFC 8252 §7.3)"
            )
    elif "." not in parts.scheme:
        raise InvalidInput("redirect-uri", "a scheme of your own must hold a dot, like org.example.app (RFC 8252 §7.1)")


def origin(uri: str) -> str:
    """Return the origin of a URI, as browsers write it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_CURVES = frozenset(("P-256", "P-384", "P-521", "Ed25519"))


def check_jwks(jwks: Mapping[str, Any]) -> None:
    """Refuse a client's key set that is unusable, weak or holds private keys (S-125, S-142).

    Raises:
        InvalidInput: with field `jwks`.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= 20 or not all(isinstance(key, dict) for key in keys):
        raise InvalidInput("jwks", 'must be {"keys": […]} with 1 to 20 keys (RFC 7517 §5)')
    for key in keys:
        if _PRIVATE & key.keys():
            raise InvalidInput("jwks", "holds a private or symmetric key; give public keys only")
        kind = key.get("kty")
        if kind == "RSA":
            _check_rsa(key)
        elif kind not in ("EC", "OKP") or key.get("crv") not in _CURVES:
            raise InvalidInput("jwks", f"a key of kind {kind!s:.20}, {key.get('crv')!s:.20} is not supported")
    kids = [key.get("kid") for key in keys]
    if len(keys) > 1 and (None in kids or len(set(map(str, kids))) < len(kids)):
        raise InvalidInput("jwks", "each of several keys needs a `kid` of its own")
    try:
        KeySet.import_key_set(json.loads(json.dumps(dict(jwks))))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise InvalidInput("jwks", f"cannot be read: {error}") from None


def _check_rsa(key: Mapping[str, Any]) -> None:
    modulus, exponent = key.get("n"), key.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str) or len(exponent) > 6 or len(modulus) > 1400:
        raise InvalidInput("jwks", f"RSA keys must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits and a small exponent")
    try:
        bits = int.from_bytes(b64decode(modulus + "=" * (-len(modulus) % 4), b"-_")).bit_length()
    except ValueError:
        bits = 0
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise InvalidInput("jwks", f"RSA keys must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one has {bits}")


_SHOWN = tuple(f.name for f in fields(Client) if f.name not in ("secrets", "created_at", "updated_at", "metadata"))


def described(client: Client) -> dict[str, Any]:
    """Return a client as RFC 7591 metadata plus our own members; no secret and no digest."""
    shown = {name: _plain(getattr(client, name)) for name in _SHOWN}
    times = {"created_at": rfc3339(client.created_at), "updated_at": rfc3339(client.updated_at)}
    return {**client.metadata, **shown, **times}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else None if value == "" else value
