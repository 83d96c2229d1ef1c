"""The interface to short-lived state: access tokens, sessions, once-only values, throttles.

State is generic: a new kind of code or token needs no new method. Entries die by the injected clock
(`expires_at <= now`); a backend's own expiry only cleans up, later. Every method raises `Unavailable` when the
store does not answer; nothing is known then.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

BATCH = 1000  # entries that one statement or script reads or deletes; Redis serves nobody else meanwhile

_DIGITS = 64  # of a whole key, in hex


class Kind(IntEnum):
    """What an entry is. The numbers are stored: never reuse one."""

    ACCESS_TOKEN = 1  # sessions, client tokens: everything that opens an API
    KNOWN_ADDRESS = 2  # an account has signed in from this address before
    BROWSER = 3  # who is signed in on the pages, under the digest of a cookie
    INTERACTION = 4  # an authorization request that waits for a person
    CODE = 5  # an authorization code
    DEVICE_CODE = 7  # a device that waits for its person
    USER_CODE = 8  # the code by which the person finds it
    ENDED = 6  # a family whose code was used twice, or a sign-in: what still comes of it is dead
    PUSHED_REQUEST = 13  # an authorization request that a client has pushed
    CLIENT_KEYS = 12  # a client's public keys, as they were fetched
    LOGO = 11  # a client's picture, as it was fetched; empty if it could not be
    FAREWELL = 10  # what is left to do in a browser after a logout
    TOLD = 9  # a client that was told of a sign-in


class Index(IntEnum):
    """By what entries are found and revoked."""

    ALL = 0
    KEY = 1  # in find: a prefix of the key in hex digits; in revoke: the whole key in hex digits
    SUBJECT = 2
    CLIENT = 3
    FAMILY = 4  # in hex digits


@dataclass(slots=True)  # not frozen: one is made on every request, and that takes five times as long
class Entry:
    """One record of state.

    Args:
        key: 32 bytes, the SHA-256 of what the bearer holds.
        expires_at: Unix seconds; None never expires.
        data: the domain's record, opaque to the store.
        family: 32 bytes that entries with a common origin share: the key of the token they were made with.
        mark: of an entry that came `ahead`, where a store far away has them: it has not been revoked as long as
            `State.mark` returns the same.
    """

    key: bytes
    expires_at: int | None
    data: bytes
    client_id: str | None = None
    subject: str | None = None
    family: bytes | None = None
    mark: bytes | None = field(default=None, compare=False)


@dataclass(slots=True)  # not frozen, as above
class Keep:
    """A limit on living entries of one kind: the *newest* ones that share the new entry's *index* value stay."""

    index: Index
    newest: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to `take`: the entry, and whether this call is the first and only one to redeem it."""

    entry: Entry
    first: bool


@dataclass(frozen=True, slots=True)
class OnceKey:
    """A value that counts once until *expires_at* (Unix seconds), for example the jti of a client's assertion."""

    key: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: *burst* tries at once, one more every *refill* seconds."""

    burst: int
    refill: int


@dataclass(slots=True)  # not frozen, as above
class Allowance:
    """The answer to `draw`: whether the cost was covered, else the seconds until it would be."""

    allowed: bool
    retry_after: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, newest first."""

    limit: int = 100
    offset: int = 0


class State(Protocol):
    """Short-lived state, shared by all workers and replicas.

    Attributes:
        is_far: whether an answer takes so long that it pays to look `ahead`.
    """

    is_far: bool

    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        """Store *entry*, in place of one with the same kind and key; all workers see it on return.

        It survives the death of any process; after power loss, entries of the last second may be gone.

        Args:
            keep: how many may live at *now*, this one included; those that have expired take nobody's place.
        """

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        """Return the living, untaken entry, or None."""

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        """Say that this thread will `get` an entry soon, inside of the `with`.

        The answer may be as it was at some time since that began: then it came along with another one.
        """

    def mark(self, key: bytes) -> bytes | None:
        """Return the mark of the entries with that key, as others may have left it before they have settled.

        It changes with each revocation of one of them; not if newer ones displace it. None: ask for the entry.
        """

    def settle(self) -> None:
        """Return when what this thread has revoked, or changed in the records, counts no more for anybody.

        Called before it is acknowledged. A process may go by what it heard of a store far away a moment ago: that much
        has then passed.
        """

    def guess(self) -> AbstractContextManager[None]:
        """Let this thread take for granted what it would ask for first, inside of the `with`: copies of records being
        fresh, and one bucket having a try. It is checked in one step with the next `put`, before any other call, or at
        the end.

        Raises:
            WrongGuess: by that call, or at the end, if it is not so. Nothing was written; whatever came of it does not
                count. Do it again without.
        """

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        """Redeem a one-time entry; `first` is True for exactly one caller, ever. Durable on return.

        The used entry stays, marked, until it expires, so that a replay is recognised. None if it is unknown,
        expired, or belongs to another client than *client_id*; then nothing is used up.
        """

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        """Replace *old* by *new* (same key) if it lives, untaken, and holds *old*'s data; tell whether it did."""

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        """Remember all *keys* in one step; return None, or the one already known, and then none is remembered.

        Durable on return.
        """

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        """Return living entries, newest first.

        Args:
            value: ignored for `Index.ALL`; hex digits for KEY and FAMILY, else ValueError.
        """

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        """Yield all living entries, newest first; neither all in memory at once, nor in one go of the store.

        What lives from beginning to end is yielded once, however many others come and go meanwhile.

        Args:
            index: any but KEY.
            value: as in `find`.
            batch: how many the store reads at once, by one statement.
        """

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        """Delete the entries under *value*, of one kind or of every; dead on every replica, durably, on return.

        Returns:
            How many entries died.
        """

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        """Take *cost* tries from a bucket if it has them; a cost of 0 only asks for one, a negative one gives back."""

    def purge(self, now: int, limit: int) -> int:
        """Delete at most *limit* things that have expired; return how many went."""

    def sync(self) -> None:
        """Make every acknowledged write survive power loss; called at least once a second."""

    def check(self) -> None:
        """Return if the store answers, else raise Unavailable."""

    def close(self) -> None:
        """Let go of connections."""


def key_range(prefix: str) -> tuple[bytes, bytes]:
    """Return the least and the greatest 32-byte key whose hex digits begin with *prefix*."""
    return bytes.fromhex(prefix.ljust(_DIGITS, "0")), bytes.fromhex(prefix.ljust(_DIGITS, "f"))


def is_part_of_key(index: Index, value: str) -> bool:
    """Tell whether *value* is not a whole key: to revoke by a part of one must not kill all that begin with it."""
    return index is Index.KEY and len(value) != _DIGITS
