"""What holds when several processes act at once, and when one dies."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from auth_server.errors import Conflict, LastOne, NotFound
from auth_server.store.records import Client, Records, StoredKey, StoredToken, User
from auth_server.store.state import Entry, Index, Keep, OnceKey, Page, Rate, State
from tests import proves
from tests.store.conformance.crowd import Crowd, killed_after
from tests.store.conformance.records import a_client, a_key, a_token, a_user
from tests.store.conformance.state import NOW, TOKEN, an_entry

ROUNDS = 30  # what each process tries, one after the other; all in the same order


def _key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _take_each(state: State, _: int) -> list[bool]:
    taken = (state.take(TOKEN, _key(number), "client", NOW) for number in range(ROUNDS))
    return [bool(entry and entry.first) for entry in taken]


def _take_or_end_each(state: State, _: int) -> list[bool]:
    """As who redeems a code: the second to come ends all that it gave."""
    won = []
    for number in range(ROUNDS):
        taken = state.take(TOKEN, _key(number), "client", NOW)
        won.append(bool(taken and taken.first))
        if taken and not taken.first:
            state.revoke(Index.KEY, _key(number).hex())
    return won


def _spend_each(state: State, _: int) -> list[bool]:
    return [state.spend([OnceKey(_key(number), NOW + 60)], NOW) is None for number in range(ROUNDS)]


def _spend_pairs(state: State, process: int) -> list[bool]:
    """Spend two values in one step, half of the processes in one order, half in the other."""
    won = []
    for number in range(ROUNDS):
        pair = [OnceKey(_key(2 * number), NOW + 60), OnceKey(_key(2 * number + 1), NOW + 60)]
        won.append(state.spend(pair[:: 1 if process % 2 else -1], NOW) is None)
    return won


def _draw_each(state: State, _: int) -> int:
    return sum(state.draw("bucket", 1, Rate(burst=25, refill=60), NOW).allowed for _ in range(ROUNDS))


def _put_limited(state: State, _: int) -> int:
    """Put entries of which 5 may live; return how many were seen at most."""
    most = 0
    for _ in range(ROUNDS):
        state.put(TOKEN, an_entry(), NOW, keep=Keep(Index.CLIENT, 5))
        most = max(most, len(state.find(TOKEN, Index.CLIENT, "client", Page(), NOW)))
    return most


def _count_up(state: State, _: int) -> None:
    """Add 1 to the number in an entry ten times, as often as that takes."""
    left = 10
    while left:
        entry = state.get(TOKEN, _key(0), NOW)
        assert entry is not None
        left -= state.swap(TOKEN, entry, replace(entry, data=b"%d" % (int(entry.data) + 1)), NOW)


def _put_and_revoke(state: State, process: int) -> list[Entry]:
    """Put entries of all and revoke them by turns; return those that outlived a revocation of one's own."""
    survivors: list[Entry] = []
    for number in range(ROUNDS):
        mine = an_entry(subject=f"subject {number % 3}", client_id=f"client {process}")
        state.put(TOKEN, mine, NOW)
        state.revoke(Index.SUBJECT, f"subject {number % 3}")
        if state.get(TOKEN, mine.key, NOW) or mine in state.find(TOKEN, Index.ALL, "", Page(), NOW):
            survivors.append(mine)
    return survivors


def _put_numbered(state: State, number: int) -> None:
    state.put(TOKEN, an_entry(_key(number)), NOW, keep=Keep(Index.FAMILY, 10_000))


def _take_numbered(state: State, number: int) -> None:
    state.put(TOKEN, an_entry(_key(number)), NOW)
    state.take(TOKEN, _key(number), "client", NOW)


def _purge_state(state: State, _: int) -> int:
    """Purge in small batches until nothing is found; return how many went."""
    return sum(iter(lambda: state.purge(NOW + 60, 7), 0))


class TestStateContention:
    """State, among processes."""

    def test_one_process_redeems_each_entry(self, state: State, open_state: Callable[[], State], crowd: Crowd) -> None:
        """However many try."""
        for number in range(ROUNDS):
            state.put(TOKEN, an_entry(_key(number)), NOW)
        won = crowd.run(_take_each, open_state)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    @proves("S-030")
    def test_who_is_first_is_told_so_though_the_second_ends_it_all(
        self, state: State, open_state: Callable[[], State], crowd: Crowd
    ) -> None:
        """At that moment: else nobody would have redeemed the entry, and nobody be told why."""
        for number in range(ROUNDS):
            state.put(TOKEN, an_entry(_key(number)), NOW)
        won = crowd.run(_take_or_end_each, open_state)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_one_process_spends_each_value(self, open_state: Callable[[], State], crowd: Crowd) -> None:
        """However many try."""
        won = crowd.run(_spend_each, open_state)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_one_process_spends_each_pair(self, open_state: Callable[[], State], crowd: Crowd) -> None:
        """In whatever order the two are named, and without a deadlock."""
        won = crowd.run(_spend_pairs, open_state)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_no_more_than_the_burst_is_drawn(self, open_state: Callable[[], State], crowd: Crowd) -> None:
        """All processes together get exactly what one would."""
        assert sum(crowd.run(_draw_each, open_state)) == 25

    def test_limit_is_never_exceeded(self, state: State, open_state: Callable[[], State], crowd: Crowd) -> None:
        """At no moment does anybody see more entries than may live."""
        assert max(crowd.run(_put_limited, open_state)) <= 5
        assert len(state.find(TOKEN, Index.CLIENT, "client", Page(), NOW)) == 5

    def test_no_swap_is_lost(self, state: State, open_state: Callable[[], State], crowd: Crowd) -> None:
        """Each successful one has seen the one before."""
        state.put(TOKEN, an_entry(_key(0), data=b"0"), NOW)
        crowd.run(_count_up, open_state)
        counted = state.get(TOKEN, _key(0), NOW)
        assert counted is not None
        assert int(counted.data) == 10 * crowd.size

    def test_nothing_outlives_its_revocation(self, state: State, open_state: Callable[[], State], crowd: Crowd) -> None:
        """What was put before is dead when revoke returns, whatever the others do."""
        assert crowd.run(_put_and_revoke, open_state) == [[]] * crowd.size
        assert state.find(TOKEN, Index.ALL, "", Page(), NOW) == []

    def test_several_may_purge_at_once(self, state: State, open_state: Callable[[], State], crowd: Crowd) -> None:
        """What has expired goes once, and nothing else; none is in the way of another for long."""
        living = an_entry(_key(ROUNDS * 3), expires_at=NOW + 61)
        for entry in (living, *(an_entry(_key(number), expires_at=NOW + 60) for number in range(ROUNDS * 3))):
            state.put(TOKEN, entry, NOW)
        assert sum(crowd.run(_purge_state, open_state)) == ROUNDS * 3
        assert state.get(TOKEN, living.key, NOW) == living

    def test_killed_process_loses_nothing_acknowledged(self, state: State, open_state: Callable[[], State]) -> None:
        """Every entry whose put had returned is there, in all indexes."""
        done = killed_after(50, _put_numbered, open_state)
        found = state.find(TOKEN, Index.FAMILY, (b"f" * 32).hex(), Page(limit=10_000), NOW)
        assert {entry.key for entry in found} >= {_key(number) for number in range(done)}
        assert all(state.get(TOKEN, _key(number), NOW) for number in range(done))

    def test_redemption_outlives_the_process(self, state: State, open_state: Callable[[], State]) -> None:
        """No code that a killed process had redeemed can be redeemed again."""
        done = killed_after(20, _take_numbered, open_state)
        again = [state.take(TOKEN, _key(number), "client", NOW) for number in range(done)]
        assert [taken and taken.first for taken in again] == [False] * done


def _append_keys(records: Records, process: int) -> None:
    for number in range(5):

        def append(keys: Sequence[StoredKey], kid: str = f"{process}-{number}") -> Sequence[StoredKey]:
            return [*keys, a_key(kid)]

        records.keys.edit(append)


def _added(add: Callable[[], object]) -> bool:
    try:
        add()
    except Conflict:
        return False
    return True


def _add_users(records: Records, process: int) -> list[bool]:
    """Add users of the same names, each with a uid of its own."""
    users = [a_user(f"u{process}-{number}", name=f"name {number}") for number in range(ROUNDS)]
    return [_added(partial(records.users.add, user)) for user in users]


def _add_users_or_clients(records: Records, process: int) -> list[bool]:
    """Add users of the same names as the ids of clients that the other half of the processes add."""
    if process % 2:
        users = [a_user(f"u{process}-{number}", name=f"taken-{number}") for number in range(ROUNDS)]
        return [_added(partial(records.users.add, user)) for user in users]
    clients = [a_client(f"taken-{number}") for number in range(ROUNDS)]
    return [_added(partial(records.clients.add, client)) for client in clients]


def _lose_both(records: Records, process: int) -> None:
    """Of two accounts of each role take one away; half of the processes the one, half the other."""
    for number in range(ROUNDS):
        uid, role = f"u{number}-{process % 2}", f"role {number}"
        with suppress(LastOne, NotFound):
            if (number + process // 2) % 3 == 0:
                records.users.change(uid, lambda user: replace(user, enabled=False), keep_one=role)
            else:
                records.users.remove(uid, keep_one=role)


def _more_tokens(records: Records, _: int) -> None:
    def one_more(client: Client) -> Client:
        return replace(client, token_limit=client.token_limit + 1)

    for _ in range(10):
        records.clients.change("client", one_more)


def _count_tokens_up(records: Records, _: int) -> None:
    left = 10
    while left:
        token = records.tokens.get(_key(0))
        assert token is not None
        left -= records.tokens.change(token, replace(token, data=b"%d" % (int(token.data) + 1)))


def _take_leases(records: Records, process: int) -> list[bool]:
    return [records.leases.take(f"work {number}", f"holder {process}", NOW, 60) for number in range(ROUNDS)]


def _see_generations(records: Records, process: int) -> list[tuple[int, str]]:
    """Change one user over and over; note the user beside the generation, as a cache would."""
    seen = []
    for number in range(10):

        def rename(user: User, name: str = f"{process} {number}") -> User:
            return replace(user, display_name=name)

        records.users.change("u1", rename)
        generation = records.generation()
        user = records.users.get("u1")
        if user is not None and records.generation() == generation:
            seen.append((generation, user.display_name))
    return seen


def _add_numbered(records: Records, number: int) -> None:
    records.users.add(a_user(f"u{number}", name=f"name {number}"))
    records.tokens.add(StoredToken(_key(number), None, b"data"))


def _purge_records(records: Records, _: int) -> None:
    """Purge in small batches until nothing is found."""
    while records.tokens.purge(NOW, 7):
        pass


class TestRecordsContention:
    """Records, among processes."""

    def test_keys_are_edited_one_after_the_other(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """No editor loses what another has added."""
        crowd.run(_append_keys, open_records)
        assert len(records.keys.all()) == 5 * crowd.size

    @proves("S-136")
    def test_one_process_gets_each_user_name(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """The others get a Conflict, and there is one row."""
        won = crowd.run(_add_users, open_records)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS
        users = records.users.page("", Page(limit=1000))
        assert len(users) == len({user.number for user in users}) == ROUNDS

    @proves("S-136")
    def test_user_and_client_do_not_get_the_same_name(self, open_records: Callable[[], Records], crowd: Crowd) -> None:
        """Not even when they come at once."""
        won = crowd.run(_add_users_or_clients, open_records)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_one_of_a_role_is_left(self, records: Records, open_records: Callable[[], Records], crowd: Crowd) -> None:
        """Of two who are taken away at once, exactly one stays."""
        for number in range(ROUNDS):
            for half in (0, 1):
                records.users.add(a_user(f"u{number}-{half}", role=f"role {number}"))
        crowd.run(_lose_both, open_records)
        left = [user.role for user in records.users.page("", Page(limit=1000)) if user.enabled]
        assert sorted(left) == sorted(f"role {number}" for number in range(ROUNDS))

    def test_no_change_is_lost(self, records: Records, open_records: Callable[[], Records], crowd: Crowd) -> None:
        """Each function gets the record as the one before has left it."""
        records.clients.add(a_client("client", token_limit=0))
        crowd.run(_more_tokens, open_records)
        client = records.clients.get("client")
        assert client is not None
        assert client.token_limit == 10 * crowd.size

    def test_no_change_of_a_token_is_lost(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """Each successful one has seen the one before."""
        records.tokens.add(StoredToken(_key(0), None, b"0"))
        crowd.run(_count_tokens_up, open_records)
        token = records.tokens.get(_key(0))
        assert token is not None
        assert int(token.data) == 10 * crowd.size

    def test_one_holder_gets_each_lease(self, open_records: Callable[[], Records], crowd: Crowd) -> None:
        """However many ask."""
        won = crowd.run(_take_leases, open_records)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_several_may_purge_at_once(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """What has expired goes, and nothing else; none fails because of another."""
        living = a_token(expires_at=NOW + 1)
        for token in (living, *(a_token(expires_at=NOW) for _ in range(ROUNDS * 3))):
            records.tokens.add(token)
        crowd.run(_purge_records, open_records)
        assert list(records.tokens.each(0)) == [living]

    def test_equal_generations_mean_equal_records(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """What is read while the generation stands still is what everybody reads under that number."""
        records.users.add(a_user("u1"))
        seen = {pair for pairs in crowd.run(_see_generations, open_records) for pair in pairs}
        assert seen
        assert max(Counter(generation for generation, _ in seen).values()) == 1

    def test_killed_process_loses_nothing_acknowledged(
        self, records: Records, open_records: Callable[[], Records]
    ) -> None:
        """Every record whose add had returned is there."""
        done = killed_after(10, _add_numbered, open_records)
        assert all(records.users.get(f"u{number}") for number in range(done))
        assert all(records.tokens.get(_key(number)) for number in range(done))
