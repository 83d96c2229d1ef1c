"""What every Records does with keys for verification codes, alone and among processes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from auth_server.errors import NotFound
from auth_server.store.records import Passcode, Records, User
from tests import proves
from tests.store.conformance.crowd import Crowd
from tests.store.conformance.records import NOW, a_user

ROUNDS = 30
WAITING = Passcode("u1", b"sealed", "hash", NOW, NOW)
VERIFIED = replace(WAITING, last_step=7, verified_at=NOW + 1, updated_at=NOW + 1)


@pytest.fixture
def jane(records: Records) -> User:
    """An account without a second factor."""
    return records.users.add(a_user("u1"))


def with_factor(user: User) -> User:
    """The account when its key is in force."""
    return replace(user, auth_method="2fa", password_version=user.password_version + 1)


def without_factor(user: User) -> User:
    """The account when its key is gone."""
    return replace(user, auth_method="default")


def activated(records: Records, passcode: Passcode = VERIFIED) -> Passcode:
    """Keep a key and put it in force."""
    records.passcodes.put(passcode)
    assert records.passcodes.activate(passcode, NOW + 2, with_factor) is not None
    active = records.passcodes.get(passcode.uid, active=True)
    assert active is not None
    return active


def _redeem_each(records: Records, _: int) -> list[bool]:
    passcode = records.passcodes.get("u1", active=True)
    assert passcode is not None
    return [records.passcodes.redeem(passcode, 100 + number) for number in range(ROUNDS)]


def _remove_each(records: Records, _: int) -> list[bool]:
    """Use the recovery codes of many accounts."""
    removed = []
    for number in range(ROUNDS):
        only = replace(VERIFIED, uid=f"v{number}", active=True)
        removed.append(records.passcodes.remove(only.uid, without_factor, only=only) is not None)
    return removed


def _make_and_take_away(records: Records, process: int) -> None:
    """Put new keys in force and take them away again, while others do the same."""
    for number in range(ROUNDS // 3):  # each is three transactions that SQLite's writers queue up for
        mine = replace(VERIFIED, sealed=b"%d %d" % (process, number))
        records.passcodes.put(mine)
        records.passcodes.activate(mine, NOW, with_factor)
        records.passcodes.remove("u1", without_factor)


class TestPasscodes:
    """records.passcodes."""

    def test_a_key_that_waits_comes_back(self, records: Records, jane: User) -> None:
        """Beside it there is none in force; a new one takes its place."""
        assert records.passcodes.get("u1", active=False) is None
        records.passcodes.put(WAITING)
        assert records.passcodes.get("u1", active=False) == WAITING
        assert records.passcodes.get("u1", active=True) is None
        other = replace(VERIFIED, sealed=b"other", type="other")
        records.passcodes.put(other)
        assert records.passcodes.get("u1", active=False) == other
        assert records.users.get("u1") == jane

    def test_a_key_belongs_to_an_account(self, records: Records, jane: User) -> None:
        """Nobody's is not kept, and with the account all of its keys go."""
        activated(records)
        records.passcodes.put(replace(WAITING, sealed=b"other"))
        assert records.users.remove("u1")
        assert [records.passcodes.get("u1", active=active) for active in (True, False)] == [None, None]
        with pytest.raises(NotFound):
            records.passcodes.put(WAITING)
        assert records.passcodes.activate(VERIFIED, NOW, with_factor) is None
        assert records.passcodes.remove("u1", without_factor) is None

    @proves("S-070")
    def test_a_step_is_redeemed_once_and_none_before_it(self, records: Records, jane: User) -> None:
        """Also after another key has come and gone; the generation stands still."""
        passcode = activated(records)
        before = records.generation()
        assert [records.passcodes.redeem(passcode, step) for step in (7, 9, 9, 8, 10)] == [
            False,
            True,
            False,
            False,
            True,
        ]
        assert records.generation() == before
        assert records.passcodes.get("u1", active=True) == replace(passcode, last_step=10)

    @pytest.mark.parametrize("members", [{"sealed": b"other"}, {"active": True}, {"uid": "u2"}])
    def test_only_this_very_key_is_redeemed(self, records: Records, jane: User, members: dict[str, Any]) -> None:
        """A code of a key that was replaced meanwhile uses up nothing of the new one."""
        records.passcodes.put(WAITING)
        assert not records.passcodes.redeem(replace(WAITING, **members), 5)
        assert records.passcodes.get("u1", active=False) == WAITING

    def test_a_key_is_verified_with_its_first_code(self, records: Records, jane: User) -> None:
        """In the same statement, and not with a code that was used."""
        records.passcodes.put(WAITING)
        assert records.passcodes.redeem(WAITING, 7, verified_at=NOW + 1)
        assert not records.passcodes.redeem(WAITING, 7, verified_at=NOW + 2)
        assert records.passcodes.get("u1", active=False) == VERIFIED

    def test_an_activated_key_takes_the_place_of_the_one_before(self, records: Records, jane: User) -> None:
        """The account changes with it, and the generation moves."""
        activated(records, replace(VERIFIED, sealed=b"before"))
        records.passcodes.put(VERIFIED)
        generation = records.generation()
        user = records.passcodes.activate(VERIFIED, NOW + 2, with_factor)
        assert user == replace(jane, auth_method="2fa", password_version=3)
        assert records.users.get("u1") == user
        assert records.generation() > generation
        active = replace(VERIFIED, active=True, activated_at=NOW + 2, updated_at=NOW + 2)
        assert records.passcodes.get("u1", active=True) == active
        assert records.passcodes.get("u1", active=False) is None

    def test_what_is_not_ready_is_not_activated(self, records: Records, jane: User) -> None:
        """A key that is not verified, is another one by now, or is in force already; the account stays as it is."""
        records.passcodes.put(WAITING)
        generation = records.generation()
        assert records.passcodes.activate(WAITING, NOW, with_factor) is None
        assert records.passcodes.activate(replace(WAITING, sealed=b"other"), NOW, with_factor) is None
        assert (records.users.get("u1"), records.generation()) == (jane, generation)
        active = activated(records)
        user = records.users.get("u1")
        assert records.passcodes.activate(active, NOW, with_factor) is None
        assert records.users.get("u1") == user

    def test_removed_keys_change_the_account(self, records: Records, jane: User) -> None:
        """The one in force and the one that waits; the second time there is nothing."""
        activated(records)
        records.passcodes.put(WAITING)
        generation = records.generation()
        user = records.passcodes.remove("u1", without_factor)
        assert user == replace(jane, password_version=2)
        assert records.users.get("u1") == user
        assert records.generation() > generation
        assert [records.passcodes.get("u1", active=active) for active in (True, False)] == [None, None]
        assert records.passcodes.remove("u1", without_factor) is None

    def test_a_change_that_fails_removes_and_activates_nothing(self, records: Records, jane: User) -> None:
        """What was written before it in the transaction is taken back."""

        def fail(user: User) -> User:
            raise ValueError

        records.passcodes.put(VERIFIED)
        with pytest.raises(ValueError):
            records.passcodes.activate(VERIFIED, NOW, fail)
        assert records.passcodes.get("u1", active=False) == VERIFIED
        active = activated(records)
        with pytest.raises(ValueError):
            records.passcodes.remove("u1", fail)
        assert records.passcodes.get("u1", active=True) == active

    @proves("S-070")
    def test_one_process_redeems_each_step(
        self, records: Records, jane: User, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """However many replicas are shown the code at the same instant."""
        activated(records)
        won = crowd.run(_redeem_each, open_records)
        assert all(sum(column) <= 1 for column in zip(*won, strict=True))
        assert sum(column[-1] for column in won) == 1
        left = records.passcodes.get("u1", active=True)
        assert left is not None
        assert left.last_step == 100 + ROUNDS - 1

    def test_one_process_uses_each_recovery_code(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """However many replicas are shown it at the same instant."""
        for number in range(ROUNDS):
            records.users.add(a_user(f"v{number}"))
            activated(records, replace(VERIFIED, uid=f"v{number}"))
        won = crowd.run(_remove_each, open_records)
        assert [sum(column) for column in zip(*won, strict=True)] == [1] * ROUNDS

    def test_nobody_waits_in_a_circle(
        self, records: Records, jane: User, open_records: Callable[[], Records], crowd: Crowd
    ) -> None:
        """Keys are made, put in force and taken away at once, and account and keys fit in the end."""
        crowd.run(_make_and_take_away, open_records)
        records.passcodes.remove("u1", without_factor)
        user = records.users.get("u1")
        assert user is not None
        assert user.auth_method == "default"
        assert records.passcodes.get("u1", active=True) is None
