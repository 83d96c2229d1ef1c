"""Who is signed in on our own pages: one cookie a browser, with the accounts that signed in there.

A browser that nobody has signed in on has a cookie too, for the forms' protection, but no record: strangers fill no
store. The cookie is a new one after each sign-in (S-056).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import orjson

from auth_server.clock import Clock, Random
from auth_server.domain import credentials
from auth_server.domain.keys import base64url
from auth_server.domain.sign_outs import SignOuts, Told
from auth_server.errors import Unavailable
from auth_server.store.records import Records, User
from auth_server.store.state import Entry, Index, Kind, State

TOUCH = 60  # seconds; the last use is written at most once in that time
MOST = 10  # accounts of one browser


@dataclass(frozen=True, slots=True)
class SignIn:
    """One account, signed in on one browser.

    Args:
        sid: names this sign-in; clients get a value derived from it.
        auth_time: when the person last proved to be it (Unix seconds).
        amr: how, in the words of RFC 8176.
        clients: those that were told of it, and may want to be told of its end.
    """

    uid: str
    sid: str
    auth_time: int
    amr: tuple[str, ...]
    password_version: int
    user_version: int
    clients: tuple[str, ...] = ()

    def told(self) -> tuple[Told, ...]:
        """Return who was told of it."""
        return tuple(Told(self.uid, self.sid, client_id) for client_id in self.clients)


@dataclass(frozen=True, slots=True)
class Browser:
    """A browser with somebody signed in; the last one who signed in, or was selected, comes first."""

    key: bytes
    sign_ins: tuple[SignIn, ...]
    started_at: int
    last_active: int

    def of(self, uid: str) -> SignIn | None:
        """Return the sign-in of an account on this browser."""
        return next((one for one in self.sign_ins if one.uid == uid), None)


class Browsers:
    """All browsers.

    Args:
        ttl: seconds that a browser stays signed in.
        idle: seconds that it does so without use.
    """

    def __init__(
        self,
        records: Records,
        state: State,
        sign_outs: SignOuts,
        clock: Clock,
        random: Random,
        ttl: int,
        idle: int,
    ) -> None:
        self._records, self._state, self._sign_outs = records, state, sign_outs
        self._clock, self._random = clock, random
        self._ttl, self._idle = ttl, idle

    def new_cookie(self) -> str:
        """Return a value that nobody can guess: 256 bits."""
        return base64url(self._random(32)).decode()

    def find(self, cookie: str) -> Browser | None:
        """Return the browser with those who still count, and note its use; None if nobody does.

        A store that only reads keeps nobody out, as with tokens: what it does not take is noted at the next use.
        """
        now = self._clock()
        entry = self._state.get(Kind.BROWSER, credentials.digest(cookie), now) if cookie else None
        if entry is None:
            return None
        browser = _unpack(entry)
        if browser.last_active + self._idle <= now:
            return None
        browser = replace(browser, sign_ins=tuple(one for one in browser.sign_ins if self._counts(one)))
        if not browser.sign_ins:
            return None
        if now - browser.last_active >= TOUCH:
            used = replace(browser, last_active=now)
            with suppress(Unavailable):
                self._state.swap(Kind.BROWSER, entry, self._entry(used), now)
                return used
        return browser

    def user(self, sign_in: SignIn) -> User | None:
        """Return the account of a sign-in."""
        return self._records.users.get(sign_in.uid)

    def sign_in(self, cookie: str, user: User, amr: Sequence[str]) -> tuple[str, Browser]:
        """Sign somebody in, and give the browser a new cookie; the old one is worth nothing any more.

        A new sign-in of the same account keeps its `sid`: for its clients it is the same session, proven again.

        Returns:
            The new cookie, and the browser.
        """
        now = self._clock()
        before = self.find(cookie)
        others = before.sign_ins if before else ()
        again = next((one for one in others if one.uid == user.uid), None)
        one = SignIn(
            uid=user.uid,
            sid=again.sid if again else self._random(16).hex(),
            auth_time=now,
            amr=tuple(amr),
            password_version=user.password_version,
            user_version=user.token_version,
            clients=again.clients if again else (),
        )
        rest = [other for other in others if other.uid != user.uid]
        for told in one.told():  # it lives anew
            self._sign_outs.remember(told, now + self._ttl)
        for dropped in rest[MOST - 1 :]:
            self._sign_outs.announce(dropped.told())
        renewed = self._renewed(before, (one, *rest[: MOST - 1]), now)
        for dropped in rest[MOST - 1 :]:
            self._sign_outs.end(dropped.uid, dropped.told(), (dropped.sid,))
        return renewed

    def tell(self, browser: Browser, sign_in: SignIn, client_id: str) -> bool:
        """Remember that a client is told of a sign-in; written once for each client.

        Returns:
            False if that has ended meanwhile: then nobody must be told of it.
        """
        if client_id in sign_in.clients:
            return True
        self._sign_outs.remember(Told(sign_in.uid, sign_in.sid, client_id), sign_in.auth_time + self._ttl)

        def add(one: SignIn) -> SignIn:
            same = one.sid == sign_in.sid and client_id not in one.clients
            return replace(one, clients=(*one.clients, client_id)) if same else one

        changed = self._edit(browser.key, lambda current: tuple(add(one) for one in current.sign_ins))
        return changed is not None and any(one.sid == sign_in.sid for one in changed.sign_ins)

    def select(self, cookie: str, uid: str) -> tuple[str, Browser] | None:
        """Put an account first that is signed in here; None if it is not."""
        before = self.find(cookie)
        chosen = before.of(uid) if before else None
        if before is None or chosen is None:
            return None
        return self._renewed(before, (chosen, *(one for one in before.sign_ins if one != chosen)), self._clock())

    def sign_out(self, cookie: str, uid: str | None = None) -> tuple[SignIn, ...]:
        """End one account's sign-in on this browser, or all of them; return those that have ended.

        Their clients are to be told, durably, before they end: a crash in between tells them too much, never too
        little. What the sign-ins gave is dead on return, and they leave the browser last: whoever asks again after a
        failure still finds them.
        """
        ended: tuple[SignIn, ...] = ()
        announced: set[Told] = set()

        def without_them(current: Browser) -> tuple[SignIn, ...]:
            nonlocal ended
            leaving = tuple(one for one in current.sign_ins if uid in (None, one.uid))
            told = {told for one in leaving for told in one.told()}
            self._sign_outs.announce(told - announced)
            announced.update(told)
            for one in leaving:
                if one not in ended:
                    self._sign_outs.end(one.uid, one.told(), (one.sid,))
            ended = leaving
            return tuple(one for one in current.sign_ins if one not in ended)

        before = self.find(cookie)
        if before is None or self._edit(before.key, without_them) is None:
            return ()
        return ended

    def renew(self, cookie: str, user: User) -> str | None:
        """Carry an account over a change of its own password or factor, with a new cookie (S-061)."""
        now = self._clock()
        entry = self._state.get(Kind.BROWSER, credentials.digest(cookie), now) if cookie else None
        before = _unpack(entry) if entry else None
        mine = before.of(user.uid) if before else None
        if before is None or mine is None:
            return None
        carried = replace(mine, password_version=user.password_version, user_version=user.token_version)
        return self._renewed(before, (carried, *(one for one in before.sign_ins if one.uid != user.uid)), now)[0]

    def _edit(self, key: bytes, function: Callable[[Browser], tuple[SignIn, ...]]) -> Browser | None:
        """Give a browser other sign-ins, by compare and set: what happens on it at the same time is not undone.

        Returns:
            The browser as it is now, None if it is gone; without sign-ins it goes.
        """
        now = self._clock()
        while (entry := self._state.get(Kind.BROWSER, key, now)) is not None:
            current = _unpack(entry)
            changed = replace(current, sign_ins=function(current))
            if changed == current or self._state.swap(Kind.BROWSER, entry, self._entry(changed), now):
                if not changed.sign_ins:
                    self._state.revoke(Index.KEY, key.hex(), Kind.BROWSER)
                return changed
        return None

    def _renewed(self, before: Browser | None, sign_ins: tuple[SignIn, ...], now: int) -> tuple[str, Browser]:
        cookie = self.new_cookie()
        started_at = now if before is None else before.started_at
        browser = Browser(credentials.digest(cookie), sign_ins, started_at, now)
        self._state.put(Kind.BROWSER, self._entry(browser), now)
        if before is not None:
            self._state.revoke(Index.KEY, before.key.hex(), Kind.BROWSER)
        return cookie, browser

    def _counts(self, sign_in: SignIn) -> bool:
        user = self._records.users.get(sign_in.uid)
        versions = (sign_in.password_version, sign_in.user_version)
        return user is not None and user.enabled and versions == (user.password_version, user.token_version)

    def _entry(self, browser: Browser) -> Entry:
        ends_at = max((one.auth_time for one in browser.sign_ins), default=self._clock()) + self._ttl
        values = {
            "sign_ins": [asdict(one) for one in browser.sign_ins],
            "started_at": browser.started_at,
            "last_active": browser.last_active,
        }
        return Entry(browser.key, ends_at, orjson.dumps(values), subject=None)


def _unpack(entry: Entry) -> Browser:
    values = orjson.loads(entry.data)
    sign_ins = tuple(
        SignIn(**{**one, "amr": tuple(one["amr"]), "clients": tuple(one["clients"])}) for one in values["sign_ins"]
    )
    return Browser(entry.key, sign_ins, values["started_at"], values["last_active"])
