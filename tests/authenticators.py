"""People with a second factor, and the app on their phone."""

from dataclasses import dataclass
from typing import Any

from pyotp import TOTP
from werkzeug.test import TestResponse

from auth_server.store.records import User
from tests.people import PASSWORD, bearer
from tests.sites import Site

STEP = 30  # seconds


@dataclass
class Authenticator:
    """An app that shows codes; and what its owner wrote down."""

    here: Site
    secret: str
    recovery_code: str

    def code(self, steps: int = 0) -> str:
        """Return the code of now, or of so many steps later."""
        return TOTP(self.secret).at(self.here.clock() + steps * STEP)

    def next_code(self) -> str:
        """Wait for a new code."""
        self.here.clock.advance(STEP)
        return self.code()

    def wrong_code(self) -> str:
        """Return six digits that are no code at this time."""
        right = {self.code(steps) for steps in range(-2, 3)}
        return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in right)


def passcode(
    here: Site, user: User, token: str, verb: str = "", address: str = "192.0.2.1", **members: Any
) -> TestResponse:
    """Ask something of the passcode API.

    Args:
        verb: empty to create, else confirm, activate or deactivate.
    """
    path = f"/api/v1/users/{user.uid}/passcode" + (f"/{verb}" if verb else "")
    headers = bearer(token) if token else {}
    body = {"type": "totp", **members}
    return here.http.post(path, json=body, headers=headers, environ_base={"REMOTE_ADDR": address})


def made(here: Site, user: User, token: str, **members: Any) -> Authenticator:
    """Make a key and show it to an app."""
    answer = passcode(here, user, token, password=PASSWORD, **members)
    assert answer.status_code == 200, answer.data
    return Authenticator(here, answer.json["Secret"], answer.json["RecoveryCode"])


def activated(here: Site, user: User, token: str) -> Authenticator:
    """Give a person a second factor; the next code is a new one."""
    app = made(here, user, token)
    for verb, code in (("confirm", app.code()), ("activate", "")):
        answer = passcode(here, user, token, verb, code=code)
        assert answer.status_code == 200, answer.data
    here.clock.advance(STEP)
    return app
