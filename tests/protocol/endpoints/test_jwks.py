"""The published keys, and their rotation as verifiers see it."""

import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import jwt
import pytest

from auth_server import assembly
from auth_server.settings import Settings
from tests import proves
from tests.servers.auth_server import AuthServer, running
from tests.servers.clock import SharedClock
from tests.servers.visitors import Visitor
from tests.signing import decoded
from tests.sites import ISSUER, site

JWKS = "/.well-known/jwks.json"
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
MAX_AGE, INTERVAL, OVERLAP = 300, 5000, 2000
SHORT = {"jwks_max_age": MAX_AGE, "key_rotation_interval": INTERVAL, "key_overlap": OVERLAP}


def published(visitor: Visitor) -> dict[str, str]:
    """Return kid and algorithm of each key in the JWKS."""
    return {key["kid"]: key["alg"] for key in visitor.call("GET", JWKS).json["keys"]}


def signed_by(visitor: Visitor) -> str:
    """Return the kid of a token that is issued now."""
    client = visitor.client(token_format="jwt", access_token_ttl=OVERLAP)
    return str(decoded(visitor.token(client))[0]["kid"])


@proves("S-123", "RFC 7517 §4.5")
def test_only_public_keys_are_published(visitor: Visitor):
    """Two for each algorithm, no private member, no symmetric key, each kid once."""
    keys = visitor.call("GET", JWKS).json["keys"]
    assert len(keys) >= 6
    assert {key["alg"] for key in keys} == {"ES256", "RS256", "EdDSA"}
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert not PRIVATE & key.keys()
        assert key["kty"] in ("EC", "RSA", "OKP")
        assert key["use"] == "sig"


@proves("S-123")
def test_one_key_for_several_algorithms_has_several_kids(tmp_path: Path):
    """The algorithms of RSA never share a kid."""
    here = site(tmp_path, signing_algs=["RS256", "PS256", "RS512", "ES384", "Ed25519"])
    keys = here.http.get(JWKS).json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) == 10
    assert {key["alg"] for key in keys} == {"RS256", "PS256", "RS512", "ES384", "Ed25519"}


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def ageing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server whose keys live short, for tests that move its clock far."""
    with running(tmp_path_factory.mktemp("ageing"), request.param, **SHORT) as server:
        yield server


@proves("S-121", "OIDC Core §10.1.1")
def test_keys_follow_their_schedule(ageing: AuthServer):
    """In four rotations: every key signs only after the max-age in the JWKS, and verifies for the overlap after it."""
    visitor, keyring = Visitor(ageing), ageing.inside.keyring
    seen_first: dict[str, int] = {}
    seen_last: dict[str, int] = {}
    signed_last: dict[str, int] = {}
    known = set(published(visitor))
    for _ in range(4 * (INTERVAL + MAX_AGE) // 100):
        keyring.advance()  # as each process does once a second
        now, keys, kid = ageing.clock(), published(visitor), signed_by(visitor)
        for each in keys:
            seen_first.setdefault(each, now)
            seen_last[each] = now
        assert kid in keys
        assert kid in known or now - seen_first[kid] >= MAX_AGE, "signed before every cache could know it"
        signed_last[kid] = now
        ageing.clock.advance(100)
    gone = [kid for kid in signed_last if kid not in published(visitor)]
    assert len(signed_last) >= 4
    assert len(gone) >= 2
    for kid in gone:
        assert seen_last[kid] - signed_last[kid] >= OVERLAP - 100, "went before its last token"


@proves("S-121")
def test_a_rotation_waits_until_caches_know_the_key(ageing: AuthServer):
    """`keys rotate` right after a rotation: the next key signs when it has been published for the max-age."""
    visitor, keyring = Visitor(ageing), ageing.inside.keyring
    keyring.rotate("ES256", now=True)
    former = signed_by(visitor)
    (told,) = keyring.rotate("ES256")
    assert told.status == "next"
    assert told.activates_at == ageing.clock() + MAX_AGE
    assert told.kid in published(visitor)
    ageing.clock.advance(MAX_AGE - 1)
    assert set(visitor.everywhere(lambda: signed_by(visitor))) == {former}
    ageing.clock.advance(1)
    assert set(visitor.everywhere(lambda: signed_by(visitor))) == {told.kid}


@proves("CONTRACT §5")
def test_a_rotation_tells_of_the_key_that_will_sign(tmp_path: Path):
    """Also where the one before has begun to sign, but nobody has written that down yet."""
    here = site(tmp_path)
    keyring = here.server.keyring
    (first,) = keyring.rotate("ES256")
    here.clock.advance(MAX_AGE)
    assert keyring.signing_key("ES256").kid == first.kid
    (second,) = keyring.rotate("ES256")
    assert (second.kid != first.kid, second.status) == (True, "next")
    here.clock.advance(MAX_AGE)
    assert keyring.signing_key("ES256").kid == second.kid


@proves("S-121")
def test_what_a_former_key_signed_counts_until_it_ends(ageing: AuthServer):
    """Both by introspection and by the JWKS, as long as the token lives; then the key is gone."""
    visitor, inside = Visitor(ageing), ageing.inside
    ageing.clock.advance(10)  # rotations at the same moment are one
    client, watcher = visitor.client(token_format="jwt", access_token_ttl=OVERLAP), visitor.client("introspect")
    token = visitor.token(client)
    kid = decoded(token)[0]["kid"]
    inside.keyring.rotate("ES256", now=True)
    ageing.clock.advance(OVERLAP - 1)
    inside.keyring.advance()
    assert kid in published(visitor)
    assert visitor.introspect(token, watcher)["active"]
    ageing.clock.advance(1)
    inside.keyring.advance()
    assert kid not in published(visitor)
    assert visitor.introspect(token, watcher) == {"active": False}


@proves("S-122")
def test_a_removed_key_and_what_it_signed_are_gone_at_once(ageing: AuthServer):
    """On both workers; the next key signs, and what it signs is good."""
    visitor, inside = Visitor(ageing), ageing.inside
    ageing.clock.advance(10)  # rotations at the same moment are one
    client, watcher = visitor.client(token_format="jwt"), visitor.client("introspect")
    token = visitor.token(client)
    kid = decoded(token)[0]["kid"]
    inside.keyring.remove(kid)
    for told in visitor.everywhere(lambda: visitor.introspect(token, watcher)):
        assert told == {"active": False}
    for keys in visitor.everywhere(lambda: published(visitor)):
        assert kid not in keys
    later = visitor.token(client)
    assert decoded(later)[0]["kid"] != kid
    assert visitor.introspect(later, watcher)["active"]


@proves("RFC 9068 §4")
@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256", "EdDSA", "ES512"])
def test_signatures_hold_under_the_published_keys(tmp_path: Path, alg: str):
    """As a resource service checks them, with a library that is not ours."""
    here = site(tmp_path, signing_algs=[alg])
    token = here.token("metrics", form="jwt")
    key = jwt.PyJWKSet.from_dict(here.http.get(JWKS).json)[decoded(token)[0]["kid"]]
    at_any_time = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, key, algorithms=[alg], audience=ISSUER, issuer=ISSUER, options=at_any_time)
    assert claims["scope"] == "metrics"


def advance(settings: Settings, clock: Path, barrier: Barrier) -> None:
    """What the background of one replica does, at the same time as all others; twice."""
    server = assembly.assemble(settings, assembly.stores(settings), SharedClock(clock))
    for _ in range(2):
        barrier.wait()  # the clock has been moved
        server.keyring.advance()
        barrier.wait()
    server.close()


@proves("S-121")
def test_many_that_rotate_at_once_make_one_new_key(tmp_path: Path):
    """Four processes find the same keys old: one successor for each algorithm, and every key can be opened."""
    server = AuthServer(tmp_path, **SHORT)
    assembly.stores(server.settings).upgrade()
    keyring = server.inside.keyring
    keyring.advance()
    before = {key.kid for key in keyring.all()}
    assert len(before) == 6
    processes = multiprocessing.get_context("spawn")
    barrier = processes.Barrier(5)
    crowd = [processes.Process(target=advance, args=(server.settings, tmp_path / "clock", barrier)) for _ in range(4)]
    for process in crowd:
        process.start()
    for _ in range(2):
        server.clock.advance(INTERVAL)
        barrier.wait(60)
        barrier.wait(60)
        after = {key.kid for key in keyring.all()}
        assert len(after - before) == 3
        before |= after
    for process in crowd:
        process.join(30)
        assert process.exitcode == 0
    keyring.warm()
    server.stop()
