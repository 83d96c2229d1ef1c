"""Refresh tokens: rotation notices theft, and gives those who merely ask twice the same successor (RFC 9700 §4.14).

A token is `rt_` and the base64url of three things: its family's id, its number in the line, and a MAC over both under
a key of ours. So the store holds no token and no digest of one: a family's row says which number counts, a successor
can be made again without being kept, and one that was used long ago is still known for what it was.

A family is everything that one authorization gave: refresh tokens here, access tokens in the short-lived state. Its id
is the digest of the code that began it.
"""

import hmac
import struct
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass

from auth_server.clock import Clock
from auth_server.domain.keys import base64url
from auth_server.store.records import Records, RefreshFamily
from auth_server.store.state import Entry, Index, Kind, State

PREFIX = "rt_"
_ID, _NUMBER, _MAC = 32, 8, 32  # bytes
LENGTH = len(PREFIX) + len(base64url(bytes(_ID + _NUMBER + _MAC)))


def is_one(value: str) -> bool:
    """Tell whether a value has a refresh token's form."""
    return len(value) == LENGTH and value.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class Presented:
    """A genuine refresh token, and the family it belongs to, as it stands now.

    Args:
        number: of this token in the line.
    """

    family: RefreshFamily
    number: int


class Reused(Exception):
    """A token that was used before, and not a moment ago."""


class RefreshTokens:
    """All refresh tokens.

    Args:
        key: 32 bytes, for the MACs.
        ttl: seconds that a line lives, whatever its use.
        idle: seconds that it lives without use.
        grace: seconds in which a used token gives the same successor again.
    """

    def __init__(
        self, records: Records, state: State, key: bytes, clock: Clock, ttl: int, idle: int, grace: int
    ) -> None:
        self._records, self._state, self._key, self._clock = records, state, key, clock
        self._ttl, self._idle, self._grace = ttl, idle, grace

    def begin(self, family: bytes, uid: str, client_id: str, data: bytes, *, rotates: bool = True) -> str:
        """Start a family's line and return its first token, shown this once.

        Args:
            family: 32 bytes.
            data: what was authorized, as the protocol needs it at each refresh.
            rotates: whether a token is replaced when it is used; one that is not lives as long as its line, for
                nobody notes its use.
        """
        now = self._clock()
        idle = min(self._idle, self._ttl) if rotates else self._ttl
        new = RefreshFamily(
            family_id=family.hex(),
            uid=uid,
            client_id=client_id,
            created_at=now,
            ends_at=now + self._ttl,
            expires_at=now + idle,
            used_at=now,
            data=data,
        )
        self._records.refresh_families.add(new)
        return self._value(new.family_id, 0)

    def end(self, family: bytes) -> None:
        """End everything that one authorization gave, also what is being made this moment.

        The family goes last: whoever asks again after a failure still finds it.
        """
        now = self._clock()
        self._state.put(Kind.ENDED, Entry(family, now + self._ttl, b""), now)
        self._state.revoke(Index.FAMILY, family.hex())
        self._records.refresh_families.remove(family_id=family.hex())

    def has_ended(self, family: bytes) -> bool:
        """Tell whether a family was ended; asked after something was made for it."""
        return self._state.get(Kind.ENDED, family, self._clock()) is not None

    def withdraw(self, uid: str, client_id: str) -> int:
        """End every family of a person at one client; return how many there were."""
        families = self._records.refresh_families.find(uid, client_id)
        for family in families:
            self.end(bytes.fromhex(family.family_id))
        return len(families)

    def end_those(self, uid: str, condition: Callable[[bytes], bool]) -> None:
        """End those families of a person, for whose record of what was authorized *condition* holds."""
        for family in self._records.refresh_families.find(uid):
            if condition(family.data):
                self.end(bytes.fromhex(family.family_id))

    def find(self, value: str) -> Presented | None:
        """Return what a refresh token names; None if it is not one of ours, or its family is over.

        It may have been used before: `redeem` judges that.
        """
        known = self._opened(value)
        if known is None:
            return None
        family = self._records.refresh_families.get(known[0])
        if family is None or family.expires_at <= self._clock() or known[1] > family.number:
            return None
        return Presented(family, known[1])

    def counts(self, presented: Presented) -> bool:
        """Tell whether a token has not been used yet."""
        return presented.number == presented.family.number

    def redeem(self, presented: Presented, data: bytes | None = None) -> str:
        """Use a token up and return its successor; a second time soon after, the same one again.

        The grace begins when the successor was made, does not extend itself, and is over when that was used.

        Args:
            data: what was authorized, where that is not what it was.

        Raises:
            Reused: it was used before that; the caller ends the family.
        """
        family, now = presented.family, self._clock()
        families = self._records.refresh_families
        expires_at = min(now + self._idle, family.ends_at)
        if self.counts(presented) and families.advance(family.family_id, family.number, now, expires_at, data):
            return self._value(family.family_id, presented.number + 1)
        current = families.get(family.family_id)
        if current is None or current.number != presented.number + 1 or now >= current.used_at + self._grace:
            raise Reused
        return self._value(family.family_id, current.number)

    def _value(self, family_id: str, number: int) -> str:
        body = bytes.fromhex(family_id) + struct.pack(">Q", number)
        return PREFIX + base64url(body + self._mac(body)).decode()

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")

    def _opened(self, value: str) -> tuple[str, int] | None:
        if not is_one(value) or not value.isascii():
            return None
        encoded = value.removeprefix(PREFIX)
        try:
            raw = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except (Base64Error, ValueError):
            return None
        body, mac = raw[: _ID + _NUMBER], raw[_ID + _NUMBER :]
        if not hmac.compare_digest(mac, self._mac(body)) or base64url(raw).decode() != encoded:
            return None
        return body[:_ID].hex(), struct.unpack(">Q", body[_ID:])[0]
