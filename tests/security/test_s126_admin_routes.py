"""Who reaches what is for admins: every such route, taken from the OpenAPI document so that none can be forgotten."""

from pathlib import Path
from typing import Any

import pytest

from auth_server.domain.scopes import ADMIN
from tests import proves
from tests.people import SESSION, bearer, join, signed_in
from tests.sites import Site, site

API, SESSIONS = "/api/v1/admin/", ("/api/v1/session", "/api/v1/sessions")
FOR_EVERYBODY = {("POST", SESSIONS[0]), ("GET", SESSIONS[0]), ("DELETE", SESSIONS[0]), ("POST", SESSIONS[1])}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A server with an admin, a user and a guest."""
    made = site(tmp_path, signing_algs=["ES256"])
    for name, role in (("root", "admin"), ("jane", "user"), ("gus", "guest")):
        join(made, name, role)
    return made


def routes(here: Site) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation of the document, by method and path."""
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    return {(method.upper(), path): told for path, methods in paths.items() for method, told in methods.items()}


def used(here: Site, token: str) -> str:
    """A token whose use has been noted already, so that the next one writes nothing."""
    here.http.get("/api/v1/config", headers=bearer(token))
    return token


def strangers(here: Site) -> dict[str, str]:
    """Tokens of those who are no admins here, or not in person."""
    root, jane = here.server.users.find("root"), here.server.users.find("jane")
    app = here.app_password(root, "*")
    return {
        "a user": signed_in(here),
        "a guest": signed_in(here, "gus"),
        "an admin's app password": used(here, app),
        "a session made with it": here.http.post(SESSION, headers=bearer(app)).json["access_token"],
        "a user's app password": used(here, here.app_password(jane, "*")),
        "one that names the scope": used(here, here.app_password(root, "admin:* sessions")),
        "a client that may all": here.token("*"),
        "a client that reads": here.token("read"),
        "a client of another scope": here.token("metrics"),
        "a scope that is none": here.token("admin:read"),
        "a word that contains it": here.token("xadmin:keys admin admin:key"),
    }


@proves("S-126")
def test_admin_api_needs_its_own_scope(here: Site):
    """401 without a token; 403 for a person, a wildcard, `admin:read`, any other admin scope, an app password."""
    refused = {**strangers(here), "an admin in person": signed_in(here, "root")}
    others = {word: here.token(" ".join({*ADMIN} - {word})) for word in ADMIN}
    found = {route: told for route, told in routes(here).items() if route[1].startswith(API)}
    assert ("GET", f"{API}keys") in found
    before = here.stored()
    for (method, path), told in found.items():
        (word,) = told["security"][0]["bearer"]
        assert word in ADMIN
        for headers in ({}, bearer("0" * 48)):
            answer = here.http.open(path, method=method, headers=headers)
            assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for who, token in {**refused, "all other scopes": others[word]}.items():
            answer = here.http.open(path, method=method, headers=bearer(token))
            assert (answer.status_code, answer.mimetype) == (403, "application/problem+json"), (method, path, who)
    assert here.stored() == before
    for (method, path), told in found.items():
        for word in (told["security"][0]["bearer"][0], "admin:*"):
            answer = here.http.open(path, method=method, headers=bearer(here.token(word)))
            assert answer.status_code not in (401, 403), (method, path, word)


@proves("S-126", "S-079")
def test_sessions_of_others_need_an_admin_in_person(here: Site):
    """401 without a token; 403 for everybody else, for an app password too; whatever other session it names."""
    target = here.server.tokens.by_identifier(signed_in(here, "root"))
    found = [route for route in routes(here) if route[1].startswith(SESSIONS) and route not in FOR_EVERYBODY]
    assert ("GET", SESSIONS[1]) in found
    assert len(found) == 5
    refused = {**strangers(here), "an admin scope": here.token(" ".join(ADMIN))}
    before = here.stored()
    for method, path in found:
        named = path.replace("{id}", target.ref_id)
        for headers in ({}, bearer("0" * 48)):
            assert here.http.open(named, method=method, headers=headers).status_code == 401, (method, path)
        for who, token in refused.items():
            answer = here.http.open(named, method=method, headers=bearer(token))
            assert (answer.status_code, answer.json["error"]) == (403, "Permission denied"), (method, path, who)
    assert here.stored() == before
    root = bearer(signed_in(here, "root"))
    for method, path in found:
        other = here.server.tokens.by_identifier(signed_in(here))
        assert here.http.open(path.replace("{id}", other.ref_id), method=method, headers=root).status_code == 200
