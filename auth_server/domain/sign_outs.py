"""What the end of a sign-in brings about: what it gave dies, and each client that was told of it hears of the end.

Who was told stands in the short-lived state, by person: an admin who disables an account has no browser at hand.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import orjson

from auth_server.clock import Clock
from auth_server.domain import credentials, scopes
from auth_server.domain.outbox import Message, Outbox
from auth_server.domain.refresh_tokens import RefreshTokens
from auth_server.domain.tokens import Tokens
from auth_server.store.records import Records
from auth_server.store.state import Entry, Index, Kind, State

BACKCHANNEL = "backchannel_logout_uri"
REMEMBERED = 3600  # seconds that an end is known to what was under way at that moment


@dataclass(frozen=True, slots=True)
class Told:
    """A client that was told of a sign-in.

    Args:
        sid: of the sign-in.
    """

    uid: str
    sid: str
    client_id: str

    @property
    def key(self) -> bytes:
        return credentials.digest(f"told {self.sid} {self.client_id}")


class SignOuts:
    """The ends of sign-ins."""

    def __init__(
        self,
        records: Records,
        state: State,
        tokens: Tokens,
        refresh_tokens: RefreshTokens,
        outbox: Outbox,
        clock: Clock,
    ) -> None:
        self._records, self._state, self._tokens, self._refresh_tokens = records, state, tokens, refresh_tokens
        self._outbox, self._clock = outbox, clock

    def remember(self, told: Told, expires_at: int) -> None:
        """Remember that a client was told of a sign-in, which lives until then at most."""
        data = orjson.dumps({"sid": told.sid, "client_id": told.client_id})
        entry = Entry(told.key, expires_at, data, subject=told.uid)  # no client's: it outlives that one's tokens
        self._state.put(Kind.TOLD, entry, self._clock())

    def announce(self, told: Iterable[Told]) -> None:
        """Let those clients know that it is over, who have said where they want to hear that; durable on return."""
        self._outbox.add([Message(one.client_id, {"uid": one.uid, "sid": one.sid}) for one in told if self._wants(one)])

    def end(self, uid: str, told: Collection[Told], sids: Collection[str]) -> None:
        """End all that sign-ins gave, but for what was meant to outlive them: offline_access (S-094)."""
        now = self._clock()
        for sid in sids:
            self._state.put(Kind.ENDED, Entry(_ended(sid), now + REMEMBERED, b""), now)
        for one in told:
            self._state.revoke(Index.KEY, one.key.hex(), Kind.TOLD)
        for code in self._state.each(Kind.CODE, now, Index.SUBJECT, uid):
            if orjson.loads(code.data)["sid"] in sids:
                self._state.revoke(Index.KEY, code.key.hex(), Kind.CODE)
        self._refresh_tokens.end_those(uid, lambda data: _ends_with(data, sids))
        self._tokens.revoke_of_sign_ins(uid, sids)

    def end_all(self, uid: str, keep: str = "") -> None:
        """Tell the clients of every sign-in of a person, on all browsers; their tokens are dead by then.

        Args:
            keep: the sid of a sign-in that goes on.
        """
        over = [one for one in self._told(uid) if one.sid != keep]
        self.announce(over)
        for one in over:
            self._state.revoke(Index.KEY, one.key.hex(), Kind.TOLD)

    def dismiss(self, uid: str, client_id: str) -> None:
        """Tell one client that a person's sign-ins are over for it, though not for others."""
        self.announce([one for one in self._told(uid) if one.client_id == client_id])

    def has_ended(self, sid: str) -> bool:
        """Tell whether a sign-in has ended a moment ago; asked after something was made for it."""
        return self._state.get(Kind.ENDED, _ended(sid), self._clock()) is not None

    def _told(self, uid: str) -> list[Told]:
        entries = self._state.each(Kind.TOLD, self._clock(), Index.SUBJECT, uid)
        return [Told(uid, **orjson.loads(entry.data)) for entry in entries]

    def _wants(self, told: Told) -> bool:
        client = self._records.clients.get(told.client_id)
        return client is not None and client.enabled and bool(client.metadata.get(BACKCHANNEL))


def _ended(sid: str) -> bytes:
    return credentials.digest(f"sign-in {sid}")


def _ends_with(data: bytes, sids: Collection[str]) -> bool:
    allowed = orjson.loads(data)
    return allowed.get("sid") in sids and not scopes.has(allowed["scope"], "offline_access")
