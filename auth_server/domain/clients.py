"""Registered clients: made, changed, removed, and what dies with that (command line, admin API, registration)."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain import client_metadata, credentials, names, sector_identifier
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.client_rules import (
    SECRET_METHODS,
    Capabilities,
    checked,
    grants_for,
    is_another,
    needs_secret_itself,
    takes_away,
)
from auth_server.domain.leftovers import tidying_up
from auth_server.domain.sealing import Sealing
from auth_server.domain.tokens import Tokens
from auth_server.errors import Conflict, InvalidInput, NotFound
from auth_server.settings import MAX_TOKEN_TTL
from auth_server.store.records import Client, ClientSecret, Records
from auth_server.store.state import Page

LOOK_AGAIN = 86400  # seconds
DEFAULT_TTL = 86400  # seconds, of client_credentials tokens
LOGIN_SCOPE = "openid profile email offline_access"
MIN_MAC_SECRET = 43  # characters: 256 bits, where the secret is the key of a MAC (OIDC Core §16.19)


@dataclass(frozen=True)
class NewClient:
    """A client as just made, with the secret that is shown this once."""

    client: Client
    secret: str | None


@dataclass(frozen=True)
class Origins:
    """Origins of pages of public clients.

    Args:
        known: of those that somebody who runs the server has registered.
        every: those, and of those that have registered themselves.
    """

    known: frozenset[str]
    every: frozenset[str]


class SecretNeeded(InvalidInput):
    """A change that the client needs another secret for, which `new_secret` makes."""


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
        self._origins = (-1, Origins(frozenset(), frozenset()))

    def add(self, values: Mapping[str, Any], secret: str | None = None, by: Actor = SERVER) -> NewClient:
        """Register a client.

        Args:
            values: members of `records.Client` by name; absent ones take their defaults.
            secret: a given secret; None makes one where the authentication method needs one.

        Raises:
            InvalidInput: a member is not acceptable; the reason says what to write instead.
            Conflict: the client_id is taken by a client or a user.
        """
        return self.keep(self.draft(values), secret, by)

    def draft(self, values: Mapping[str, Any]) -> Client:
        """Return a client as `add` would make it, in order, without its secret; nothing is kept yet.

        Raises:
            InvalidInput: as in `add`.
        """
        now = self._clock()
        client_id = values.get("client_id") or credentials.new_uid(self._random, "c", now)
        given = {**self._defaults(values), **values, "client_id": client_id, "created_at": now, "updated_at": now}
        client = checked(Client(**given), self._capabilities)
        sector_identifier.check(client, self._capabilities.outbound)
        return client

    def keep(self, client: Client, secret: str | None = None, by: Actor = SERVER) -> NewClient:
        """Register a draft; the rest is as in `add`."""
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
            wanted = grants_for(values.get("response_types", ()), scope)
            defaults["grant_types"] = tuple(grant for grant in wanted if grant in self._capabilities.grant_types)
        return defaults

    def read(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return RFC 7591 metadata as values for `add` and `change`.

        Raises:
            InvalidInput: a member has not the right type, or nothing here would heed it.
        """
        return client_metadata.read(members, self._capabilities.members)

    def registrable(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members that a client may set itself."""
        return client_metadata.registrable(members, self._capabilities.members)

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
            SecretNeeded: only with a new secret.
            NotFound: there is no such client.
        """
        agrees = self._sector_of(client_id, values)

        def apply(client: Client) -> Client:
            changed = agrees(checked(replace(client, **values), self._capabilities))
            if changed.token_endpoint_auth_method not in SECRET_METHODS:
                return replace(changed, secrets=())
            if client.token_endpoint_auth_method not in SECRET_METHODS or (
                needs_secret_itself(changed) and not all(s.sealed for s in client.secrets)
            ):
                raise SecretNeeded(
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
        agrees = self._sector_of(client_id, values or {})

        def apply(client: Client) -> Client:
            client = agrees(checked(replace(client, **(values or {})), self._capabilities))
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

    def _sector_of(self, client_id: str, values: Mapping[str, Any]) -> Callable[[Client], Client]:
        """See that a changed client is on its sector's list, outside of the transaction.

        Returns:
            A function that returns the client if it is the one that was looked for on the list.
        """
        before = self.find(client_id)
        after = replace(before, **values)
        if sector_identifier.claim(after) != sector_identifier.claim(before):
            sector_identifier.check(checked(after, self._capabilities), self._capabilities.outbound)

        def agrees(client: Client) -> Client:
            if sector_identifier.claim(client) != sector_identifier.claim(after):
                raise Conflict(f"the client {client_id} was changed meanwhile; try again")
            return client

        return agrees

    def _changed(self, client_id: str, function: Callable[[Client], Client]) -> Client:
        """Change a client. Its tokens end for good if it is disabled, or is to have less or other rights than they.

        What people have allowed it they are asked again if it is not what they know any more: from before the change
        on, so that nobody is answered for in between.
        """
        ends = False
        before = self.find(client_id)
        another = is_another(before, function(before))
        if another:
            self._records.consents.remove(client_id=client_id)

        def apply(client: Client) -> Client:
            nonlocal ends
            changed = replace(function(client), updated_at=self._clock())
            ends = not changed.enabled or takes_away(client, changed)
            return replace(changed, token_version=client.token_version + ends)

        changed = self._records.clients.change(client_id, apply)
        if another:
            self._records.consents.remove(client_id=client_id)
        if ends:
            self._tokens.revoke_client(client_id)
        return changed

    def remove(self, client_id: str, by: Actor = SERVER) -> None:
        """Remove a client and everything it holds. With its record its tokens are dead; to delete them only tidies up.

        Raises:
            NotFound: there is none.
            Unavailable: the text says it if the client is removed; `tidy_up` deletes what is left then.
        """
        client = self.find(client_id)
        if not self._records.clients.remove(client_id):
            raise NotFound(f"there is no client {client_id!r}; see: auth-server clients ls")
        self._audit.change("client.remove", by, client_id=client_id, name=client.client_name)
        with tidying_up(f"the client {client_id}", "remove it again when that answers, or let them expire"):
            self._tokens.revoke_client(client_id)

    def tidy_up(self, client_id: str) -> bool:
        """Delete what a client has left whose removal the store did not hear of; tell whether it was anything."""
        left = bool(credentials.CLIENT_ID(client_id)) and self._tokens.has_any(client_id)
        if left:
            self._tokens.revoke_client(client_id)
        return left

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

    def public_origins(self) -> Origins:
        """Return the origins of the pages of public clients: whose pages may call us (S-148)."""
        generation = self._records.generation()
        if self._origins[0] != generation:
            public = self._records.clients.public()
            known = [client for client in public if not client.self_registered]
            self._origins = (generation, Origins(_origins_of(known), _origins_of(public)))
        return self._origins[1]

    def reap(self, limit: int) -> int:
        """Remove self-registered clients that nobody has used in time; return how many were looked at (S-091).

        One that holds anything that lives is kept, and looked at again a day later.
        """
        now = self._clock()
        found = self._records.clients.unused(now, limit)
        living = [client_id for client_id in found if self._tokens.has_any(client_id)]
        for client_id in self._records.clients.reap(found, now + LOOK_AGAIN, keep=living):
            self._tokens.revoke_client(client_id)
            self._audit.change("client.remove", SERVER, client_id=client_id, why="unused")
        return len(found)

    def _stored_secret(self, client: Client, secret: str) -> ClientSecret:
        if not credentials.CLIENT_SECRET(secret):
            raise InvalidInput("secret", "must have 32 to 128 printable ASCII characters without space")
        sealed = ""
        if needs_secret_itself(client):
            if len(secret) < MIN_MAC_SECRET:
                raise InvalidInput("secret", f"must have at least {MIN_MAC_SECRET} characters to be the key of a MAC")
            sealed = b64encode(self._sealing.seal(secret.encode(), f"client secret {client.client_id}")).decode()
        return ClientSecret(credentials.digest(secret).hex(), sealed)


def _origins_of(clients: Sequence[Client]) -> frozenset[str]:
    return frozenset(origin(uri) for client in clients for uri in client.redirect_uris)


def origin(uri: str) -> str:
    """Return the origin of a URI, as browsers write it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}"


_HIDDEN = ("secrets", "token_version", "created_at", "updated_at", "metadata", "registration_token", "unused_until")
_SHOWN = tuple(f.name for f in fields(Client) if f.name not in _HIDDEN)


def described(client: Client) -> dict[str, Any]:
    """Return a client as RFC 7591 metadata plus our own members; no secret and no digest."""
    shown = {name: _plain(getattr(client, name)) for name in _SHOWN}
    shown["self_registered"] = client.self_registered
    times = {"created_at": rfc3339(client.created_at), "updated_at": rfc3339(client.updated_at)}
    return {**client.metadata, **shown, **times}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else None if value == "" else value
