"""Lists of what counts, newest first: read lazily from both stores, by an index where a text allows it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from auth_server.clock import Clock
from auth_server.domain import credentials
from auth_server.domain.tokens import Living, Token, Tokens, unpack
from auth_server.errors import NotFound
from auth_server.store.records import Records, User
from auth_server.store.state import BATCH, Index, Kind, Page, State

MOST = 100_000  # tokens that are looked at for one page; an app password's owner may have a tenth of them
FEW = 200  # users, clients or app passwords whose tokens are looked up one by one; for more of them all are looked at
PROVIDERS = ("local", "application", "client", "access_token")


def name_of(living: Living) -> str:
    """Return the name of the program that holds a token: its client's, as it is now, or its own."""
    return living.client.client_name if living.client is not None else living.token.client_name


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Tokens among which all are that a text finds, newest first, and which of them it finds."""

    tokens: Iterator[Token]
    found: Callable[[Living], bool] = lambda living: True


class TokenLists:
    """Finds tokens for people, admins and the command line."""

    def __init__(self, tokens: Tokens, records: Records, state: State, clock: Clock) -> None:
        self._tokens, self._records, self._state, self._clock = tokens, records, state, clock

    def all(self, search: str = "", *, batch: int = BATCH, most: int | None = None) -> Iterator[Living]:
        """Yield everything that counts now, newest first; never all of it in memory.

        Args:
            search: a session id, ref id, uid or client_id; or the beginning of a user's name, of a client's, or of a
                provider. Empty and `all` find everything. No character in it means anything else.
            batch: how many are read at once.
            most: how many are looked at; None for any number.
        """
        now = self._clock()
        candidates = self._candidates("" if search == "all" else search, now, batch)
        tokens = islice(candidates.tokens, most)
        while some := list(islice(tokens, batch)):
            yield from filter(candidates.found, self._tokens.counting(some, now))

    def page(self, search: str, page: Page) -> Sequence[Living]:
        """Return a part of the list; what is further down than MOST is not reached."""
        end = page.offset + page.limit
        return list(islice(self.all(search, batch=min(end, BATCH), most=MOST), page.offset, end))

    def app_passwords(self, user: User, search: str = "") -> Sequence[Living]:
        """Return a person's app passwords by name, of those with one name the oldest first.

        Args:
            search: the beginning of their name or of the person's; empty and `all` find everything.
        """
        now, lower = self._clock(), "" if search == "all" else search.lower()
        stored = islice(self._records.tokens.each(now, subject=user.uid), MOST // 10)
        living = self._tokens.counting([token for token in map(unpack, stored) if token.is_app_password], now)
        found = [one for one in living if _begins(lower, user.name, one.token.client_name)]
        return sorted(found, key=lambda one: (one.token.client_name.lower(), one.token.created_at))

    # ---- where to look
    def _candidates(self, search: str, now: int, batch: int) -> _Candidates:
        if not search:
            return _Candidates(self._everything(now, batch))
        if credentials.SESSION_ID(search) or credentials.REF_ID(search):
            return _Candidates(self._named(search))
        if self._records.users.get(search) is not None:
            return _Candidates(_merged(self._of_users([search], now, batch)))
        if self._records.clients.get(search) is not None:
            return _Candidates(_merged(self._of_clients([search], now, batch)))
        return self._by_text(search, now, batch)

    def _everything(self, now: int, batch: int) -> Iterator[Token]:
        return _merged([self._listed(now, Index.ALL, "", batch), self._stored(now, batch)])

    def _named(self, identifier: str) -> Iterator[Token]:
        try:
            yield self._tokens.by_identifier(identifier)
        except NotFound:
            return

    def _by_text(self, search: str, now: int, batch: int) -> _Candidates:
        """Those of the users, clients and app passwords whose name begins so; if these are many, then all tokens."""
        lower = search.lower()

        def found(living: Living) -> bool:
            names = (living.user.name if living.user else "", name_of(living), living.token.provider)
            return _begins(lower, *names)

        most = Page(FEW + 1)
        users = self._records.users.page(search, most)
        clients = self._records.clients.page(search, most)
        if len(users) > FEW or len(clients) > FEW or _begins(lower, *PROVIDERS):
            return _Candidates(self._everything(now, BATCH), found)
        stored = islice(self._stored(now, BATCH), MOST)
        durable = list(islice((one for one in stored if _begins(lower, one.client_name)), FEW + 1))
        if len(durable) > FEW:
            return _Candidates(self._everything(now, BATCH), found)
        streams = self._of_users([user.uid for user in users], now, batch) + [iter(durable)]
        streams += self._of_clients([client.client_id for client in clients], now, batch)
        streams += [self._listed(now, Index.FAMILY, one.session_id, batch) for one in durable]
        return _Candidates(_merged(streams), found)

    def _of_users(self, uids: Sequence[str], now: int, batch: int) -> list[Iterator[Token]]:
        listed = [self._listed(now, Index.SUBJECT, uid, batch) for uid in uids]
        return listed + [self._stored(now, batch, uid) for uid in uids]

    def _of_clients(self, client_ids: Sequence[str], now: int, batch: int) -> list[Iterator[Token]]:
        return [self._listed(now, Index.CLIENT, client_id, batch) for client_id in client_ids]

    def _listed(self, now: int, index: Index, value: str, batch: int) -> Iterator[Token]:
        return map(unpack, self._state.each(Kind.ACCESS_TOKEN, now, index, value, batch=batch))

    def _stored(self, now: int, batch: int, subject: str | None = None) -> Iterator[Token]:
        return map(unpack, self._records.tokens.each(now, subject=subject, batch=batch))


def _merged(streams: Sequence[Iterator[Token]]) -> Iterator[Token]:
    """Yield the tokens of all streams, newest first, each once."""
    seen: set[bytes] = set()
    for token in merge(*streams, key=lambda token: token.created_at, reverse=True):
        if token.key not in seen:
            seen.add(token.key)
            yield token


def _begins(lower: str, *names: str) -> bool:
    return any(name.lower().startswith(lower) for name in names)
