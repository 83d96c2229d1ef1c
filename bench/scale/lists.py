"""What admins ask and take away, over a store that holds a lot: none of it may read everything."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from auth_server.domain.audit import SERVER
from auth_server.protocol.server import Server
from auth_server.store.state import Page
from bench import site
from bench.scale.hot import Side

MOST = 0.5  # seconds
# Without a target: it reads what it leaves out, which domain/token_lists.py bounds.
DEEP = "the page after 10,000 tokens"


@dataclass(frozen=True)
class Timed:
    """One question, in seconds."""

    store: str
    title: str
    full: float
    empty: float

    @property
    def verdict(self) -> str:
        return "–" if self.title == DEEP else "hold" if self.full <= MOST else "MISS"

    def row(self) -> tuple[str, ...]:
        figures = (f"{self.full * 1000:,.1f}", f"{self.empty * 1000:,.1f}")
        target = "–" if self.title == DEEP else f"≤ {MOST * 1000:.0f}"
        return (self.store, self.title, *figures, target, self.verdict)


HEAD = ("store", "what", "full, ms", "empty, ms", "", "")


def measure(store: str, sides: tuple[Side, Side]) -> Iterator[Timed]:
    """Ask both stores, the empty one first, for the same, each question once."""
    empty, full = (_seconds(side) for side in sides)
    yield from (Timed(store, title, full[title], empty[title]) for title in full)


def _seconds(side: Side) -> dict[str, float]:
    server, stores = site.assembled(side.place)
    seconds = {}
    for title, ask in _questions(server, side).items():
        begun = time.perf_counter()
        ask()
        seconds[title] = time.perf_counter() - begun
    server.close()
    stores.close()
    return seconds


def _questions(server: Server, side: Side) -> dict[str, Callable[[], object]]:
    """Return what is asked, in this order; the last tokens of each kind are used up by it."""
    client, token, session = side.filled.unlimited[-1], side.filled.tokens[-2], side.filled.sessions[-2]
    person, living = server.tokens.find(side.filled.sessions[-1]), server.tokens.find(token)
    assert person is not None
    assert person.user is not None
    assert living is not None
    user = person.user
    lists, ref_id = server.token_lists, living.token.ref_id
    return {
        "the first page of tokens": lambda: lists.page("", Page(100)),
        DEEP: lambda: lists.page("", Page(100, 10_000)),
        "the tokens of a client": lambda: lists.page(client.client_id, Page(100)),
        "the sessions of a person": lambda: lists.page(user.uid, Page(100)),
        "those of 111 persons whose names begin alike": lambda: lists.page("person499", Page(100)),
        "tokens that no text finds": lambda: lists.page("nobody-has-this-name", Page(100)),
        "sessions of all persons": lambda: lists.page("local", Page(100)),
        "a token by its ref id": lambda: server.tokens.by_identifier(ref_id),
        "the first page of users": lambda: server.users.page("", Page(100)),
        "users by the beginning of a name": lambda: server.users.page("person1", Page(100)),
        "the first page of clients": lambda: server.clients.page("", Page(100)),
        "a client by its id": lambda: server.clients.page(client.client_id, Page(100)),
        "revoking a session": lambda: server.tokens.revoke(server.tokens.by_identifier(session)),
        "ending all that a person holds": lambda: server.tokens.revoke_user(user.uid),
        "removing a client with its tokens": lambda: server.clients.remove(client.client_id, SERVER),
        "a purge that finds nothing": lambda: server.state.purge(server.clock(), 2000),
    }
