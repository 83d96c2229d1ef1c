"""What every Records does with consents and families of refresh tokens, alone and among processes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from auth_server.errors import NotFound
from auth_server.store.records import Consent, Records, RefreshFamily
from auth_server.store.state import Page
from tests import proves
from tests.store.conformance.crowd import Crowd
from tests.store.conformance.records import NOW, a_client, a_user

ROUNDS = 30
CONSENT = Consent("u1", "c1", "openid email", NOW, NOW, ("phone_number",))
FAMILY = RefreshFamily("f" * 64, "u1", "c1", NOW, ends_at=NOW + 100, expires_at=NOW + 10, used_at=NOW, data=b"data")


@pytest.fixture
def pair(records: Records) -> None:
    """A person and two clients."""
    records.users.add(a_user("u1"))
    for client_id in ("c1", "c2"):
        records.clients.add(a_client(client_id))


def _advance_each(records: Records, _: int) -> list[bool]:
    return [records.refresh_families.advance(FAMILY.family_id, number, NOW, NOW + 9) for number in range(ROUNDS)]


@pytest.mark.usefixtures("pair")
class TestGrants:
    """Consents and families."""

    def test_a_consent_is_kept_and_replaced(self, records: Records):
        """The newest counts; when it was first given stays known."""
        records.consents.put(CONSENT)
        assert records.consents.get("u1", "c1") == CONSENT
        more = replace(CONSENT, scope="openid", claims=(), created_at=NOW + 5, updated_at=NOW + 5)
        records.consents.put(more)
        assert records.consents.get("u1", "c1") == replace(more, created_at=NOW)
        assert records.consents.get("u1", "c2") is None

    def test_consents_are_listed_and_removed(self, records: Records):
        """Newest first; each is removed once."""
        records.consents.put(CONSENT)
        records.consents.put(replace(CONSENT, client_id="c2", updated_at=NOW + 1))
        assert [consent.client_id for consent in records.consents.page("u1", Page())] == ["c2", "c1"]
        assert [records.consents.remove(uid="u1", client_id="c1") for _ in range(2)] == [True, False]
        assert [consent.client_id for consent in records.consents.page("u1", Page())] == ["c2"]

    def test_nobody_allows_what_is_not_there(self, records: Records):
        """A user or client that is gone has no consents and no families."""
        for uid, client_id in (("u2", "c1"), ("u1", "c3")):
            with pytest.raises(NotFound):
                records.consents.put(replace(CONSENT, uid=uid, client_id=client_id))
            with pytest.raises(NotFound):
                records.refresh_families.add(replace(FAMILY, uid=uid, client_id=client_id))

    def test_all_ends_with_user_and_client(self, records: Records):
        """Removing either takes their consents and families along."""
        records.consents.put(CONSENT)
        records.refresh_families.add(FAMILY)
        records.consents.put(replace(CONSENT, client_id="c2"))
        records.refresh_families.add(replace(FAMILY, family_id="e" * 64, client_id="c2"))
        records.clients.remove("c1")
        assert [family.client_id for family in records.refresh_families.find("u1")] == ["c2"]
        records.users.remove("u1")
        assert records.refresh_families.find("u1") == []
        assert records.consents.page("u1", Page()) == []

    def test_a_family_goes_on(self, records: Records):
        """Only whoever names the token that counts now moves it."""
        families = records.refresh_families
        families.add(FAMILY)
        assert families.get(FAMILY.family_id) == FAMILY
        assert families.advance(FAMILY.family_id, 0, NOW + 3, NOW + 13)
        assert not families.advance(FAMILY.family_id, 0, NOW + 4, NOW + 14)
        assert not families.advance("0" * 64, 0, NOW, NOW)
        moved = replace(FAMILY, number=1, used_at=NOW + 3, expires_at=NOW + 13)
        assert families.get(FAMILY.family_id) == moved
        assert families.advance(FAMILY.family_id, 1, NOW + 3, NOW + 13, b"other data")
        assert not families.advance(FAMILY.family_id, 1, NOW + 3, NOW + 13, b"late data")
        assert families.get(FAMILY.family_id) == replace(moved, number=2, data=b"other data")

    def test_families_are_removed_by_each_name(self, records: Records):
        """By themselves, by user, by user and client; never all for want of a name."""
        families = records.refresh_families
        for number, client_id in enumerate(("c1", "c1", "c2", "c2")):
            families.add(replace(FAMILY, family_id=f"{number:064x}", client_id=client_id))
        assert families.remove() == 0
        assert families.remove(family_id=f"{0:064x}") == 1
        assert families.remove(uid="u1", client_id="c1") == 1
        assert [family.client_id for family in families.find("u1", "c2")] == ["c2", "c2"]
        assert families.remove(uid="u1") == 2

    def test_what_is_over_is_purged(self, records: Records):
        """In parts, and nothing else."""
        families = records.refresh_families
        for number in range(5):
            families.add(replace(FAMILY, family_id=f"{number:064x}", expires_at=NOW + number))
        assert families.purge(NOW + 3, 3) == 3
        assert families.purge(NOW + 3, 3) == 1
        assert [family.family_id for family in families.find("u1")] == [f"{4:064x}"]

    @proves("S-037")
    def test_one_of_many_processes_moves_a_family(
        self, records: Records, open_records: Callable[[], Records], crowd: Crowd
    ):
        """However many try at once, each token has one successor."""
        records.refresh_families.add(FAMILY)
        told = crowd.run(_advance_each, open_records)
        assert [sum(moved) for moved in zip(*told, strict=True)] == [1] * ROUNDS
