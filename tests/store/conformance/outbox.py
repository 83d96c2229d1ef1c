"""What every Records does with what clients must still be told, alone and among processes."""

from collections.abc import Callable
from dataclasses import replace

from auth_server.store.records import Delivery, Records
from tests import proves
from tests.store.conformance.crowd import Crowd
from tests.store.conformance.records import NOW

ROUNDS = 30
MESSAGE = Delivery("c1", b"data", NOW, due_at=NOW, ends_at=NOW + 100)


def _claim_all(records: Records, _: int) -> list[int]:
    claimed = []
    while (one := records.outbox.claim("c1", NOW, NOW + 30)) is not None:
        claimed.append(one.number)
    return claimed


class TestOutbox:
    """Messages to clients."""

    def test_a_message_waits_for_its_turn(self, records: Records):
        """It is seen when it is due, and those of a client in the order in which they are."""
        records.outbox.add([replace(MESSAGE, due_at=NOW + 5), replace(MESSAGE, data=b"first")])
        first = records.outbox.claim("c1", NOW, NOW + 30)
        assert first == replace(MESSAGE, data=b"first", due_at=NOW + 30, tries=1, number=first.number)
        assert records.outbox.claim("c1", NOW, NOW + 30) is None
        assert records.outbox.claim("c1", NOW + 5, NOW + 30).data == b"data"

    def test_clients_wait(self, records: Records):
        """The longest waiting first; those that are served already are left out."""
        records.outbox.add([])
        for number, client_id in enumerate(("c3", "c1", "c2", "c1")):
            records.outbox.add([replace(MESSAGE, client_id=client_id, due_at=NOW + number)])
        assert records.outbox.waiting(NOW - 1, 9) == []
        assert records.outbox.waiting(NOW + 9, 9) == ["c3", "c1", "c2"]
        assert records.outbox.waiting(NOW + 9, 2) == ["c3", "c1"]
        assert records.outbox.waiting(NOW + 9, 9, without=("c1", "c3")) == ["c2"]

    def test_whoever_dies_leaves_it_to_another(self, records: Records):
        """When the time of a claim is over it is due again; the late one puts nothing off any more."""
        records.outbox.add([MESSAGE])
        first = records.outbox.claim("c1", NOW, NOW + 30)
        assert records.outbox.claim("c1", NOW + 29, NOW + 60) is None
        second = records.outbox.claim("c1", NOW + 30, NOW + 60)
        assert (second.number, second.tries) == (first.number, 2)
        assert not records.outbox.put_off(first, NOW)
        assert records.outbox.put_off(second, NOW + 90)
        assert records.outbox.claim("c1", NOW + 89, NOW) is None
        assert records.outbox.claim("c1", NOW + 90, NOW).tries == 3

    def test_what_was_told_goes(self, records: Records):
        """Once."""
        records.outbox.add([MESSAGE])
        claimed = records.outbox.claim("c1", NOW, NOW + 30)
        assert [records.outbox.remove(claimed) for _ in range(2)] == [True, False]
        assert records.outbox.claim("c1", NOW + 99, NOW + 99) is None

    @proves("S-096")
    def test_one_of_many_processes_claims_a_message(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ):
        """However many look at once, each message has one who tries."""
        records.outbox.add([MESSAGE] * ROUNDS)
        claimed = [number for told in crowd.run(_claim_all, open_records) for number in told]
        assert len(claimed) == len(set(claimed)) == ROUNDS
