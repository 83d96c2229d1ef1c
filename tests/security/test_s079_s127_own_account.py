"""Nobody raises themselves, and nobody reaches another's account: at every operation that the OpenAPI document has."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from auth_server.store.records import User
from auth_server.store.state import Page
from tests import proves
from tests.authenticators import made
from tests.people import PASSWORD, bearer, join, login, signed_in
from tests.sites import Site, site

OWN = ("/api/v1/session", "/api/v1/users/", "/api/v1/oauth/token")
WRITES = ("post", "put", "patch", "delete")
RAISED: Mapping[str, Any] = {
    "role": "admin",
    "scope": "*",
    "uid": "usuperadmin00000",
    "email": "admin@example.org",
    "email_verified": True,
    "claims": {"groups": ["admins"]},
    "super_admin": True,
    "superadmin": True,
    "enabled": True,
    "auth_method": "default",
    "password_version": 1,
    "provider": "client",
    "method": "oauth2",
    "expires_in": -1,
    "client_id": "quickstart",
}
SPELLINGS = {"UID": "uid", "Role": "role", "UserRole": "role", "SuperAdmin": "super_admin", "AuthScope": "scope"}


@dataclass
class Operation:
    """One operation of the document."""

    method: str
    path: str
    described: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def arguments(self) -> list[str]:
        """What stands in its path."""
        return re.findall(r"{(\w+)}", self.path)

    def bodies(self) -> Iterator[dict[str, Any]]:
        """What it may be sent: its examples, else nothing."""
        content = self.described.get("requestBody", {}).get("content", {})
        medium = next(iter(content.values()), {})
        examples = [example["value"] for example in medium.get("examples", {}).values()]
        yield from examples or [medium.get("example", {})]


@dataclass
class Person:
    """Somebody signed in, with what they may send."""

    here: Site
    user: User
    address: str = "192.0.2.1"

    @cached_property
    def token(self) -> str:
        return signed_in(self.here, self.user.name)

    @property
    def session_id(self) -> str:
        return self.here.server.tokens.by_identifier(self.token).session_id

    def arguments(self) -> dict[str, str]:
        """What names them in a path; a new placeholder belongs in here."""
        return {"uid": self.user.uid, "id": self.session_id}

    def members(self) -> dict[str, Any]:
        """Values that are good for them; what an example says of anybody else's stays."""
        return {"username": self.user.name, "password": PASSWORD, "old": PASSWORD, "client_name": "Phone"}

    def filled(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An example in which they stand."""
        mine = self.members()
        return {name: mine.get(name, value) for name, value in body.items()}

    def ask(
        self, operation: Operation, arguments: Mapping[str, str], body: Any, query: Mapping[str, str] | None = None
    ) -> TestResponse:
        """Ask for an operation."""
        path = operation.path.format_map(arguments)
        as_form = operation.path == "/api/v1/oauth/token"
        sent = {"data": {name: str(value) for name, value in body.items()}} if as_form else {"json": body}
        if operation.method == "get":
            sent = {}
        return self.here.http.open(
            path,
            method=operation.method.upper(),
            headers=bearer(self.token),
            query_string=query,
            environ_base={"REMOTE_ADDR": self.address},
            **sent,
        )


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"], login_burst=1000)


def operations(here: Site, prefixes: tuple[str, ...]) -> list[Operation]:
    """What the document has below some paths."""
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    return [
        Operation(method, path, described)
        for path, methods in paths.items()
        if path.startswith(prefixes)
        for method, described in methods.items()
        if method in ("get", *WRITES)
    ]


def rights(user: User) -> dict[str, Any]:
    """What of an account is for others to give."""
    names = ("uid", "name", "role", "super_admin", "email", "email_verified", "claims", "enabled", "token_version")
    return {name: getattr(user, name) for name in names}


def extras() -> Iterator[dict[str, Any]]:
    """What somebody adds who wants more: all at once, in other spellings, nested, and each alone."""
    yield dict(RAISED)
    yield {spelling: RAISED[name] for spelling, name in SPELLINGS.items()}
    yield {"user": {**RAISED, **{spelling: RAISED[name] for spelling, name in SPELLINGS.items()}}}
    for name, value in RAISED.items():
        yield {name: value}


@proves("S-127")
@pytest.mark.parametrize("role", ["user", "guest"])
def test_nobody_raises_themselves(here: Site, role: str):
    """Members that say who one is are ignored or 400, in the body and in the query; the account stays as it was."""
    number, done = 0, set()
    for operation in operations(here, OWN):
        if operation.method not in WRITES:
            continue
        for body in operation.bodies():
            for more in extras():
                number += 1
                person = Person(here, join(here, f"person{number}", role), f"10.0.{number // 250}.{number % 250}")
                sent = person.filled(body) | {name: value for name, value in more.items() if name not in body}
                answer = person.ask(operation, person.arguments(), sent)
                check(here, person, operation, sent, answer)
                done |= {str(operation)} if answer.status_code == 200 else set()
        person = Person(here, join(here, f"query{number}", role))
        query = {name: str(value) for name, value in RAISED.items()}
        check(here, person, operation, query, person.ask(operation, person.arguments(), {}, query))
    assert number > 100
    assert {"post /api/v1/oauth/token", "post /api/v1/session", "delete /api/v1/session/{id}"} <= done
    assert {"put /api/v1/users/{uid}/password", "post /api/v1/users/{uid}/passcode"} <= done
    assert not any(user.role == "admin" or user.super_admin for user in here.server.users.page("", Page(100000)))


def check(here: Site, person: Person, operation: Operation, sent: object, answer: TestResponse) -> None:
    """Nothing that the person is has changed, and what came back is no more than theirs."""
    about = (str(operation), sent, answer.status_code, answer.data)
    assert answer.status_code < 500, about
    assert answer.status_code != 429, about
    now = here.server.users.find(person.user.uid)
    assert rights(now) == rights(person.user), about
    given = answer.json if isinstance(answer.json, dict) else {}
    value = given.get("access_token") or given.get("app_password")
    if answer.status_code == 200 and value:
        living = here.server.tokens.find(value)
        assert living is not None, about
        assert living.user == now, about
        assert living.token.provider in ("local", "application"), about
        if living.token.provider == "local":
            assert (living.token.scope, living.token.method) == ("", "default"), about
        told = given.get("user", {})
        assert told.get("Role", person.user.role) == person.user.role, about
        assert not told.get("SuperAdmin"), about


@proves("S-127")
def test_a_session_has_no_more_than_its_app_password(here: Site):
    """Whatever scope or role the login names."""
    user = join(here)
    app = here.app_password(user, "sessions")
    for more in ({"scope": "*"}, {"role": "admin", "AuthScope": "*"}, {"user": {"Role": "admin"}}):
        answer = login(here, password=app, **more)
        assert (answer.status_code, answer.json["scope"], answer.json["user"]["Role"]) == (200, "sessions", "user")


@proves("S-079")
@pytest.mark.parametrize("role", ["user", "guest", "admin"])
def test_nobody_reaches_anothers_account(here: Site, role: str):
    """At every operation below a uid: 403 or 404, with the other's right password too; nothing is written."""
    bob = Person(here, join(here, "bob"))
    app = made(here, bob.user, bob.token)
    here.app_password(bob.user, "sessions")
    alice = Person(here, join(here, "alice", role))
    program = replace_token(alice, here.app_password(alice.user, "*"))
    for person in (alice, program):
        here.http.get("/api/v1/session", headers=bearer(person.token))  # its first use is noted
    found = [operation for operation in operations(here, ("/api/v1/users/",)) if "uid" in operation.arguments]
    assert {"password", "passcode"} <= {operation.path.split("/")[5] for operation in found}
    before = here.stored()
    for operation in found:
        for body in operation.bodies():
            sent = {**bob.filled(body), "code": app.code()}
            for person in (alice, program):
                for uid in (bob.user.uid, "unobody000000000", bob.user.name):
                    arguments = {**bob.arguments(), "uid": uid}
                    answer = person.ask(
                        operation, arguments, sent, {"count": "10"} if operation.method == "get" else None
                    )
                    assert answer.status_code in (403, 404), (str(operation), uid, answer.status_code, answer.data)
                    assert bob.user.uid.encode() not in answer.data
    assert here.stored() == before


def replace_token(person: Person, token: str) -> Person:
    """The same person with another token."""
    other = replace(person)
    other.token = token
    return other
