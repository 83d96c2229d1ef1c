"""The keyring over a year: published before it signs, verifying after, one new key however many try."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from auth_server.domain.audit import Audit
from auth_server.domain.keys import Keyring, Policy, generate
from auth_server.domain.sealing import SealBroken, Sealing
from auth_server.errors import InvalidInput, NotFound, Unavailable
from auth_server.store import engine, schema
from auth_server.store.cached_records import CachedRecords
from auth_server.store.sql_records import SqlRecords
from auth_server.store.state import Page
from tests import proves
from tests.sites import Clock

DAY, STEP = 86400, 6 * 3600
POLICY = Policy(("ES256", "EdDSA"), interval=90 * DAY, overlap=31 * DAY, max_age=300)


class Ring:
    """A keyring over a SQLite store, with a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.path = folder / "records.db"
        store = engine.create(f"sqlite:///{self.path}")
        schema.upgrade(store, schema.RECORDS)
        self.records = SqlRecords(store)
        self.keyring = self.another()

    def another(self, key: bytes = b"k" * 32, policy: Policy = POLICY) -> Keyring:
        """The keyring of one more process on the same store."""
        records = CachedRecords(SqlRecords(engine.create(f"sqlite:///{self.path}")))
        sealing = Sealing(key, lambda n: bytes(range(n)))
        return Keyring(records, sealing, policy, Audit(records, self.clock), self.clock)

    def kids(self, status: str, alg: str = "ES256") -> list[str]:
        """The keys in a state."""
        return [key.kid for key in self.keyring.all() if (key.alg, key.status) == (alg, status)]

    def published(self) -> set[str]:
        """The kids of the JWKS."""
        return {str(key["kid"]) for key in json.loads(self.keyring.jwks())["keys"]}


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    """A keyring after its first start."""
    made = Ring(tmp_path)
    made.keyring.advance()
    return made


def test_the_first_start_makes_an_active_and_a_next_key(ring: Ring) -> None:
    """Both are published, for every algorithm."""
    for alg in POLICY.algorithms:
        assert len(ring.kids("active", alg)) == len(ring.kids("next", alg)) == 1
        assert {*ring.kids("active", alg), *ring.kids("next", alg)} <= ring.published()


@proves("S-121", "OIDC Core §10.1.1")
def test_no_key_signs_before_every_cache_knows_it(ring: Ring) -> None:
    """Without --now a key that was just published waits for the max-age; then it signs in every process at once."""
    other = ring.another()
    following = ring.kids("next")[0]
    ring.clock.advance(100)
    told = ring.keyring.rotate("ES256")
    assert [(key.kid, key.activates_at) for key in told] == [(following, ring.clock() + 200)]
    ring.clock.advance(199)
    assert other.signing_key("ES256").kid != following
    ring.clock.advance(1)
    assert other.signing_key("ES256").kid == ring.keyring.signing_key("ES256").kid == following


def test_rotation_at_once_takes_the_published_key(ring: Ring) -> None:
    """What was `next` signs, and not a key that no cache knows."""
    following = ring.kids("next")[0]
    told = ring.keyring.rotate("ES256", now=True)
    assert [key.kid for key in told] == [following] == ring.kids("active")
    assert ring.kids("next") != [following]
    assert len(ring.kids("retiring")) == 1


@proves("S-121")
def test_a_year_of_rotations_by_schedule(ring: Ring) -> None:
    """Each key is published before it signs and verifies for the overlap after; old ones go."""
    signed: dict[str, list[int]] = {}
    first_seen: dict[str, int] = {}
    for _ in range(400 * DAY // STEP):
        ring.clock.advance(STEP)
        ring.keyring.advance()
        now = ring.clock()
        for kid in ring.published():
            first_seen.setdefault(kid, now)
        signed.setdefault(ring.keyring.signing_key("ES256").kid, []).append(now)
        for kid, moments in signed.items():
            if now - moments[-1] < POLICY.overlap - STEP:
                assert kid in ring.published()
                assert ring.keyring.verifies(kid)
            elif now - moments[-1] > POLICY.overlap + STEP:
                assert kid not in ring.published()
                assert not ring.keyring.verifies(kid)
    assert len(signed) == 5
    begins = [moments[0] for moments in signed.values()][1:]
    assert all(first_seen[kid] + POLICY.max_age <= moments[0] for kid, moments in list(signed.items())[1:])
    assert all(abs(b - a - POLICY.interval) <= 2 * STEP for a, b in pairwise(begins))
    assert len(ring.keyring.all()) <= 4 * len(POLICY.algorithms)


@proves("S-121")
def test_many_that_rotate_at_once_make_one_new_key(ring: Ring) -> None:
    """Eight processes advance at the moment of a scheduled rotation."""
    ring.clock.advance(POLICY.interval)
    ring.keyring.advance()
    ring.clock.advance(POLICY.max_age)
    rings = [ring.another() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda keyring: keyring.advance(), rings))
    assert [len(ring.kids(status)) for status in ("next", "active", "retiring")] == [1, 1, 1]


@proves("S-121")
def test_rotations_at_once_at_the_same_moment_are_one(ring: Ring) -> None:
    """Four replicas ask; one new key signs, the others are told of it."""
    following = ring.kids("next")[0]
    rings = [ring.another() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda keyring: keyring.rotate("ES256", now=True), rings))
    assert [[key.kid for key in keys] for keys in told] == [[following]] * 4
    assert len(ring.kids("retiring")) == 1
    ring.clock.advance(2)
    assert [key.kid for key in ring.keyring.rotate("ES256", now=True)] != [following]


@proves("S-122")
def test_a_removed_key_verifies_nothing_and_the_next_takes_over(ring: Ring) -> None:
    """At once, in every process."""
    other = ring.another()
    active, following = ring.kids("active")[0], ring.kids("next")[0]
    ring.keyring.remove(active)
    assert not other.verifies(active)
    assert active not in ring.published()
    assert other.signing_key("ES256").kid == following
    with pytest.raises(NotFound):
        ring.keyring.remove(active)


@proves("S-124")
def test_another_encryption_key_opens_nothing(ring: Ring) -> None:
    """A stolen database without the key-encryption key gives no private key away."""
    with pytest.raises(SealBroken):
        ring.another(b"x" * 32).warm()


def test_a_replica_with_other_algorithms_takes_nothing_away(ring: Ring) -> None:
    """During a change of SIGNING_ALGS old and new processes run side by side: both sign, and keys do not pile up."""
    other = ring.another(policy=replace(POLICY, algorithms=("RS256",)))
    signing = ring.keyring.signing_key("ES256").kid
    for _ in range(10):
        ring.clock.advance(1)
        other.advance()
        ring.keyring.advance()
    assert ring.keyring.signing_key().kid == signing
    assert len(ring.keyring.all()) == 5
    other.rotate("RS256")
    other.rotate(now=True)
    assert ring.keyring.signing_key().kid != signing


@proves("S-121")
def test_the_first_key_of_an_added_algorithm_waits_until_caches_know_it(ring: Ring) -> None:
    """Until then what is there signs."""
    wider = ring.another(policy=replace(POLICY, algorithms=("ES384", *POLICY.algorithms)))
    wider.advance()
    added = next(key for key in wider.all() if key.alg == "ES384")
    assert added.kid in ring.published()
    ring.clock.advance(POLICY.max_age - 1)
    wider.advance()
    assert wider.signing_key().alg == "ES256"
    with pytest.raises(Unavailable):
        wider.signing_key("ES384")
    ring.clock.advance(1)
    assert wider.signing_key().kid == added.kid
    wider.advance()
    assert [key.status for key in wider.all() if key.alg == "ES384"] == ["active", "next"]


def test_an_algorithm_that_nobody_uses_any_more_goes(ring: Ring) -> None:
    """Its key verifies what it signed, and then both its keys are gone."""
    narrow = ring.another(policy=replace(POLICY, algorithms=("ES256",)))
    for _ in range(POLICY.interval // DAY * 3):
        ring.clock.advance(DAY)
        narrow.advance()
    assert {key.alg for key in narrow.all()} == {"ES256"}


def test_an_import_keeps_an_announced_rotation(ring: Ring) -> None:
    """But the imported key signs only when every cache knows it."""
    ring.keyring.rotate("ES256")
    ring.clock.advance(100)
    imported = ring.keyring.import_key("ES256", generate("ES256"))
    assert imported.activates_at == ring.clock() + POLICY.max_age
    assert ring.kids("next") == [imported.kid]


@proves("S-155")
def test_every_change_of_a_key_is_recorded(ring: Ring) -> None:
    """Also those that nobody asked for."""
    ring.clock.advance(POLICY.interval)
    ring.keyring.advance()
    ring.clock.advance(POLICY.max_age)
    ring.keyring.advance()
    events = Counter(event.event for event in ring.records.audit.page(Page(100)))
    assert events == {"key.active": 4, "key.next": 4, "key.retiring": 2}


def test_an_algorithm_that_is_not_offered_cannot_be_rotated(ring: Ring) -> None:
    """The sentence names those that can."""
    with pytest.raises(InvalidInput, match="ES256, EdDSA"):
        ring.keyring.rotate("RS256")
