"""Initial access tokens (RFC 7591 §3): who may register clients, and how many."""

from dataclasses import dataclass

from auth_server.clock import Clock, Random
from auth_server.domain import credentials
from auth_server.domain.audit import Actor, Audit
from auth_server.errors import InvalidInput
from auth_server.store.records import InitialToken, Records

MAX_USES = 1000000
MAX_TTL = 31536000  # seconds


@dataclass(frozen=True)
class NewInitialToken:
    """A token as just made; its value is shown this once."""

    value: str
    uses: int
    expires_at: int


class InitialTokens:
    """All initial access tokens. Only their digests are kept."""

    def __init__(self, records: Records, audit: Audit, clock: Clock, random: Random) -> None:
        self._records, self._audit, self._clock, self._random = records, audit, clock, random

    def new(self, uses: int, ttl: int, by: Actor) -> NewInitialToken:
        """Make a token.

        Args:
            uses: how many clients may be registered with it.
            ttl: seconds that it lives.

        Raises:
            InvalidInput: either is out of range.
        """
        if not 1 <= uses <= MAX_USES:
            raise InvalidInput("uses", f"must be 1 to {MAX_USES}")
        if not 1 <= ttl <= MAX_TTL:
            raise InvalidInput("expires", f"must be 1 to {MAX_TTL} seconds")
        value, expires_at = credentials.new_client_secret(self._random), self._clock() + ttl
        self._records.initial_tokens.add(InitialToken(credentials.digest(value), uses, expires_at))
        self._audit.change("initial_token.add", by, uses=uses, expires_at=expires_at)
        return NewInitialToken(value, uses, expires_at)

    def counts(self, value: str) -> bool:
        """Tell whether a value is a token that has a use left."""
        found = self._records.initial_tokens.get(_key(value))
        return found is not None and found.uses > 0 and found.expires_at > self._clock()

    def use(self, value: str) -> bool:
        """Take one use of a token; tell whether there was one."""
        return self._records.initial_tokens.use(_key(value), self._clock())


def _key(value: str) -> bytes:
    return credentials.digest(value)
