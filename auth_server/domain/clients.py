"""Registered clients: every rule about their metadata, on all roads (command line, admin API, registration)."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain import credentials, names, plain_json, roles, scopes
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.foreign_keys import check_jwks
from auth_server.domain.sealing import Sealing
from auth_server.domain.tokens import Tokens
from auth_server.errors import InvalidInput, NotFound
from auth_server.settings import MAX_TOKEN_TTL
from auth_server.store.records import Client, ClientSecret, Records
from auth_server.store.state import Page

DEFAULT_TTL = 86400  # seconds, of client_credentials tokens
MAX_TOKENS = 1000000  # of one client, at once
MAX_METADATA = 65536  # bytes, as JSON
LOGIN_SCOPE = "openid profile email offline_access"
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
ASSERTION_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "private_key_jwt": ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"),
    "client_secret_jwt": ("HS256", "HS384", "HS512"),
}
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")  # as urlsplit names them
_FORBIDDEN_SCHEMES = frozenset(("javascript", "data", "vbscript", "file", "blob", "about"))
MAC_ALGS = ("HS256", "HS384", "HS512")
_SIGNED = ("id_token_signed_response_alg", "userinfo_signed_response_alg")
MIN_MAC_SECRET = 43  # characters: 256 bits, where the secret is the key of a MAC (OIDC Core §16.19)


@dataclass(frozen=True)
class Capabilities:
    """What this server can do for a client; values that are not here are refused at registration."""

    grant_types: tuple[str, ...]
    auth_methods: tuple[str, ...]
    response_types: tuple[str, ...] = ()
    signing_algs: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewClient:
    """A client as just made, with the secret that is shown this once."""

    client: Client
    secret: str | None


class Clients:
    """Clients, and every rule about them. What changes one says by whom, for the audit."""

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        sealing: Sealing,
        capabilities: Capabilities,
        audit: Audit,
        clock: Clock,
        random: Random,
    ) -> None:
        self._records, self._tokens, self._sealing = records, tokens, sealing
        self._capabilities, self._audit, self._clock, self._random = capabilities, audit, clock, random
        self._origins: tuple[int, frozenset[str]] = (-1, frozenset())

    def add(self, values: Mapping[str, Any], secret: str | None = None, by: Actor = SERVER) -> NewClient:
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
        given = {**self._defaults(values), **values}
        client = self._checked(Client(**{**given, "client_id": client_id, "created_at": now, "updated_at": now}))
        if client.token_endpoint_auth_method in SECRET_METHODS:
            secret = secret or credentials.new_client_secret(self._random)
            client = replace(client, secrets=(self._stored_secret(client, secret),))
        elif secret is not None:
            raise InvalidInput("secret", f"{client.token_endpoint_auth_method} uses no secret; leave it out")
        client = self._records.clients.add(client)
        self._audit.change("client.add", by, client_id=client.client_id, name=client.client_name)
        return NewClient(client, secret)

    def _defaults(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a new client gets where nothing is said, beside the defaults of the record."""
        defaults: dict[str, Any] = {"client_name": names.pet_name(self._random)}
        if values.get("redirect_uris"):
            defaults["scope"] = scope = values.get("scope") or LOGIN_SCOPE
            defaults["grant_types"] = _all_in(
                _grants_for(values.get("response_types", ()), scope), self._capabilities.grant_types
            )
        return defaults

    def find(self, client_id: str) -> Client:
        """Return a client.

        Raises:
            NotFound: there is none.
        """
        client = self._records.clients.get(client_id)
        if client is None:
            raise NotFound(f"there is no client {client_id!r}; see: auth-server clients ls")
        return client

    def change(self, client_id: str, values: Mapping[str, Any], by: Actor = SERVER) -> Client:
        """Change members of a client. What takes something from it ends its tokens at once: see `_changed`.

        Raises:
            InvalidInput: a member is not acceptable.
            NotFound: there is no such client.
        """

        def apply(client: Client) -> Client:
            changed = self._checked(replace(client, **values))
            if changed.token_endpoint_auth_method not in SECRET_METHODS:
                return replace(changed, secrets=())
            if client.token_endpoint_auth_method not in SECRET_METHODS or (
                needs_secret_itself(changed) and not all(s.sealed for s in client.secrets)
            ):
                raise InvalidInput(
                    "auth-method", f"a new secret is needed first; run: auth-server clients secret {client_id}"
                )
            return changed

        client = self._changed(client_id, apply)
        self._audit.change("client.change", by, client_id=client_id, changed=list(values))
        return client

    def new_secret(
        self,
        client_id: str,
        secret: str | None = None,
        overlap: int = 0,
        values: Mapping[str, Any] | None = None,
        by: Actor = SERVER,
    ) -> NewClient:
        """Replace a client's secret.

        Args:
            secret: a given one; None makes one.
            overlap: seconds that the old ones still count; 0 ends them at once.
            values: members to change at the same time, such as the authentication method.

        Raises:
            InvalidInput: the secret or a member is not acceptable, or the client uses no secret.
            NotFound: there is no such client.
        """
        if not 0 <= overlap <= MAX_TOKEN_TTL:
            raise InvalidInput("overlap", f"must be 0 to {MAX_TOKEN_TTL} seconds")
        text = secret or credentials.new_client_secret(self._random)
        now = self._clock()

        def apply(client: Client) -> Client:
            client = self._checked(replace(client, **(values or {})))
            if client.token_endpoint_auth_method not in SECRET_METHODS:
                raise InvalidInput(
                    "client", f"{client_id} authenticates by {client.token_endpoint_auth_method}, without a secret"
                )
            old = [
                replace(held, expires_at=min(now + overlap, held.expires_at or now + overlap))
                for held in client.secrets
                if overlap and (held.expires_at is None or held.expires_at > now)
            ]
            return replace(client, secrets=(self._stored_secret(client, text), *old))

        client = self._changed(client_id, apply)
        self._audit.change("client.secret", by, client_id=client_id, overlap=overlap, changed=list(values or ()))
        return NewClient(client, text)

    def _changed(self, client_id: str, function: Callable[[Client], Client]) -> Client:
        """Change a client. Its tokens end for good if it is disabled, or is to have less or other rights than they."""
        ends = False

        def apply(client: Client) -> Client:
            nonlocal ends
            changed = replace(function(client), updated_at=self._clock())
            ends = not changed.enabled or _takes_away(client, changed)
            return replace(changed, token_version=client.token_version + ends)

        changed = self._records.clients.change(client_id, apply)
        if ends:
            self._tokens.revoke_client(client_id)
        return changed

    def remove(self, client_id: str, by: Actor = SERVER) -> None:
        """Remove a client and everything it holds.

        Raises:
            NotFound: there is none.
        """
        client = self.find(client_id)
        if not self._records.clients.remove(client_id):
            raise NotFound(f"there is no client {client_id!r}; see: auth-server clients ls")
        self._tokens.revoke_client(client_id)
        self._audit.change("client.remove", by, client_id=client_id, name=client.client_name)

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
            public = self._records.clients.public()
            self._origins = (generation, frozenset(origin(uri) for c in public for uri in c.redirect_uris))
        return self._origins[1]

    # ---- the rules
    def _stored_secret(self, client: Client, secret: str) -> ClientSecret:
        if not credentials.CLIENT_SECRET(secret):
            raise InvalidInput("secret", "must have 32 to 128 printable ASCII characters without space")
        sealed = ""
        if needs_secret_itself(client):
            if len(secret) < MIN_MAC_SECRET:
                raise InvalidInput("secret", f"must have at least {MIN_MAC_SECRET} characters to be the key of a MAC")
            sealed = b64encode(self._sealing.seal(secret.encode(), f"client secret {client.client_id}")).decode()
        return ClientSecret(credentials.digest(secret).hex(), sealed)

    def _checked(self, client: Client) -> Client:
        """Return the client in normal form, or raise InvalidInput for the first member that is wrong."""
        if not credentials.CLIENT_ID(client.client_id):
            raise InvalidInput("client-id", "must have 1 to 255 characters of A-Z a-z 0-9 . _ ~ : / -")
        self._check_choices(client)
        _check_values(client)
        _check_openid(client)
        _check_keys(client)
        for name, asked in (("require-par", client.require_par), ("require-dpop", client.require_dpop)):
            if asked:
                raise InvalidInput(name, "is not offered by this version; leave it out")
        scope = scopes.chosen(client.scope) if client.scope else ""
        return replace(client, scope=scope, token_limit=client.token_limit if client.token_limit > 0 else -1)

    def _check_choices(self, client: Client) -> None:
        can = self._capabilities
        _among("auth-method", client.token_endpoint_auth_method, can.auth_methods)
        _among("role", client.role, roles.CLIENT_ROLES)
        _among("token-format", client.token_format, ("opaque", "jwt"))
        for grant in client.grant_types:
            _among("grant-types", grant, can.grant_types)
        for response_type in client.response_types:
            _among("response-types", response_type, can.response_types)
        for name in _SIGNED:
            if name in client.metadata:
                _among(name, client.metadata[name], (*can.signing_algs, *MAC_ALGS))  # never none (S-048)
        if "client_credentials" in client.grant_types and client.token_endpoint_auth_method == "none":
            raise InvalidInput("grant-types", "client_credentials needs a client that authenticates (RFC 6749 §4.4)")


def needs_secret_itself(client: Client) -> bool:
    """Tell whether the server must be able to read the client's secret: it is the key of a MAC."""
    macs = any(client.metadata.get(name) in MAC_ALGS for name in _SIGNED)
    return client.token_endpoint_auth_method == "client_secret_jwt" or macs


def _takes_away(old: Client, new: Client) -> bool:
    """Tell whether tokens that *old* got say more, or other things, than *new* may have."""
    others = (old.audience, old.role, old.owner_uid) != (new.audience, new.role, new.owner_uid)
    return others or scopes.narrows(new.scope, old.scope)


def _check_values(client: Client) -> None:
    plain_json.check("metadata", {**client.metadata, "jwks": client.jwks}, MAX_METADATA)
    if not client.scope and not client.redirect_uris:
        raise InvalidInput("scope", "a client without redirect URIs needs one, for example: --scope metrics")
    if len(client.client_name) > 160 or not client.client_name.isprintable():
        raise InvalidInput("name", "must have at most 160 characters on one line")
    if client.access_token_ttl is not None and not 1 <= client.access_token_ttl <= MAX_TOKEN_TTL:
        raise InvalidInput("expires", f"must be 1 to {MAX_TOKEN_TTL} seconds")
    if not -1 <= client.token_limit <= MAX_TOKENS:
        raise InvalidInput("tokens", f"must be 1 to {MAX_TOKENS}, or -1 for any number")
    for uri in (*client.redirect_uris, *client.post_logout_redirect_uris):
        check_redirect_uri(uri)
    for uri in (*client.audience, *client.resource):
        if not uri or len(uri) > 512 or not uri.isprintable() or " " in uri:
            raise InvalidInput("audience", "must be a URI such as https://api.example.org")


def _check_openid(client: Client) -> None:
    for name in _SIGNED:
        if client.metadata.get(name) in MAC_ALGS and client.token_endpoint_auth_method not in SECRET_METHODS:
            raise InvalidInput(name, "a MAC needs a client with a secret; choose ES256 or RS256")
    flows = [set(text.split()) for text in client.response_types]
    for part, grant in (("code", "authorization_code"), ("token", "implicit"), ("id_token", "implicit")):
        if any(part in flow for flow in flows) and grant not in client.grant_types:  # OIDC Registration §2
            raise InvalidInput("grant-types", f"a response type with {part} needs the grant type {grant}")
    hosts = {urlsplit(uri).hostname for uri in client.redirect_uris}
    if client.metadata.get("subject_type") == "pairwise" and len(hosts) > 1:  # OIDC Core §8.1
        raise InvalidInput("subject_type", "pairwise needs redirect URIs on one host")
    if client.metadata.get("application_type") == "native" or not client.redirect_uris:
        return
    if "implicit" in client.grant_types and any(urlsplit(uri).scheme == "http" for uri in client.redirect_uris):
        raise InvalidInput("redirect-uri", "must be https where tokens travel without a code (OIDC Registration §2)")


def _check_keys(client: Client) -> None:
    if client.jwks is not None:
        check_jwks(client.jwks)
    if client.token_endpoint_auth_method == "private_key_jwt" and client.jwks is None:
        raise InvalidInput("jwks", "private_key_jwt needs the client's public keys; give --jwks FILE")
    alg = client.metadata.get("token_endpoint_auth_signing_alg")
    if alg is not None:
        every = [name for names in ASSERTION_ALGORITHMS.values() for name in names]
        possible = ASSERTION_ALGORITHMS.get(client.token_endpoint_auth_method, every)
        _among("token_endpoint_auth_signing_alg", alg, possible)
    if client.jwks_uri:
        raise InvalidInput("jwks-uri", "keys by URL are not offered yet; give the keys themselves with --jwks FILE")


def _grants_for(response_types: Sequence[str], scope: str) -> tuple[str, ...]:
    """The grant types that a client needs for what it is registered to ask for (OIDC Registration §2)."""
    parts = {part for text in response_types or ("code",) for part in text.split()}
    grants = ["authorization_code"] if "code" in parts else []
    grants += ["refresh_token"] if "code" in parts and scopes.has(scope, "offline_access") else []
    return (*grants, "implicit") if parts & {"token", "id_token"} else tuple(grants)


def _all_in(wanted: Sequence[str], possible: Sequence[str]) -> tuple[str, ...]:
    return tuple(value for value in wanted if value in possible)


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
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
            raise InvalidInput(
                "redirect-uri", "must be https, or http on 127.0.0.1, [::1] or localhost (RFC 8252 §7.3)"
            )
    elif "." not in parts.scheme:
        raise InvalidInput("redirect-uri", "a scheme of your own must hold a dot, like org.example.app (RFC 8252 §7.1)")


def origin(uri: str) -> str:
    """Return the origin of a URI, as browsers write it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}"


_HIDDEN = ("secrets", "token_version", "created_at", "updated_at", "metadata")
_SHOWN = tuple(f.name for f in fields(Client) if f.name not in _HIDDEN)


def described(client: Client) -> dict[str, Any]:
    """Return a client as RFC 7591 metadata plus our own members; no secret and no digest."""
    shown = {name: _plain(getattr(client, name)) for name in _SHOWN}
    times = {"created_at": rfc3339(client.created_at), "updated_at": rfc3339(client.updated_at)}
    return {**client.metadata, **shown, **times}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else None if value == "" else value
