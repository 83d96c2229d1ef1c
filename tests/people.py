"""People who sign in at a server in this process."""

from typing import Any

from werkzeug.test import TestResponse

from auth_server.domain.users import Changes
from auth_server.store.records import User
from tests.sites import Site

PASSWORD = "Blue-whale-42-sings"
SESSION = "/api/v1/session"
TOKEN = "/api/v1/oauth/token"


def join(here: Site, name: str = "jane", role: str = "user", password: str = PASSWORD) -> User:
    """Make an account."""
    return here.server.users.add(name, password, Changes(role=role, email=f"{name}@example.org"))


def login(
    here: Site,
    name: str = "jane",
    password: str = PASSWORD,
    address: str = "192.0.2.1",
    headers: Any = None,
    **more: Any,
) -> TestResponse:
    """Sign in with name and password."""
    body = {"username": name, "password": password, **more}
    return here.http.post(SESSION, json=body, headers=headers, environ_base={"REMOTE_ADDR": address})


def signed_in(here: Site, name: str = "jane", password: str = PASSWORD) -> str:
    """Sign in, and return the session's token."""
    answer = login(here, name, password)
    assert answer.status_code == 200, answer.data
    token: str = answer.json["access_token"]
    return token


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token}"}


def alive(here: Site, token: str) -> bool:
    """Tell whether a token opens its session."""
    answer = here.http.get(SESSION, headers=bearer(token))
    assert answer.status_code in (200, 401), answer.data
    return answer.status_code == 200


def app_password(here: Site, session: str, **more: str) -> TestResponse:
    """Ask for an app password by PhotoPrism's password grant."""
    form = {"grant_type": "password", "username": "jane", "password": PASSWORD, "client_name": "Phone"}
    return here.http.post(TOKEN, data={**form, "scope": "sessions", **more}, headers=bearer(session))
