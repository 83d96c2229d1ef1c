"""What every Records does with initial access tokens, and with self-registered clients that nobody uses."""

import os
from collections.abc import Callable
from dataclasses import replace

from auth_server.store.records import InitialToken, Records
from tests import proves
from tests.store.conformance.crowd import Crowd
from tests.store.conformance.grants import CONSENT, FAMILY
from tests.store.conformance.records import NOW, a_client, a_user

TOKEN = InitialToken(b"k" * 32, uses=20, expires_at=NOW + 10)


def _use_often(records: Records, _: int) -> list[bool]:
    return [records.initial_tokens.use(TOKEN.key, NOW) for _ in range(10)]


class TestRegistrations:
    """Initial access tokens, and `reap`."""

    def test_a_token_has_its_uses_and_no_more(self, records: Records):
        """Until it expires; unknown ones have none."""
        records.initial_tokens.add(replace(TOKEN, uses=2))
        assert records.initial_tokens.get(TOKEN.key) == replace(TOKEN, uses=2)
        assert not records.initial_tokens.use(TOKEN.key, NOW + 10)
        assert [records.initial_tokens.use(TOKEN.key, NOW) for _ in range(3)] == [True, True, False]
        assert not records.initial_tokens.use(os.urandom(32), NOW)

    def test_expired_tokens_are_purged(self, records: Records):
        """A few at a time; what counts stays."""
        for number in range(3):
            records.initial_tokens.add(replace(TOKEN, key=os.urandom(32), expires_at=NOW - number))
        records.initial_tokens.add(TOKEN)
        assert [records.initial_tokens.purge(NOW, 2) for _ in range(3)] == [2, 1, 0]
        assert records.initial_tokens.get(TOKEN.key) == TOKEN

    @proves("S-081")
    def test_processes_share_the_uses(self, records: Records, open_records: Callable[[], Records], crowd: Crowd):
        """However many ask at once."""
        records.initial_tokens.add(TOKEN)
        answers = crowd.run(_use_often, open_records)
        assert sum(used for answer in answers for used in answer) == TOKEN.uses

    @proves("S-091")
    def test_clients_with_grants_are_not_reaped(self, records: Records):
        """Consents and refresh tokens keep one; it is looked at again later."""
        records.users.add(a_user("u1"))
        for number in range(5):
            records.clients.add(replace(a_client(f"c{number}"), unused_until=NOW - number))
        records.clients.add(a_client("c5"))
        records.consents.put(CONSENT)
        records.refresh_families.add(replace(FAMILY, client_id="c2"))
        assert records.clients.unused(NOW - 1, 2) == ["c4", "c3"]
        generation = records.generation()
        due = records.clients.unused(NOW, 9)
        assert sorted(records.clients.reap(due, NOW + 5, keep=["c4"])) == ["c0", "c3"]
        assert records.generation() != generation
        assert [number for number in range(6) if records.clients.get(f"c{number}")] == [1, 2, 4, 5]
        assert records.clients.unused(NOW + 4, 9) == []
        assert sorted(records.clients.unused(NOW + 5, 9)) == ["c1", "c2", "c4"]
