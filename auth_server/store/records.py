"""The interface to durable records, and the record types.

Every method is one transaction. A write is durable, also over power loss, when it returns (but for `note`). Methods
raise `Unavailable` when the store does not answer, `Conflict` when a unique value is taken, `NotFound` when `change`
finds nothing. Times are Unix seconds.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from auth_server.store.state import BATCH, Page


@dataclass(frozen=True, slots=True)
class User:
    """A person's account."""

    uid: str
    name: str
    role: str
    created_at: int
    updated_at: int
    number: int = 0  # given by the store; PhotoPrism's integer ID
    email: str = ""
    email_verified: bool = False
    display_name: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    super_admin: bool = False
    password_hash: str = ""
    password_version: int = 1  # goes up with every change; sessions of an older one are dead
    token_version: int = 1  # goes up when all tokens for this person are to die, app passwords too
    must_change_password: bool = False  # pages ask for a new password, the API takes it as it is
    auth_method: Literal["default", "2fa"] = "default"  # whether a second factor is asked for
    login_at: int | None = None


@dataclass(frozen=True, slots=True)
class Passcode:
    """A key for verification codes of one account; the key is sealed under the key-encryption key."""

    uid: str
    sealed: bytes
    recovery_hash: str
    created_at: int
    updated_at: int
    active: bool = False  # in force; else it waits to be confirmed and activated
    type: str = "totp"
    last_step: int = 0  # of the newest code that was taken: none of it or before it counts
    verified_at: int | None = None
    activated_at: int | None = None


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One way to prove to be the client: a digest, and the sealed secret itself where a MAC needs it."""

    digest: str  # SHA-256 in hex digits
    sealed: str = ""  # base64; empty unless client_secret_jwt or an HS algorithm needs the secret
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client. Members named as in RFC 7591 mean what they mean there."""

    client_id: str
    created_at: int
    updated_at: int
    client_name: str = ""
    enabled: bool = True
    owner_uid: str | None = None  # the user it acts as
    role: str = "client"
    secrets: tuple[ClientSecret, ...] = ()
    token_endpoint_auth_method: str = "client_secret_basic"
    strict_auth_method: bool = False  # registered over RFC 7591: exactly the method above
    grant_types: tuple[str, ...] = ("client_credentials",)
    response_types: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    scope: str = ""
    audience: tuple[str, ...] = ()  # `aud` of its tokens; empty: this server itself
    resource: tuple[str, ...] = ()  # what it answers for as a resource service
    token_format: Literal["opaque", "jwt"] = "opaque"
    access_token_ttl: int | None = None  # seconds; None: the setting
    token_limit: int = 10  # living tokens by client_credentials; -1: any number
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str = ""
    require_par: bool = False
    require_dpop: bool = False
    first_party: bool = False
    profile: str = "oauth21"  # the rules that hold for it
    metadata: Mapping[str, Any] = field(default_factory=dict)  # all other RFC 7591 members
    token_version: int = 1  # goes up when all its tokens are to die
    registration_token: str = ""  # SHA-256 in hex digits, of one that has registered itself (RFC 7592)
    unused_until: int | None = None  # then it is removed, if nobody has allowed it anything

    @property
    def self_registered(self) -> bool:
        """Whether it has registered itself (RFC 7591), and tells of itself what it likes."""
        return bool(self.registration_token)


@dataclass(frozen=True, slots=True)
class InitialToken:
    """What lets somebody register clients (RFC 7591 §3)."""

    key: bytes  # SHA-256 of the token, 32 bytes
    uses: int  # that are left
    expires_at: int


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token that must outlive the short-lived store: an app password, or one made on the command line."""

    key: bytes  # SHA-256 of the token, 32 bytes
    expires_at: int | None
    data: bytes  # the domain's Token record
    client_id: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person has allowed a client."""

    uid: str
    client_id: str
    scope: str
    created_at: int
    updated_at: int
    claims: Sequence[str] = ()  # released one by one, beside those of the scope


@dataclass(frozen=True, slots=True)
class RefreshFamily:
    """The refresh tokens of one authorization, one after the other; of them one counts."""

    family_id: str  # 64 hex digits
    uid: str
    client_id: str
    created_at: int
    ends_at: int  # the whole line, whatever its use
    expires_at: int  # unless it is used before; never after its end
    used_at: int  # when the token that counts now was made
    data: bytes  # the domain's record of what was authorized
    number: int = 0  # of the token that counts now


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that a client must be told, and how far that has come."""

    client_id: str
    data: bytes  # the domain's message
    created_at: int
    due_at: int  # when it is tried next; whoever tries moves it, so that nobody else does
    ends_at: int  # when it is given up
    tries: int = 0
    number: int = 0  # given by the store


KeyStatus = Literal["next", "active", "retiring", "retired"]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key; the private part is sealed under the key-encryption key."""

    kid: str
    alg: str
    status: KeyStatus
    public_jwk: Mapping[str, Any]
    sealed: bytes
    created_at: int
    published_at: int
    activates_at: int | None = None  # when a next key starts to sign, or an active one did
    retires_at: int | None = None  # when a retiring key stops to verify


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened, to whom, from where; never a secret."""

    at: int
    event: str
    outcome: str
    actor: str = ""
    client_id: str = ""
    address: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0  # given by the store


class Users(Protocol):
    def get(self, uid: str) -> User | None: ...
    def many(self, uids: Collection[str]) -> Mapping[str, User]: ...  # those that exist, by one statement at most
    def by_name(self, name: str) -> User | None: ...
    def add(self, user: User) -> User: ...

    def change(self, uid: str, function: Callable[[User], User], *, keep_one: str = "") -> User:
        """Replace a record by what *function* makes of it.

        Args:
            keep_one: a role; `LastOne` is raised if the change takes the last enabled account of it away.
        """

    def note_login(self, uid: str, at: int, password_version: int) -> bool:
        """Set the time of the last login if the account still exists, is enabled and has this password version.

        It does not move the generation: copies may show an older time.

        Returns:
            Whether all that is so; it is decided and written in one statement.
        """

    def remove(self, uid: str, *, keep_one: str = "") -> bool: ...  # keep_one as in change
    def page(self, search: str, page: Page) -> Sequence[User]: ...


class Passcodes(Protocol):
    """Keys for verification codes: of each account at most one in force, and one that waits."""

    def get(self, uid: str, *, active: bool) -> Passcode | None: ...

    def put(self, passcode: Passcode) -> None:
        """Keep a key that waits, in place of one that does; `NotFound` if the account is gone."""

    def redeem(self, passcode: Passcode, step: int, *, verified_at: int | None = None) -> bool:
        """Use up the code of a step if none of that step or a later one was; one statement.

        It does not move the generation.

        Args:
            verified_at: also note that the person has set the key up.

        Returns:
            True for exactly one caller of a step, and never for an earlier one or a key that is gone.
        """

    def activate(self, passcode: Passcode, at: int, function: Callable[[User], User]) -> User | None:
        """Put a key that waits in force, in place of one that was, and change the account in the same transaction.

        Returns:
            The account as it is now; None if the key is gone, is not verified or is in force already.
        """

    def remove(self, uid: str, function: Callable[[User], User], *, only: Passcode | None = None) -> User | None:
        """Delete an account's keys, and change the account in the same transaction.

        Args:
            only: do it if this very key is there: its recovery code is used, which works once.

        Returns:
            The account as it is now; None if there was no such key.
        """


class Clients(Protocol):
    def get(self, client_id: str) -> Client | None: ...
    def many(self, client_ids: Collection[str]) -> Mapping[str, Client]: ...  # as Users.many
    def add(self, client: Client) -> Client: ...
    def change(self, client_id: str, function: Callable[[Client], Client]) -> Client: ...
    def remove(self, client_id: str) -> bool: ...
    def page(self, search: str, page: Page) -> Sequence[Client]: ...

    def public(self) -> Sequence[Client]:
        """Return the enabled clients that do not authenticate."""

    def unused(self, now: int, limit: int) -> Sequence[str]:
        """Return clients whose `unused_until` has come, used or not, the oldest first."""

    def reap(self, client_ids: Collection[str], again_at: int, *, keep: Collection[str] = ()) -> Sequence[str]:
        """Remove those that nobody has allowed anything; the others are looked at again at *again_at*.

        Args:
            keep: those of them that stay in any case.

        Returns:
            Which are gone.
        """


class InitialTokens(Protocol):
    def get(self, key: bytes) -> InitialToken | None: ...
    def add(self, token: InitialToken) -> None: ...
    def use(self, key: bytes, now: int) -> bool: ...  # take one use if there is one, by one statement
    def purge(self, now: int, limit: int) -> int: ...


class StoredTokens(Protocol):
    def get(self, key: bytes) -> StoredToken | None: ...
    def add(self, token: StoredToken) -> None: ...
    def change(self, old: StoredToken, new: StoredToken) -> bool: ...  # compare data and set, as State.swap
    def remove(self, *, key: bytes | None = None, subject: str | None = None) -> int: ...
    def clear(self) -> int: ...
    def find(
        self, page: Page, now: int, *, key_prefix: str = "", subject: str | None = None
    ) -> Sequence[StoredToken]: ...  # the living, newest first
    def each(
        self, now: int, *, subject: str | None = None, batch: int = BATCH
    ) -> Iterator[StoredToken]: ...  # as State.each
    def purge(self, now: int, limit: int) -> int: ...


class Consents(Protocol):
    def get(self, uid: str, client_id: str) -> Consent | None: ...
    def put(self, consent: Consent) -> None: ...  # in place of an older one; NotFound without such a user and client
    def remove(self, *, client_id: str, uid: str | None = None) -> bool: ...  # everybody's, or one person's
    def page(self, uid: str, page: Page) -> Sequence[Consent]: ...  # the newest first


class RefreshFamilies(Protocol):
    """A family ends with its user and its client."""

    def get(self, family_id: str) -> RefreshFamily | None: ...
    def add(self, family: RefreshFamily) -> None: ...

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None = None) -> bool:
        """Let the next token count in place of *number*, in one statement; tell whether this call did it.

        Args:
            data: takes the place of the family's; None leaves that as it is.
        """

    def remove(self, *, family_id: str | None = None, uid: str | None = None, client_id: str | None = None) -> int:
        """Remove one, or those of a user, or of a user at one client; return how many there were."""

    def find(self, uid: str, client_id: str | None = None) -> Sequence[RefreshFamily]: ...
    def purge(self, now: int, limit: int) -> int: ...


class Outbox(Protocol):
    """What clients must still be told."""

    def add(self, deliveries: Sequence[Delivery]) -> None: ...

    def waiting(self, now: int, limit: int, *, without: Collection[str] = ()) -> Sequence[str]:
        """Return clients for which something is due, but those in *without*; the longest waiting first."""

    def claim(self, client_id: str, now: int, until: int) -> Delivery | None:
        """Count one more try of what is due for a client for longest, and make it due again at *until*.

        Returns:
            What nobody else gets until then; None if nothing is due.
        """

    def put_off(self, delivery: Delivery, due_at: int) -> bool:
        """Make a claimed one due at another time, unless somebody has claimed it since."""

    def remove(self, delivery: Delivery) -> bool: ...


class SigningKeys(Protocol):
    def all(self) -> Sequence[StoredKey]: ...

    def edit(self, function: Callable[[Sequence[StoredKey]], Sequence[StoredKey]]) -> Sequence[StoredKey]:
        """Replace the whole set by what *function* makes of it; one editor at a time, on all replicas."""


class Audit(Protocol):
    def add(self, event: AuditEvent) -> None: ...

    def note(self, event: AuditEvent) -> None:
        """Add an event of every day: cheaper, for power loss may take those of the last second."""

    def page(self, page: Page) -> Sequence[AuditEvent]: ...
    def each(self, *, batch: int = BATCH) -> Iterator[AuditEvent]: ...  # as State.each


class Leases(Protocol):
    def take(self, name: str, holder: str, now: int, ttl: int) -> bool:
        """Tell whether *holder* may do the periodic work *name* now; it is its own for *ttl* seconds."""


class Records(Protocol):
    """The durable records, one small repository for each kind.

    Attributes:
        is_far: whether to ask for the generation may take a round trip.
    """

    is_far: bool

    @property
    def users(self) -> Users: ...
    @property
    def passcodes(self) -> Passcodes: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def initial_tokens(self) -> InitialTokens: ...
    @property
    def tokens(self) -> StoredTokens: ...
    @property
    def consents(self) -> Consents: ...
    @property
    def refresh_families(self) -> RefreshFamilies: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def keys(self) -> SigningKeys: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def leases(self) -> Leases: ...

    def generation(self) -> int:
        """Return a number that moves with every change of users, clients or keys; equal means nothing changed."""

    def is_silent(self) -> bool:
        """Tell whether the store said nothing when it was asked last; it is asked again each second (background.py)."""

    def one_look(self) -> AbstractContextManager[None]:
        """Within, this thread may see users, clients and keys as they are now, without asking again each time.

        For what only reads and is quick: changes that are made meanwhile need not be seen, one's own neither.
        """

    def sync(self) -> None:
        """Make what was noted survive power loss; called at least once a second."""

    def publish(self) -> None:
        """Let those who ask elsewhere for the generation know it; called once a second."""

    def time(self) -> int | None:
        """Return the Unix seconds of the store's own clock; None if it has none but this machine's."""

    def check(self) -> None:
        """Return if the store answers, else raise Unavailable."""

    def close(self) -> None:
        """Let go of connections."""
