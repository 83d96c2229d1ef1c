"""A token's life: record, issue, find, list, revoke. Every kind of token, JWTs too, is kept under its SHA-256."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import orjson

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain import credentials
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.keys import Keyring
from auth_server.errors import NotFound, Unavailable
from auth_server.store.records import Client, Records, StoredToken, User
from auth_server.store.state import Entry, Index, Keep, Kind, Page, State

MEMORY = 10000  # tokens
REMEMBERED = 1  # second, at most
TOUCH = 60  # seconds; the last use is written at most once in that time
_NOTHING = nullcontext()
MAX_USER_AGENT = 512  # characters


@dataclass(slots=True)  # not frozen: that makes making one, on every request, five times as slow
class Token:
    """What the server knows of a token it gave out. Never the token itself, and never changed.

    Args:
        key: SHA-256 of the token, 32 bytes.
        provider: local, application, client or access_token, as PhotoPrism names them.
        method: default, session, oauth2 or 2fa.
        grant_type: password, session, cli, client_credentials.
        subject: the uid of the person it acts for; None where only a client stands behind it.
        audience: resources it is meant for; empty for this server itself.
        kid: the key that signed it; empty unless it is a JWT.
        cnf: the key that it is bound to (RFC 7800); None for one that counts by itself.
        idle: seconds it lives without use; 0 for no limit.
        parent: key of the app password that a session was made with; else what tokens of one origin share.
        login_address, address: from where it was used first, and last.
        login_at: when it was used first; 0 for never, or if that was when it was made.
        password_version: of the user when a session was made by password; 0 where that does not matter.
        user_version: the user's `token_version` when whoever asked was looked at, and so not later than a disable.
        client_version: the client's, likewise.
        claims: of the person, which it may be shown for at userinfo beside those of its scope.
        sid: of the sign-in that it ends with; empty for one that outlives it.
    """

    key: bytes
    provider: str
    method: str
    grant_type: str
    created_at: int
    expires_at: int | None
    scope: str
    subject: str | None = None
    client_id: str | None = None
    client_name: str = ""
    audience: tuple[str, ...] = ()
    jti: str = ""
    kid: str = ""
    cnf: Mapping[str, str] | None = None
    idle: int = 0
    last_active: int = 0
    password_version: int = 0
    user_version: int = 1
    client_version: int = 1
    claims: tuple[str, ...] = ()
    sid: str = ""
    parent: bytes | None = None
    login_address: str = ""
    login_at: int = 0
    address: str = ""
    user_agent: str = ""

    @property
    def session_id(self) -> str:
        """SHA-256 of the token in hex digits."""
        return self.key.hex()

    @property
    def ref_id(self) -> str:
        """The token's short name."""
        return credentials.ref_id(self.key)

    @property
    def token_type(self) -> str:
        """How it is presented: with proof of its key, or alone (RFC 9449 §5, RFC 6750)."""
        return "DPoP" if self.cnf is not None and "jkt" in self.cnf else "Bearer"

    @property
    def is_app_password(self) -> bool:
        return self.provider == "application" and self.method == "default"

    @property
    def is_client_session(self) -> bool:
        """Whether a program holds it, and not a person who signed in (photoprism-contract section 2)."""
        return self.provider in ("client", "application", "access_token")

    @property
    def is_durable(self) -> bool:
        """Whether it is kept among the durable records: app passwords, and tokens of the command line."""
        return self.is_app_password or self.provider == "access_token"

    def expires_in(self, now: int) -> int:
        """Seconds left; 0 means that it never expires, as PhotoPrism says it."""
        return 0 if self.expires_at is None else max(self.expires_at - now, 1)


@dataclass(slots=True)  # not frozen, as above
class Living:
    """A token that counts now, with the user and the client behind it."""

    token: Token
    user: User | None
    client: Client | None

    @property
    def is_person(self) -> bool:
        """Whether a person signed in with it; clients, app passwords and their sessions are no persons (S-077)."""
        return self.user is not None and not self.token.is_client_session


OWN = "client_credentials"  # the grant by which a client asks for tokens of its own


def limit(client: Client) -> tuple[Keep | None, bytes | None]:
    """Return how many tokens of its own a client may have, and what they have in common; None if it is the client.

    Those of people do not count, and are not displaced: a client that may have some needs a mark on its own.
    """
    if client.token_limit <= 0:
        return None, None
    if client.grant_types == (OWN,):
        return Keep(Index.CLIENT, client.token_limit), None
    return Keep(Index.FAMILY, client.token_limit), credentials.digest(f"{OWN} {client.client_id}")


def _stays(living: Living) -> bool:
    """Tell whether no newer token displaces this one: that leaves no mark, for then each issue would have to wait.

    Those are sessions of app passwords, and what a client with a limit asks for itself (as `limit` tells them).
    """
    token, client = living.token, living.client
    if client is not None and client.token_limit > 0 and (token.grant_type == OWN or client.grant_types == (OWN,)):
        return False
    return not (token.provider == "application" and token.method == "session")


_FORGOTTEN: tuple[bytes, int, Token | None] = (b"", 0, None)  # read when nothing was yet
_ENTRY = ("key", "expires_at", "subject", "client_id", "parent")  # what the store's entry says in columns of its own
_DATA = tuple((f.name, f.default) for f in fields(Token) if f.name not in _ENTRY)


def pack(token: Token) -> bytes:
    """Return the record as JSON without what is default; a later version may add members."""
    values = {name: value for name, default in _DATA if (value := getattr(token, name)) != default}
    if token.parent:
        values["parent"] = token.parent.hex()
    return orjson.dumps(values)


def unpack(entry: Entry | StoredToken) -> Token:
    """Return the token of a stored entry."""
    values = orjson.loads(entry.data)
    for name in ("audience", "claims"):
        if name in values:
            values[name] = tuple(values[name])
    if "parent" in values:
        values["parent"] = bytes.fromhex(values["parent"])
    return Token(key=entry.key, expires_at=entry.expires_at, subject=entry.subject, client_id=entry.client_id, **values)


def _entry(token: Token) -> Entry:
    return Entry(token.key, token.expires_at, pack(token), token.client_id, token.subject, token.parent)


def _stored(token: Token) -> StoredToken:
    return StoredToken(token.key, token.expires_at, pack(token), token.client_id, token.subject)


class Tokens:
    """All tokens of the server."""

    def __init__(
        self, records: Records, state: State, keyring: Keyring, audit: Audit, clock: Clock, random: Random
    ) -> None:
        self._records, self._state, self._keyring, self._audit = records, state, keyring, audit
        self._clock, self._random = clock, random
        self._memory: dict[bytes, tuple[bytes, int, Token]] = {}

    # ---- hot path
    def issue(self, token: Token, keep: Keep | None = None, by: Actor = SERVER) -> None:
        """Keep a token that is about to be given out; every worker knows it on return.

        Args:
            keep: how many tokens with the same client or parent stay alive.
            by: who has it made; only that of a durable one is written down.
        """
        if token.is_durable:
            self._records.tokens.add(_stored(token))
            details = {"ref_id": token.ref_id, "name": token.client_name, "scope": token.scope}
            self._audit.change("token.add", by, uid=token.subject, provider=token.provider, **details)
        else:
            self._state.put(Kind.ACCESS_TOKEN, _entry(token), self._clock(), keep=keep)

    def ahead(self, value: str) -> AbstractContextManager[None]:
        """Say that `find` will be asked for a token inside of the `with`: a store far away then answers sooner."""
        if self._state.is_far and credentials.is_token(value):
            key = credentials.digest(value)
            if self._remembered(key, self._clock()) is None:
                return self._state.ahead(Kind.ACCESS_TOKEN, key)
        return _NOTHING

    def find(self, value: str) -> Living | None:
        """Return the living token that *value* names.

        Args:
            value: the token as sent; one without a token's form is refused without a lookup.

        Returns:
            None if it is unknown, expired, idle for too long or revoked, or if its user, client or signing key no
            longer counts; the caller cannot tell which (RFC 7662 §2.2).

        Raises:
            Unavailable: the store did not answer; nothing is known about the token.
        """
        if not credentials.is_token(value):
            return None
        now, key = self._clock(), credentials.digest(value)
        token = self._remembered(key, now)
        if token is not None:
            living = self.living(token, now)
            if living is not None and _stays(living):  # else the store may know better: it was used, or is displaced
                return living
            token = None
        entry: Entry | None = None
        if len(value) != credentials.APP_PASSWORD_LENGTH:
            entry = self._state.get(Kind.ACCESS_TOKEN, key, now)
            token = unpack(entry) if entry else None
        if token is None and len(value) <= credentials.ACCESS_TOKEN_LENGTH:
            stored = self._records.tokens.get(key)
            token = unpack(stored) if stored else None
        living = self.living(token, now) if token else None
        if living is not None and entry is not None and entry.mark is not None and _stays(living):
            self._remember(living.token, entry.mark, now)
        return living

    def _remembered(self, key: bytes, now: int) -> Token | None:
        """Return a token that has been read within the last second, and has not been revoked since."""
        mark, read_at, token = self._memory.get(key, _FORGOTTEN)
        return token if read_at <= now < read_at + REMEMBERED and mark == self._state.mark(key) else None

    def _remember(self, token: Token, mark: bytes, now: int) -> None:
        if len(self._memory) >= MEMORY:
            self._memory = {}
        self._memory[token.key] = (mark, now, token)

    def living(self, token: Token, now: int) -> Living | None:
        """Return the token with its user and client if all of them still count."""
        return self._judged(token, now, self._records.users.get, self._records.clients.get)

    def counting(self, tokens: Sequence[Token], now: int) -> list[Living]:
        """Return those of many tokens that count; their users and clients are read by two statements at most."""
        users = self._records.users.many({token.subject for token in tokens if token.subject is not None})
        clients = self._records.clients.many({token.client_id for token in tokens if token.client_id is not None})
        judged = (self._judged(token, now, users.get, clients.get) for token in tokens)
        return [living for living in judged if living is not None]

    def _judged(
        self,
        token: Token,
        now: int,
        find_user: Callable[[str], User | None],
        find_client: Callable[[str], Client | None],
    ) -> Living | None:
        user = client = None
        if token.expires_at is not None and token.expires_at <= now:
            return None
        if token.idle and token.last_active + token.idle <= now:
            return None
        if token.kid and not self._keyring.verifies(token.kid):
            return None
        if token.client_id is not None:
            client = find_client(token.client_id)
            if client is None or not client.enabled or client.created_at > token.created_at:
                return None
            if token.client_version != client.token_version:
                return None
        if token.subject is not None:
            user = find_user(token.subject)
            if user is None or not user.enabled or token.user_version != user.token_version:
                return None
            if token.password_version and token.password_version != user.password_version:
                return None
        return Living(token, user, client)

    # ---- use
    def touch(self, token: Token, address: str, user_agent: str = "") -> Token:
        """Note that a token was used, at most once in 60 seconds; return it as it stands now.

        Who uses a session that was made with an app password uses that (photoprism-contract section 11). A store that
        only reads does not keep anybody out: what it does not take is noted at the next use.
        """
        now = self._clock()
        if now - token.last_active < TOUCH:
            return token
        with suppress(Unavailable):
            return self._touched(token, address, user_agent, now)
        return token

    def _touched(self, token: Token, address: str, user_agent: str, now: int) -> Token:
        used = replace(token, last_active=now, address=address, user_agent=user_agent[:MAX_USER_AGENT])
        if not token.login_address:
            used = replace(used, login_address=address, login_at=now)
        if token.is_durable:
            self._records.tokens.change(_stored(token), _stored(used))
        else:
            self._state.swap(Kind.ACCESS_TOKEN, _entry(token), _entry(used), now)
        parent = self._records.tokens.get(token.parent) if token.parent is not None else None
        if parent is not None:
            self.touch(unpack(parent), address, user_agent)
        return used

    def carry_over(self, token: Token, user: User) -> Token | None:
        """Let the session in which a person changed a password or factor live on, under the same token.

        That change has given the account its next `password_version`, and so ended all sessions of the one before.
        This one is moved to it by compare and set: a note of its use is kept, an end of it meanwhile stands.

        Args:
            token: the caller's session; one that no password counts for is left as it is.
            user: the account as the change has left it.

        Returns:
            The session as it stands now; None if it is over, or not of the version before.
        """
        now = self._clock()
        if not token.password_version:
            return token
        while entry := self._state.get(Kind.ACCESS_TOKEN, token.key, now):
            found = unpack(entry)
            if found.subject != user.uid or found.password_version + 1 != user.password_version:
                return None
            carried = replace(found, password_version=user.password_version)
            if self._state.swap(Kind.ACCESS_TOKEN, entry, _entry(carried), now):
                return carried
        return None

    # ---- administration
    def by_identifier(self, identifier: str) -> Token:
        """Return the token that a ref id, a session id (64 hex digits) or the token itself names.

        Raises:
            NotFound: none, or a ref id that two tokens share.
        """
        now = self._clock()
        if credentials.SESSION_ID(identifier):
            found = self._with_prefix(identifier, now)
        elif prefix := credentials.ref_id_prefix(identifier):
            found = [token for token in self._with_prefix(prefix, now) if token.ref_id == identifier]
        elif credentials.is_token(identifier):
            found = self._with_prefix(credentials.digest(identifier).hex(), now)
        else:
            found = []
        if len(found) != 1:
            raise NotFound("no token has that ref id, session id or value; see: auth-server auth ls")
        return found[0]

    def revoke(self, token: Token, by: Actor = SERVER, why: str = "") -> None:
        """End a token and every session made with it; dead everywhere, durably, on return.

        Args:
            why: by what right it is ended, for the audit: its holder, its client, its person, an admin, a new login.
        """
        if token.is_durable:
            self._state.revoke(Index.FAMILY, token.key.hex())  # first: who asks again after a failure finds the token
            self._records.tokens.remove(key=token.key)
            self._state.revoke(Index.FAMILY, token.key.hex())  # and those that were made meanwhile
        self._state.revoke(Index.KEY, token.key.hex(), Kind.ACCESS_TOKEN)
        details = {"uid": token.subject, "ref_id": token.ref_id, "why": why}
        self._audit.change("token.revoke", by, client_id=token.client_id or "", **details)

    def forget(self, value: str) -> None:
        """End a token that is not here, or does not count here: the store may have lost it, and get it back."""
        if credentials.is_token(value):
            self._state.revoke(Index.KEY, credentials.digest(value).hex(), Kind.ACCESS_TOKEN)

    def revoke_app_passwords(self, uid: str, by: Actor) -> None:
        """End all app passwords of a person, with the sessions made with them."""
        for stored in self._records.tokens.each(self._clock(), subject=uid):
            token = unpack(stored)
            if token.is_app_password:
                self.revoke(token, by, why="password")

    def revoke_user(self, uid: str) -> None:
        """End everything that a user holds."""
        self._records.tokens.remove(subject=uid)
        self._state.revoke(Index.SUBJECT, uid)

    def revoke_of(self, uid: str, client_id: str) -> None:
        """End every token that a client holds for a person."""
        self._revoke_those(uid, lambda entry: entry.client_id == client_id)

    def revoke_of_sign_ins(self, uid: str, sids: Collection[str]) -> None:
        """End every token that ends with one of these sign-ins of a person."""
        self._revoke_those(uid, lambda entry: unpack(entry).sid in sids)

    def _revoke_those(self, uid: str, condition: Callable[[Entry], bool]) -> None:
        for entry in self._state.each(Kind.ACCESS_TOKEN, self._clock(), Index.SUBJECT, uid):
            if condition(entry):
                self._state.revoke(Index.KEY, entry.key.hex(), Kind.ACCESS_TOKEN)

    def has_any(self, client_id: str) -> bool:
        """Tell whether a client has a living token or code in the short-lived state."""
        kinds = (Kind.ACCESS_TOKEN, Kind.CODE, Kind.DEVICE_CODE)
        now = self._clock()
        return any(self._state.find(kind, Index.CLIENT, client_id, Page(1), now) for kind in kinds)

    def revoke_client(self, client_id: str) -> None:
        """End every token of a client."""
        self._state.revoke(Index.CLIENT, client_id)

    def revoke_all(self, by: Actor = SERVER, *, keep_stored: bool = False) -> int:
        """End every session and token; return how many there were.

        Args:
            keep_stored: whether app passwords and tokens of the command line stay.
        """
        number = 0 if keep_stored else self._records.tokens.clear()
        number += self._state.revoke(Index.ALL, "", Kind.ACCESS_TOKEN)
        self._audit.change("token.reset", by, number=number)
        return number

    def still_there(self, token: Token) -> bool:
        """Tell whether a durable token has not been removed meanwhile; asked after a session was made with it."""
        return self._records.tokens.get(token.key) is not None

    def _with_prefix(self, prefix: str, now: int) -> list[Token]:
        entries = self._state.find(Kind.ACCESS_TOKEN, Index.KEY, prefix, Page(16), now)
        stored = self._records.tokens.find(Page(16), now, key_prefix=prefix)
        found: list[Entry | StoredToken] = [*stored, *entries]
        return [unpack(one) for one in found]


def described(living: Living) -> dict[str, Any]:
    """Return a token as it is shown: the ref id in place of the token itself, which nobody has any more."""
    token = living.token
    return {
        "id": token.ref_id,
        "session_id": token.session_id,
        "uid": token.subject,
        "username": living.user.name if living.user else None,
        "provider": token.provider,
        "method": token.method,
        "grant_type": token.grant_type,
        "client_id": token.client_id,
        "client_name": token.client_name or None,
        "scope": token.scope,
        "audience": list(token.audience),
        "kid": token.kid or None,
        "login_ip": token.login_address or None,
        "client_ip": token.address or None,
        "user_agent": token.user_agent or None,
        "last_active": rfc3339(token.last_active or None),
        "created_at": rfc3339(token.created_at),
        "expires_at": rfc3339(token.expires_at),
    }
