"""What every State does."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from auth_server.store.guess import WrongGuess
from auth_server.store.state import Allowance, Entry, Index, Keep, Kind, OnceKey, Page, Rate, State, Taken
from tests import proves

NOW = 1_000_000_000  # years behind the real clock: only the injected one counts
TOKEN, ADDRESS = Kind.ACCESS_TOKEN, Kind.KNOWN_ADDRESS
EVERYTHING = Page(limit=10_000)
BY = (Index.KEY, Index.SUBJECT, Index.CLIENT, Index.FAMILY)


def an_entry(key: bytes | None = None, **members: Any) -> Entry:
    """An entry that lives for a minute after NOW."""
    plain = Entry(key or os.urandom(32), NOW + 60, b"data", client_id="client", subject="subject", family=b"f" * 32)
    return replace(plain, **members)


def value_of(entry: Entry, index: Index) -> str:
    """Under what *entry* stands in *index*."""
    if index is Index.CLIENT:
        return entry.client_id or ""
    if index is Index.SUBJECT:
        return entry.subject or ""
    return (entry.key if index is Index.KEY else entry.family or b"").hex()


def put_many(state: State, count: int, **members: Any) -> list[Entry]:
    """Put *count* entries; return them newest first."""
    entries = [an_entry(data=b"%d" % number, **members) for number in range(count)]
    for entry in entries:
        state.put(TOKEN, entry, NOW)
    return entries[::-1]


class TestEntries:
    """put and get."""

    @pytest.mark.parametrize(
        "members",
        [
            {},
            {"expires_at": None, "client_id": None, "subject": None, "family": None},
            {"data": b""},
            {"data": bytes(range(256)) * 400, "family": bytes(32), "key": bytes(32)},
            {"key": b"\xff" * 32, "family": b"\xff" * 32},
            {"client_id": "https://client.example/a~b:c/{d}*?[e]%_", "subject": "Jörg \u0000 \U0001f511"},
            {"client_id": "", "subject": ""},
        ],
        ids=["all members", "none", "no data", "large", "high bytes", "strange text", "empty text"],
    )
    def test_entry_comes_back_as_it_was_put(self, state: State, members: dict[str, Any]) -> None:
        """No member changes on its way."""
        entry = an_entry(**members)
        state.put(TOKEN, entry, NOW)
        assert state.get(TOKEN, entry.key, NOW) == entry

    def test_unknown_key_is_nothing(self, state: State) -> None:
        """A key that was never put gives None, also beside one that was."""
        state.put(TOKEN, an_entry(), NOW)
        assert state.get(TOKEN, os.urandom(32), NOW) is None

    def test_kinds_do_not_meet(self, state: State) -> None:
        """One key can stand for an entry of each kind."""
        token = an_entry(data=b"token")
        address = replace(token, data=b"address")
        state.put(TOKEN, token, NOW)
        assert state.get(ADDRESS, token.key, NOW) is None
        state.put(ADDRESS, address, NOW)
        assert (state.get(TOKEN, token.key, NOW), state.get(ADDRESS, token.key, NOW)) == (token, address)

    def test_put_replaces_an_entry_and_all_that_leads_to_it(self, state: State) -> None:
        """The indexes follow the newer entry and forget the older."""
        old = an_entry()
        new = an_entry(old.key, data=b"new", client_id="other", subject=None, family=None)
        state.put(TOKEN, old, NOW)
        state.put(TOKEN, new, NOW)
        assert state.get(TOKEN, old.key, NOW) == new
        assert state.find(TOKEN, Index.CLIENT, "client", EVERYTHING, NOW) == []
        assert state.find(TOKEN, Index.SUBJECT, "subject", EVERYTHING, NOW) == []
        assert state.find(TOKEN, Index.CLIENT, "other", EVERYTHING, NOW) == [new]
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [new]

    def test_entry_is_dead_in_the_second_of_its_expiry(self, state: State) -> None:
        """Expired means expires_at <= now, for each way to reach an entry."""
        entry = an_entry(expires_at=NOW + 60)
        state.put(TOKEN, entry, NOW)
        assert state.get(TOKEN, entry.key, NOW + 59) == entry
        assert state.get(TOKEN, entry.key, NOW + 60) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW + 60) == []
        assert state.take(TOKEN, entry.key, "client", NOW + 60) is None
        assert state.take(TOKEN, entry.key, "client", NOW + 59) == Taken(entry, first=True)

    def test_entry_without_expiry_never_dies(self, state: State) -> None:
        """None outlives every clock and every purge."""
        entry = an_entry(expires_at=None)
        state.put(TOKEN, entry, NOW)
        state.purge(2**40, 100)
        assert state.get(TOKEN, entry.key, 2**40) == entry

    @pytest.mark.parametrize("now", [1_000, NOW, 2_000_000_000, 9_000_000_000])
    def test_only_the_injected_clock_counts(self, state: State, now: int) -> None:
        """Entries, once-only values and buckets live by it however far it is from the real one."""
        entry = an_entry(expires_at=now + 1)
        state.put(TOKEN, entry, NOW)
        assert state.spend([OnceKey(entry.key, now + 1)], now) is None
        assert state.draw("bucket", 1, Rate(1, 60), now).allowed
        assert state.get(TOKEN, entry.key, now) == entry
        assert state.get(TOKEN, entry.key, now + 1) is None
        assert state.spend([OnceKey(entry.key, now + 1)], now) == OnceKey(entry.key, now + 1)
        assert state.draw("bucket", 1, Rate(1, 60), now) == Allowance(False, 60)

    def test_every_opening_sees_what_one_has_put(self, state: State, open_state: Callable[[], State]) -> None:
        """There is one state, however many have it open."""
        other = open_state()
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        assert other.get(TOKEN, entry.key, NOW) == entry
        other.revoke(Index.KEY, entry.key.hex())
        assert state.get(TOKEN, entry.key, NOW) is None
        other.close()

    def test_store_that_answers_passes_the_check(self, state: State) -> None:
        """check and sync return, and may be repeated."""
        for _ in range(2):
            state.check()
            state.sync()


class TestAhead:
    """What a thread says it will ask for may come along with another answer, and is the same."""

    @staticmethod
    def _ask(state: State, key: bytes, now: int = NOW) -> Entry | None:
        assert state.draw("bucket", 0, Rate(5, 60), now).allowed
        return state.get(TOKEN, key, now)

    def test_entry_is_what_it_would_be_otherwise(self, state: State) -> None:
        """Also one with few members, a dead one, a taken one, and none."""
        plain = an_entry()
        bare = an_entry(client_id=None, subject=None, family=None, expires_at=None)
        taken = an_entry()
        for entry in (plain, bare, taken):
            state.put(TOKEN, entry, NOW)
        state.take(TOKEN, taken.key, "client", NOW)
        for key, now, expected in (
            (plain.key, NOW, plain),
            (plain.key, NOW + 60, None),
            (bare.key, NOW, bare),
            (taken.key, NOW, None),
            (os.urandom(32), NOW, None),
        ):
            with state.ahead(TOKEN, key):
                assert self._ask(state, key, now) == expected

    def test_other_questions_get_their_own_answers(self, state: State) -> None:
        """Another key, another kind, and the same one a second time."""
        first, second = an_entry(), an_entry(data=b"second")
        address = replace(first, data=b"address")
        for kind, entry in ((TOKEN, first), (TOKEN, second), (ADDRESS, address)):
            state.put(kind, entry, NOW)
        with state.ahead(TOKEN, first.key):
            assert self._ask(state, second.key) == second
            assert state.get(ADDRESS, first.key, NOW) == address
            assert state.get(TOKEN, first.key, NOW) == first
            state.revoke(Index.KEY, first.key.hex())
            assert state.get(TOKEN, first.key, NOW) is None

    def test_nothing_is_kept_for_the_next_time(self, state: State) -> None:
        """What came along and was not asked for is forgotten."""
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        with state.ahead(TOKEN, entry.key):
            state.draw("bucket", 0, Rate(5, 60), NOW)
        state.revoke(Index.KEY, entry.key.hex())
        assert state.get(TOKEN, entry.key, NOW) is None
        with state.ahead(TOKEN, entry.key):
            assert state.get(TOKEN, entry.key, NOW) is None

    def test_it_says_as_much_of_a_bucket(self, state: State) -> None:
        """One that is empty refuses, with an entry in tow too."""
        state.draw("bucket", 5, Rate(5, 60), NOW)
        plainly = state.draw("bucket", 0, Rate(5, 60), NOW)
        with state.ahead(TOKEN, os.urandom(32)):
            assert state.draw("bucket", 0, Rate(5, 60), NOW) == plainly


class TestGuess:
    """What a thread takes for granted before it puts an entry counts only if it is so."""

    @staticmethod
    def _done(state: State, use: Callable[[], object]) -> bool:
        """Whether *use* was done by one who needs a try of the bucket to be left."""
        try:
            with state.guess():
                if not state.draw("bucket", 0, Rate(5, 60), NOW).allowed:
                    return False
                use()
        except WrongGuess:
            return False
        return True

    @staticmethod
    def _drawn(state: State, tries: int) -> None:
        assert state.draw("bucket", tries, Rate(5, 60), NOW).allowed

    @pytest.mark.parametrize("keep", [None, *(Keep(index, 1) for index in BY if index is not Index.KEY)], ids=str)
    @pytest.mark.parametrize("drawn", [0, 4])
    def test_entry_is_put_where_a_try_is_left(self, state: State, drawn: int, keep: Keep | None) -> None:
        """In a bucket that nobody has drawn from too; a limit holds as otherwise."""
        if drawn:
            self._drawn(state, drawn)
        old, new = an_entry(), an_entry()
        state.put(TOKEN, old, NOW)
        assert self._done(state, lambda: state.put(TOKEN, new, NOW, keep=keep))
        assert state.get(TOKEN, new.key, NOW) == new
        assert state.get(TOKEN, old.key, NOW) == (old if keep is None else None)

    @pytest.mark.parametrize("keep", [None, *(Keep(index, 1) for index in BY if index is not Index.KEY)], ids=str)
    def test_nothing_is_put_where_none_is(self, state: State, keep: Keep | None) -> None:
        """What was there stays as it was, what would have been displaced too; a minute later there is a try."""
        old = an_entry()
        state.put(TOKEN, old, NOW)
        self._drawn(state, 5)
        new = an_entry()
        assert not self._done(state, lambda: state.put(TOKEN, new, NOW, keep=keep))
        assert not self._done(state, lambda: state.put(TOKEN, an_entry(old.key, data=b"new"), NOW, keep=keep))
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [old]

    def test_everything_else_is_done_only_if_it_is_so(self, state: State) -> None:
        """One who comes second sees what the first did, and not what nobody did."""
        entry, once = an_entry(), OnceKey(os.urandom(32), NOW + 60)
        changed = replace(entry, data=b"changed")
        state.put(TOKEN, entry, NOW)
        self._drawn(state, 5)
        uses: list[Callable[[], object]] = [
            lambda: state.spend([once], NOW),
            lambda: state.swap(TOKEN, entry, changed, NOW),
            lambda: state.take(TOKEN, entry.key, "client", NOW),
            lambda: state.revoke(Index.KEY, entry.key.hex()),
            lambda: state.draw("other", 1, Rate(1, 60), NOW),
            lambda: state.get(TOKEN, entry.key, NOW),
            lambda: state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW),
            lambda: list(state.each(TOKEN, NOW)),
            lambda: state.draw("other", 0, Rate(1, 60), NOW),
            lambda: None,
        ]
        for use in uses:
            assert not self._done(state, use)
        assert state.spend([once], NOW) is None
        assert state.draw("other", 1, Rate(1, 60), NOW).allowed
        assert state.take(TOKEN, entry.key, "client", NOW) == Taken(entry, first=True)
        state.draw("bucket", -1, Rate(5, 60), NOW)
        for use in uses:
            assert self._done(state, use)

    def test_an_error_counts_only_if_it_is_so(self, state: State) -> None:
        """What was concluded from a wrong guess is no news; from a right one it is."""

        def conclude() -> None:
            raise ValueError("so be it")

        with pytest.raises(ValueError, match="so be it"):
            self._done(state, conclude)
        self._drawn(state, 5)
        assert not self._done(state, conclude)

    def test_nothing_is_taken_for_granted_after_it(self, state: State) -> None:
        """Neither when it was wrong, nor within it once it was found right."""
        self._drawn(state, 5)
        assert not self._done(state, lambda: state.put(TOKEN, an_entry(), NOW))
        assert not state.draw("bucket", 0, Rate(5, 60), NOW).allowed
        with state.guess():
            state.put(TOKEN, an_entry(), NOW)
            assert not state.draw("bucket", 0, Rate(5, 60), NOW).allowed

    def test_others_take_nothing_for_granted(self, state: State) -> None:
        """It is the business of one thread."""
        self._drawn(state, 5)
        with ThreadPoolExecutor(1) as other, suppress(WrongGuess), state.guess():
            assert not other.submit(state.draw, "bucket", 0, Rate(5, 60), NOW).result().allowed


class TestLimits:
    """put with Keep."""

    @pytest.mark.parametrize("index", [Index.SUBJECT, Index.CLIENT, Index.FAMILY])
    @pytest.mark.parametrize("newest", [1, 3])
    def test_only_the_newest_stay(self, state: State, index: Index, newest: int) -> None:
        """One more than the limit pushes the oldest out."""
        entries = [an_entry() for _ in range(newest + 2)]
        for entry in entries:
            state.put(TOKEN, entry, NOW, keep=Keep(index, newest))
        found = state.find(TOKEN, index, value_of(entries[0], index), EVERYTHING, NOW)
        assert found == entries[::-1][:newest]
        assert state.get(TOKEN, entries[0].key, NOW) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == found

    def test_limit_spares_other_kinds_and_values(self, state: State) -> None:
        """Only entries of the same kind and index value are counted and pushed out."""
        address, foreign, nobody = an_entry(), an_entry(client_id="other"), an_entry(client_id=None)
        state.put(ADDRESS, address, NOW)
        state.put(TOKEN, foreign, NOW)
        state.put(TOKEN, nobody, NOW)
        newest = an_entry()
        for entry in (an_entry(), newest):
            state.put(TOKEN, entry, NOW, keep=Keep(Index.CLIENT, 1))
        assert state.get(ADDRESS, address.key, NOW) == address
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [newest, nobody, foreign]

    def test_entry_without_a_value_is_not_limited(self, state: State) -> None:
        """What has no subject is not among the newest of any subject."""
        for _ in range(3):
            state.put(TOKEN, an_entry(subject=None), NOW, keep=Keep(Index.SUBJECT, 1))
        assert len(state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW)) == 3

    @pytest.mark.parametrize("index", [Index.SUBJECT, Index.CLIENT, Index.FAMILY])
    def test_expired_entries_take_nobodys_place(self, state: State, index: Index) -> None:
        """Newer ones that have died do not push out an older one that lives."""
        old, new = an_entry(), an_entry()
        state.put(TOKEN, old, NOW, keep=Keep(index, 3))
        for _ in range(2):
            state.put(TOKEN, an_entry(expires_at=NOW + 1), NOW, keep=Keep(index, 3))
        for _ in range(3):
            state.put(TOKEN, an_entry(client_id="other", subject="other", family=None, expires_at=NOW + 1), NOW)
        state.put(TOKEN, new, NOW + 1, keep=Keep(index, 3))
        assert state.find(TOKEN, index, value_of(old, index), EVERYTHING, NOW + 1) == [new, old]
        more = [an_entry() for _ in range(2)]
        for entry in more:
            state.put(TOKEN, entry, NOW + 1, keep=Keep(index, 3))
        assert state.find(TOKEN, index, value_of(old, index), EVERYTHING, NOW + 1) == [*more[::-1], new]

    def test_limit_leaves_the_dead_of_others_alone(self, state: State) -> None:
        """A taken entry that has expired, of another client or kind, is for the purge."""
        dead = [(TOKEN, an_entry(client_id="other", expires_at=NOW)), (ADDRESS, an_entry(expires_at=NOW))]
        for kind, entry in dead:
            state.put(kind, entry, NOW)
        for _ in range(2):
            state.put(TOKEN, an_entry(), NOW, keep=Keep(Index.CLIENT, 1))
        assert [state.get(kind, entry.key, NOW - 1) for kind, entry in dead] == [entry for _, entry in dead]

    def test_replaced_entry_counts_once(self, state: State) -> None:
        """Putting the same key again pushes nobody out."""
        other, entry = an_entry(), an_entry()
        state.put(TOKEN, other, NOW, keep=Keep(Index.CLIENT, 2))
        for _ in range(3):
            state.put(TOKEN, entry, NOW, keep=Keep(Index.CLIENT, 2))
        assert state.find(TOKEN, Index.CLIENT, "client", EVERYTHING, NOW) == [entry, other]

    @proves("S-137")
    @pytest.mark.parametrize("index", [index for index in BY if index is not Index.KEY])
    def test_who_is_a_day_ahead_displaces_no_more_than_others(self, state: State, index: Index) -> None:
        """What only its clock takes for dead lives for the others."""
        now = int(time.time())
        entries = [an_entry(expires_at=now + 3600) for _ in range(4)]
        for entry in entries:
            state.put(TOKEN, entry, now)
        ahead = an_entry(expires_at=now + 90_000)
        state.put(TOKEN, ahead, now + 86_400, keep=Keep(index, 3))
        living = state.find(TOKEN, index, value_of(ahead, index), EVERYTHING, now)
        assert living[:3] == [ahead, entries[3], entries[2]]


class TestTaking:
    """take."""

    def test_only_the_first_take_redeems(self, state: State) -> None:
        """Each later one gets the entry too, marked as a replay."""
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        taken = [state.take(TOKEN, entry.key, "client", NOW) for _ in range(3)]
        assert taken == [Taken(entry, True), Taken(entry, False), Taken(entry, False)]

    def test_replay_is_recognised_until_the_entry_expires(self, state: State) -> None:
        """A purge before that leaves the mark; one after it forgets everything."""
        entry = an_entry(expires_at=NOW + 60)
        state.put(TOKEN, entry, NOW)
        state.take(TOKEN, entry.key, "client", NOW)
        state.purge(NOW + 59, 100)
        assert state.take(TOKEN, entry.key, "client", NOW + 59) == Taken(entry, False)
        assert state.take(TOKEN, entry.key, "client", NOW + 60) is None
        assert state.purge(NOW + 60, 100) >= 1  # the mark may be something of its own
        assert state.take(TOKEN, entry.key, "client", NOW + 59) is None

    @pytest.mark.parametrize(
        ("owner", "other"), [("client", "another"), ("client", None), (None, "client"), (None, "")]
    )
    def test_wrong_client_uses_nothing_up(self, state: State, owner: str | None, other: str | None) -> None:
        """It learns nothing, and the right one can still redeem."""
        entry = an_entry(client_id=owner)
        state.put(TOKEN, entry, NOW)
        assert state.take(TOKEN, entry.key, other, NOW) is None
        assert state.take(TOKEN, entry.key, owner, NOW) == Taken(entry, True)
        assert state.take(TOKEN, entry.key, other, NOW) is None

    def test_unknown_or_other_kind_cannot_be_taken(self, state: State) -> None:
        """There is nothing to redeem."""
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        assert state.take(TOKEN, os.urandom(32), "client", NOW) is None
        assert state.take(ADDRESS, entry.key, "client", NOW) is None

    def test_taken_entry_is_out_of_sight(self, state: State) -> None:
        """get, find and swap treat it as gone."""
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        state.take(TOKEN, entry.key, "client", NOW)
        assert state.get(TOKEN, entry.key, NOW) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []
        assert not state.swap(TOKEN, entry, replace(entry, data=b"new"), NOW)

    def test_revoked_entry_cannot_be_taken(self, state: State) -> None:
        """Revocation reaches entries that are taken and those that are not."""
        fresh, used = an_entry(), an_entry()
        for entry in (fresh, used):
            state.put(TOKEN, entry, NOW)
        state.take(TOKEN, used.key, "client", NOW)
        state.revoke(Index.CLIENT, "client")
        assert [state.take(TOKEN, entry.key, "client", NOW) for entry in (fresh, used)] == [None, None]


class TestSwapping:
    """swap."""

    def test_swap_replaces_what_is_still_there(self, state: State) -> None:
        """Data, expiry and indexes are the new entry's."""
        old = an_entry()
        new = an_entry(old.key, data=b"new", expires_at=NOW + 600, client_id="other", subject=None)
        state.put(TOKEN, old, NOW)
        assert state.swap(TOKEN, old, new, NOW)
        assert state.get(TOKEN, old.key, NOW + 60) == new
        assert state.find(TOKEN, Index.CLIENT, "other", EVERYTHING, NOW) == [new]
        assert state.find(TOKEN, Index.CLIENT, "client", EVERYTHING, NOW) == []
        assert state.find(TOKEN, Index.SUBJECT, "subject", EVERYTHING, NOW) == []

    def test_swap_refuses_other_data(self, state: State) -> None:
        """Who has not seen the latest change must not undo it."""
        first = an_entry(data=b"first")
        second, third = replace(first, data=b"second"), replace(first, data=b"third")
        state.put(TOKEN, first, NOW)
        assert state.swap(TOKEN, first, second, NOW)
        assert not state.swap(TOKEN, first, third, NOW)
        assert state.get(TOKEN, first.key, NOW) == second

    def test_swap_does_not_bring_back_the_dead(self, state: State) -> None:
        """An entry that was revoked meanwhile, or never was, stays away."""
        entry = an_entry()
        assert not state.swap(TOKEN, entry, replace(entry, data=b"new"), NOW)
        state.put(TOKEN, entry, NOW)
        state.revoke(Index.KEY, entry.key.hex())
        assert not state.swap(TOKEN, entry, replace(entry, data=b"new"), NOW)
        assert state.get(TOKEN, entry.key, NOW) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []

    def test_swap_leaves_the_expired_dead(self, state: State) -> None:
        """It is dead from the second of its expiry, purged or not."""
        entry = an_entry(expires_at=NOW + 60)
        longer = replace(entry, data=b"new", expires_at=NOW + 600)
        state.put(TOKEN, entry, NOW)
        assert not state.swap(TOKEN, entry, longer, NOW + 60)
        assert state.get(TOKEN, entry.key, NOW + 60) is None
        assert state.swap(TOKEN, entry, longer, NOW + 59)

    def test_swap_is_of_one_kind(self, state: State) -> None:
        """An entry of another kind with the same key and data is not it."""
        entry = an_entry()
        state.put(TOKEN, entry, NOW)
        assert not state.swap(ADDRESS, entry, replace(entry, data=b"new"), NOW)
        assert state.get(TOKEN, entry.key, NOW) == entry

    def test_swapped_entry_keeps_its_place(self, state: State) -> None:
        """A change does not make an entry the newest."""
        newer, older = put_many(state, 2)
        changed = replace(older, data=b"changed")
        state.swap(TOKEN, older, changed, NOW)
        for index, value in ((Index.ALL, ""), (Index.CLIENT, "client")):
            assert state.find(TOKEN, index, value, EVERYTHING, NOW) == [newer, changed]


class TestSpending:
    """spend."""

    def test_value_counts_once(self, state: State) -> None:
        """The second use is told which value it was."""
        once = OnceKey(b"jti", NOW + 60)
        assert state.spend([once], NOW) is None
        assert state.spend([once], NOW) == once

    def test_all_or_none_are_remembered(self, state: State) -> None:
        """If one is known, the others can still be used, wherever it stands among them."""
        known, before, after = (OnceKey(name, NOW + 60) for name in (b"known", b"before", b"after"))
        state.spend([known], NOW)
        assert state.spend([before, known, after], NOW) == known
        assert state.spend([before, after], NOW) is None
        assert state.spend([after], NOW) == after

    def test_value_is_free_again_when_it_has_expired(self, state: State) -> None:
        """It counts from the second of its expiry, purged or not, and then once more."""
        state.spend([OnceKey(b"jti", NOW + 60)], NOW)
        again = OnceKey(b"jti", NOW + 120)
        assert state.spend([again], NOW + 59) == again
        assert state.spend([again], NOW + 60) is None
        assert state.spend([again], NOW + 119) == again

    def test_nothing_spent_is_nothing_known(self, state: State) -> None:
        """A request without one-time values passes."""
        assert state.spend([], NOW) is None

    def test_spent_values_are_no_entries(self, state: State) -> None:
        """They are not found, and revoking everything leaves them spent."""
        once = OnceKey(b"x" * 32, NOW + 60)
        state.spend([once], NOW)
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []
        state.revoke(Index.ALL, "")
        assert state.spend([once], NOW) == once


class TestFinding:
    """find."""

    @pytest.mark.parametrize("index", [Index.ALL, Index.SUBJECT, Index.CLIENT, Index.FAMILY])
    def test_newest_come_first_page_by_page(self, state: State, index: Index) -> None:
        """Limit and offset cut the one list of all matches."""
        entries = put_many(state, 7)
        value = "ignored" if index is Index.ALL else value_of(entries[0], index)
        assert state.find(TOKEN, index, value, Page(), NOW) == entries
        assert state.find(TOKEN, index, value, Page(limit=3), NOW) == entries[:3]
        assert state.find(TOKEN, index, value, Page(limit=3, offset=3), NOW) == entries[3:6]
        assert state.find(TOKEN, index, value, Page(limit=3, offset=6), NOW) == entries[6:]
        assert state.find(TOKEN, index, value, Page(limit=3, offset=7), NOW) == []

    def test_long_lists_are_paged_exactly(self, state: State) -> None:
        """No entry is lost or doubled where the store reads in batches."""
        entries = put_many(state, 250)
        pages = [state.find(TOKEN, Index.CLIENT, "client", Page(60, offset), NOW) for offset in range(0, 300, 60)]
        assert [entry for page in pages for entry in page] == entries

    def test_far_pages_of_long_lists_are_exact(self, state: State) -> None:
        """Also where what is skipped is more than a store reads at once."""
        entries = put_many(state, 2300)
        for offset in (0, 990, 1000, 1001, 2200, 2300):
            assert state.find(TOKEN, Index.ALL, "", Page(150, offset), NOW) == entries[offset : offset + 150]

    def test_keys_are_found_by_a_prefix_of_any_length(self, state: State) -> None:
        """Even and odd numbers of hex digits, none and all of them."""
        names = ("ab12", "ab13", "ab20", "ac00", "ff00", "0000")
        entries = {name: an_entry(bytes.fromhex(name.ljust(64, name[-1]))) for name in names}
        for entry in entries.values():
            state.put(TOKEN, entry, NOW)
            state.put(ADDRESS, entry, NOW)

        def found(prefix: str) -> list[Entry]:
            return list(state.find(TOKEN, Index.KEY, prefix, EVERYTHING, NOW))

        newest_first = list(entries.values())[::-1]
        assert found("") == newest_first
        assert found("a") == [entries["ac00"], entries["ab20"], entries["ab13"], entries["ab12"]]
        assert found("ab") == [entries["ab20"], entries["ab13"], entries["ab12"]]
        assert found("ab1") == [entries["ab13"], entries["ab12"]]
        assert found(entries["ab12"].key.hex()) == [entries["ab12"]]
        assert (found("f"), found("0")) == ([entries["ff00"]], [entries["0000"]])
        assert found("b") == []
        assert list(state.find(TOKEN, Index.KEY, "ab", Page(1, 1), NOW)) == [entries["ab13"]]

    def test_dead_entries_take_no_room(self, state: State) -> None:
        """Expired and taken ones are neither shown nor counted as offset."""
        entries = put_many(state, 3)
        expired, taken, last = an_entry(expires_at=NOW), an_entry(), an_entry()
        for entry in (expired, taken, last):
            state.put(TOKEN, entry, NOW)
        state.take(TOKEN, taken.key, "client", NOW)
        for index, value in ((Index.ALL, ""), (Index.CLIENT, "client"), (Index.KEY, "")):
            assert state.find(TOKEN, index, value, Page(2, 1), NOW) == entries[:2]

    @pytest.mark.parametrize("value", ["clien", "client%", "client_", "client*", "CLIENT", "", "Client "])
    def test_values_match_as_a_whole(self, state: State, value: str) -> None:
        """No pattern, no prefix, no other case reaches another client's entries."""
        put_many(state, 1)
        assert state.find(TOKEN, Index.CLIENT, value, EVERYTHING, NOW) == []
        assert state.revoke(Index.CLIENT, value) == 0
        assert len(state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW)) == 1

    def test_other_kinds_are_not_found(self, state: State) -> None:
        """Each kind is a list of its own."""
        token, address = an_entry(), an_entry()
        state.put(TOKEN, token, NOW)
        state.put(ADDRESS, address, NOW)
        for index, value in ((Index.ALL, ""), (Index.SUBJECT, "subject"), (Index.KEY, "")):
            assert state.find(TOKEN, index, value, EVERYTHING, NOW) == [token]
            assert state.find(ADDRESS, index, value, EVERYTHING, NOW) == [address]


class TestEach:
    """each."""

    def test_every_living_entry_of_the_kind_comes_newest_first(self, state: State) -> None:
        """Those that are taken, expired or of another kind stay out, over several batches of the store."""
        entries = put_many(state, 2100)
        taken = an_entry()
        for kind, entry in ((TOKEN, taken), (TOKEN, an_entry(expires_at=NOW)), (ADDRESS, an_entry())):
            state.put(kind, entry, NOW)
        state.take(TOKEN, taken.key, "client", NOW)
        assert list(state.each(TOKEN, NOW)) == entries

    def test_entries_that_come_and_go_hide_nobody(self, state: State) -> None:
        """Of many that live from beginning to end each is seen once, while others are added and deleted."""
        entries = put_many(state, 2500, client_id="lasting")
        doomed = put_many(state, 600, client_id="doomed")
        seen = []
        for number, entry in enumerate(state.each(TOKEN, NOW)):
            seen.append(entry)
            if number == 10:
                state.revoke(Index.CLIENT, "doomed")
                put_many(state, 300, client_id="newcomer")
        assert [entry for entry in seen if entry.client_id == "lasting"] == entries
        assert len(seen) == len({entry.key for entry in seen}) <= len(entries) + len(doomed)

    def test_nothing_is_nothing(self, state: State) -> None:
        """An empty store has an end."""
        assert list(state.each(TOKEN, NOW)) == []

    @pytest.mark.parametrize("batch", [1, 3, 1000])
    @pytest.mark.parametrize("index", [Index.ALL, Index.SUBJECT, Index.CLIENT, Index.FAMILY])
    def test_those_under_a_value_come_newest_first(self, state: State, index: Index, batch: int) -> None:
        """However many are read at once; no dead ones, none of another kind or value."""
        others = {"client_id": "other", "subject": "other", "family": b"o" * 32}
        entries = []
        for _ in range(7):
            entries = [*put_many(state, 1), *entries]
            put_many(state, 1, expires_at=NOW)
            state.put(ADDRESS, an_entry(), NOW)
            if index is not Index.ALL:
                put_many(state, 1, **others)
        assert list(state.each(TOKEN, NOW, index, value_of(entries[0], index), batch=batch)) == entries
        if index is not Index.ALL:
            assert list(state.each(TOKEN, NOW, index, b"x".hex() * 32, batch=batch)) == []


class TestRevoking:
    """revoke."""

    @pytest.mark.parametrize("index", [*BY, Index.ALL])
    def test_one_kind_can_be_spared(self, state: State, index: Index) -> None:
        """Of one key, client, … only the entries of the kind that is named die, and only they are counted."""
        token, address = an_entry(), an_entry()
        if index is Index.KEY:
            address = replace(address, key=token.key)
        for kind, entry in ((ADDRESS, address), (TOKEN, token)):
            state.put(kind, entry, NOW)
        assert state.revoke(index, value_of(token, index), TOKEN) == 1
        assert state.get(TOKEN, token.key, NOW) is None
        assert state.find(ADDRESS, Index.ALL, "", EVERYTHING, NOW) == [address]
        assert state.revoke(index, value_of(token, index), TOKEN) == 0
        assert state.revoke(index, value_of(token, index), ADDRESS) == 1

    @pytest.mark.parametrize("index", BY)
    def test_everything_under_a_value_dies(self, state: State, index: Index) -> None:
        """Entries of every kind, and no others; the answer is their number."""
        first, second = an_entry(), an_entry()
        if index is Index.KEY:
            second = replace(second, key=first.key)
        other = an_entry(client_id="other", subject="other", family=b"o" * 32)
        bare = an_entry(client_id=None, subject=None, family=None)
        for kind, entry in ((TOKEN, first), (ADDRESS, second), (TOKEN, other), (TOKEN, bare)):
            state.put(kind, entry, NOW)
        assert state.revoke(index, value_of(first, index)) == 2
        assert state.get(TOKEN, first.key, NOW) is None
        assert state.get(ADDRESS, second.key, NOW) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [bare, other]
        assert state.find(ADDRESS, Index.ALL, "", EVERYTHING, NOW) == []
        assert state.revoke(index, value_of(first, index)) == 0

    def test_all_dies(self, state: State) -> None:
        """Index.ALL spares no kind."""
        entries = put_many(state, 3)
        state.put(ADDRESS, an_entry(), NOW)
        assert state.revoke(Index.ALL, "") == 4
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == []
        assert state.get(TOKEN, entries[0].key, NOW) is None

    def test_many_die_at_once(self, state: State) -> None:
        """Clients with more entries than a store deletes in one go have none left."""
        put_many(state, 1100)
        other = an_entry(client_id="other")
        state.put(TOKEN, other, NOW)
        put_many(state, 1100, client_id="third")
        assert state.revoke(Index.CLIENT, "client") == 1100
        assert state.revoke(Index.CLIENT, "third", TOKEN) == 1100
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [other]

    @pytest.mark.parametrize("length", [0, 1, 2, 63])
    def test_part_of_a_key_revokes_nothing(self, state: State, length: int) -> None:
        """Only find takes a prefix; a slip must not log everybody out."""
        (entry,) = put_many(state, 1)
        assert state.revoke(Index.KEY, entry.key.hex()[:length]) == 0
        assert state.get(TOKEN, entry.key, NOW) == entry

    def test_revoked_key_can_be_put_again(self, state: State) -> None:
        """Revocation ends an entry, not its key."""
        (entry,) = put_many(state, 1)
        state.revoke(Index.FAMILY, value_of(entry, Index.FAMILY))
        state.put(TOKEN, entry, NOW)
        assert state.find(TOKEN, Index.FAMILY, value_of(entry, Index.FAMILY), EVERYTHING, NOW) == [entry]


class TestDrawing:
    """draw."""

    RATE = Rate(burst=3, refill=10)

    def test_burst_goes_at_once_and_then_one_by_one(self, state: State) -> None:
        """After the burst, each refill time brings one more try."""
        assert all(state.draw("b", 1, self.RATE, NOW).allowed for _ in range(3))
        assert state.draw("b", 1, self.RATE, NOW) == Allowance(False, 10)
        assert state.draw("b", 1, self.RATE, NOW + 9) == Allowance(False, 1)
        assert state.draw("b", 1, self.RATE, NOW + 10) == Allowance(True, 0)
        assert state.draw("b", 1, self.RATE, NOW + 10) == Allowance(False, 10)

    def test_full_bucket_does_not_overflow(self, state: State) -> None:
        """A long pause brings the burst back, and no more."""
        state.draw("b", 3, self.RATE, NOW)
        later = NOW + 10_000
        assert [state.draw("b", 1, self.RATE, later).allowed for _ in range(4)] == [True, True, True, False]

    def test_cost_is_covered_as_a_whole_or_not_at_all(self, state: State) -> None:
        """A refused cost takes nothing, and the wait is for all of it."""
        assert state.draw("b", 2, self.RATE, NOW).allowed
        assert state.draw("b", 3, self.RATE, NOW) == Allowance(False, 20)
        assert state.draw("b", 1, self.RATE, NOW) == Allowance(True, 0)

    def test_cost_above_the_burst_is_never_covered(self, state: State) -> None:
        """Not even a full bucket holds it."""
        answer = state.draw("b", 4, self.RATE, NOW)
        assert not answer.allowed
        assert answer.retry_after >= 1
        assert state.draw("b", 3, self.RATE, NOW).allowed

    def test_asking_takes_nothing(self, state: State) -> None:
        """A cost of 0 tells whether one try would be allowed, and when."""
        for _ in range(10):
            assert state.draw("b", 0, self.RATE, NOW) == Allowance(True, 0)
        state.draw("b", 3, self.RATE, NOW)
        assert state.draw("b", 0, self.RATE, NOW + 4) == Allowance(False, 6)
        assert state.draw("b", 0, self.RATE, NOW + 10) == Allowance(True, 0)

    def test_giving_back_undoes_a_draw(self, state: State) -> None:
        """It is always allowed."""
        state.draw("b", 3, self.RATE, NOW)
        assert state.draw("b", -2, self.RATE, NOW) == Allowance(True, 0)
        assert [state.draw("b", 1, self.RATE, NOW).allowed for _ in range(3)] == [True, True, False]

    def test_giving_back_does_not_overfill(self, state: State) -> None:
        """Neither a known nor an unknown bucket holds more than the burst."""
        state.draw("known", 1, self.RATE, NOW)
        for bucket in ("known", "unknown"):
            assert state.draw(bucket, -5, self.RATE, NOW) == Allowance(True, 0)
            assert [state.draw(bucket, 1, self.RATE, NOW).allowed for _ in range(4)] == [True, True, True, False]

    def test_buckets_are_independent(self, state: State) -> None:
        """What one address draws is nobody else's loss."""
        state.draw("a", 3, self.RATE, NOW)
        assert not state.draw("a", 1, self.RATE, NOW).allowed
        assert state.draw("A", 3, self.RATE, NOW).allowed
        assert state.draw("a:", 3, self.RATE, NOW).allowed

    def test_any_sequence_of_draws_follows_the_rule(self, state: State) -> None:
        """Three hundred mixed draws over time agree with the rule as written down here."""
        random, now, full_at = Random(7), NOW, 0
        for step in range(300):
            now += random.choice((0, 0, 1, 5, 13))
            cost = random.choice((-1, 0, 1, 1, 2, 3))
            start = max(full_at, now)
            wait = start + max(cost, 1) * 10 - 3 * 10 - now
            expected = Allowance(wait <= 0, max(wait, 0)) if cost >= 0 else Allowance(True, 0)
            assert state.draw("b", cost, self.RATE, now) == expected, (step, cost)
            if expected.allowed:
                full_at = max(start + cost * 10, now)

    @proves("S-137")
    @pytest.mark.parametrize("cost", [0, 1])
    def test_a_bucket_that_a_wrong_clock_has_emptied_heals(self, state: State, cost: int) -> None:
        """Whoever drew from it a day ahead leaves it empty for others, and no emptier."""
        assert state.draw("b", 1, self.RATE, NOW + 86_400).allowed
        assert state.draw("b", cost, self.RATE, NOW) == Allowance(False, 10)
        assert state.draw("b", cost, self.RATE, NOW + 10) == Allowance(True, 0)

    def test_what_others_draw_is_seen_at_once(self, state: State, open_state: Callable[[], State]) -> None:
        """Also by one who has just asked, again and again, and seen a full bucket."""
        other = open_state()
        for round_ in range(3):
            bucket, later = f"b{round_}", NOW + 100 * round_
            assert [other.draw(bucket, 0, self.RATE, later).allowed for _ in range(3)] == [True] * 3
            state.draw(bucket, 3, self.RATE, later)
            assert other.draw(bucket, 0, self.RATE, later) == Allowance(False, 10)
            assert other.draw("another", 0, self.RATE, later) == Allowance(True, 0)
        other.close()


class TestPurging:
    """purge."""

    def test_only_what_has_expired_goes(self, state: State) -> None:
        """Entries, once-only values and full buckets are counted; the living stay as they were."""
        living, for_ever, dead = an_entry(expires_at=NOW + 61), an_entry(expires_at=None), an_entry(expires_at=NOW + 60)
        for entry in (living, for_ever, dead):
            state.put(TOKEN, entry, NOW)
        state.spend([OnceKey(b"dead", NOW + 60), OnceKey(b"living", NOW + 61)], NOW)
        state.draw("full", 1, Rate(5, 60), NOW)
        state.draw("not full", 1, Rate(1, 61), NOW)
        assert state.purge(NOW + 59, 100) == 0
        assert state.purge(NOW + 60, 100) == 3
        assert state.purge(NOW + 60, 100) == 0
        assert state.get(TOKEN, dead.key, NOW) is None
        assert state.find(TOKEN, Index.ALL, "", EVERYTHING, NOW) == [for_ever, living]
        assert state.spend([OnceKey(b"living", NOW + 90)], NOW + 60) == OnceKey(b"living", NOW + 90)
        assert state.draw("not full", 1, Rate(1, 61), NOW + 60) == Allowance(False, 1)

    def test_purge_goes_in_batches(self, state: State) -> None:
        """Never more than the limit, over all sorts of things together."""
        put_many(state, 5)
        state.spend([OnceKey(b"%d" % number, NOW + 60) for number in range(5)], NOW)
        for number in range(5):
            state.draw(f"bucket {number}", 1, Rate(1, 60), NOW)
        assert [state.purge(NOW + 60, 4) for _ in range(5)] == [4, 4, 4, 3, 0]

    def test_purged_entries_leave_nothing_behind(self, state: State) -> None:
        """No index leads to them."""
        entries = put_many(state, 3)
        state.purge(NOW + 60, 100)
        for index in BY:
            assert state.find(TOKEN, index, value_of(entries[0], index), EVERYTHING, NOW) == []
            assert state.revoke(index, value_of(entries[0], index)) == 0
