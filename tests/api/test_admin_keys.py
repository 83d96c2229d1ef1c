"""Signing keys by the admin API."""

import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from auth_server.store.state import Page
from tests import proves
from tests.sites import Site, site

KEYS, ROTATE = "/api/v1/admin/keys", "/api/v1/admin/keys/rotate"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").fullmatch


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def rotate(here: Site, **body: object) -> TestResponse:
    return here.http.post(ROTATE, json=body, headers=bearer(here.token("admin:keys")))


def published(here: Site) -> set[str]:
    return {key["kid"] for key in here.http.get("/.well-known/jwks.json").json["keys"]}


def test_keys_are_listed(here: Site):
    """An active and a next key for each algorithm, with times in RFC 3339 and nothing private."""
    answer = here.http.get(KEYS, headers=bearer(here.token("admin:keys")))
    assert answer.status_code == 200
    assert sorted((key["alg"], key["status"]) for key in answer.json) == [
        (alg, status) for alg in ("ES256", "EdDSA", "RS256") for status in ("active", "next")
    ]
    for key in answer.json:
        assert set(key) == {"kid", "alg", "status", "created_at", "activates_at", "retires_at"}
        assert TIME(key["created_at"])
        assert key["retires_at"] is None
        assert (key["activates_at"] is None) == (key["status"] == "next")
    assert {key["kid"] for key in answer.json} == published(here)


def test_rotation_waits_until_caches_know_the_key(here: Site):
    """Without `now` the next key is told with the time when it starts to sign; then it signs."""
    told = rotate(here, alg="ES256").json
    assert told["status"] == "next"
    assert TIME(told["activates_at"])
    here.clock.advance(here.server.settings.jwks_max_age)
    assert here.server.keyring.signing_key("ES256").kid == told["kid"]


def test_rotation_at_once(here: Site):
    """With `now` the key signs at once; the former one still verifies."""
    former = here.server.keyring.signing_key("ES256").kid
    told = rotate(here, alg="ES256", now=True).json
    assert told["status"] == "active"
    assert here.server.keyring.signing_key("ES256").kid == told["kid"] != former
    assert former in published(here)


def test_rotation_of_all(here: Site):
    """Without `alg`, or without any body, all algorithms: an array."""
    assert sorted(key["alg"] for key in rotate(here).json) == ["ES256", "EdDSA", "RS256"]
    empty = here.http.post(ROTATE, headers=bearer(here.token("admin:keys")))
    assert (empty.status_code, len(empty.json)) == (200, 3)


def test_rotation_is_recorded(here: Site):
    """Which keys, and which client asked."""
    told = rotate(here, alg="ES256").json
    (event,) = (event for event in here.server.records.audit.page(Page()) if event.actor != "server")
    assert (event.event, event.outcome) == ("key.rotate", "ok")
    assert event.details["kids"] == [told["kid"]]
    assert event.client_id


@pytest.mark.parametrize(
    "body", [{"alg": "HS256"}, {"alg": 1}, {"alg": ""}, {"now": "yes"}, {"now": 1}, {"alq": "ES256"}]
)
def test_wrong_body_is_refused(here: Site, body: dict[str, object]):
    """A problem document that names the member; no key changes."""
    before = here.server.keyring.all()
    answer = rotate(here, **body)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert next(iter(body)) in answer.json["detail"]
    assert here.server.keyring.all() == before


@proves("S-147")
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
    ],
)
def test_what_is_no_json_object_is_refused(here: Site, body: bytes, kind: str, status: int):
    headers = bearer(here.token("admin:keys"))
    assert here.http.post(ROTATE, data=body, content_type=kind, headers=headers).status_code == status


def test_either_word_gives_access(here: Site):
    """`admin:*` stands for all of them; X-Auth-Token is as good as Authorization."""
    assert here.http.get(KEYS, headers=bearer(here.token("admin:*"))).status_code == 200
    assert here.http.get(KEYS, headers={"X-Auth-Token": here.token("admin:keys")}).status_code == 200


@proves("S-045")
def test_a_token_for_another_audience_is_refused(here: Site):
    """A token meant for somebody else does not administer this server."""
    values = {"client_name": "test", "scope": "admin:keys", "audience": ("https://api.example.org",)}
    made = here.server.clients.add(values)
    form = {"grant_type": "client_credentials", "client_id": made.client.client_id, "client_secret": made.secret}
    token = here.http.post("/api/v1/oauth/token", data=form).json["access_token"]
    assert here.http.get(KEYS, headers=bearer(token)).status_code == 401


@proves("S-148")
def test_no_origin_may_read_it(here: Site):
    """No CORS at the admin API, not even for origins of public clients; with no answer to a preflight."""
    for origin in ("https://app.example.org", "null"):
        headers = {**bearer(here.token("admin:keys")), "Origin": origin}
        for answer in (here.http.get(KEYS, headers=headers), here.http.options(ROTATE, headers=headers)):
            assert "Access-Control-Allow-Origin" not in answer.headers
