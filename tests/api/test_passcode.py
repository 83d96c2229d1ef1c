"""Setting up a second factor over PhotoPrism's API: what is shown, what is refused, and what it ends."""

import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import zxingcpp
from werkzeug.test import TestResponse

from auth_server.domain.users import Changes
from auth_server.store.records import AuditEvent, User
from auth_server.store.state import Page
from tests import proves
from tests.authenticators import activated, made, passcode
from tests.images import pixels
from tests.people import PASSWORD, alive, app_password, bearer, join, login, signed_in
from tests.sites import Site, site

VERBS = ("", "confirm", "activate", "deactivate")
DENIED = {"code": 403, "error": "Permission denied"}
WRONG_PASSWORD = {"code": 403, "error": "Invalid password, please try again"}
WRONG_CODE = {"code": 403, "error": "Invalid verification code, please try again"}
NOT_SAVED = {"code": 403, "error": "Changes could not be saved"}
REQUIRED = {"error": "passcode required", "code": 32, "message": "Enter verification code"}
INVALID = {"error": "invalid passcode", "code": 401, "message": "Invalid verification code, please try again"}
LIMITED = {"error": "rate limit exceeded", "code": 429}


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


@pytest.fixture
def jane(here: Site) -> User:
    return join(here)


@pytest.fixture
def session(here: Site, jane: User) -> str:
    return signed_in(here)


def told(answer: TestResponse) -> tuple[int, Any]:
    """Status and body."""
    return answer.status_code, answer.json


def events(here: Site, prefix: str = "passcode.") -> list[AuditEvent]:
    """The audit's events of a kind, oldest first."""
    found = here.server.records.audit.page(Page(1000))
    return [event for event in reversed(found) if event.event.startswith(prefix)]


def pixels_of(uri: str) -> memoryview:
    """The grey values of an image in a data URI."""
    return pixels(b64decode(uri.removeprefix("data:image/png;base64,"), validate=True))


def test_a_new_key_is_shown_with_its_secrets(here: Site, jane: User, session: str):
    """As text, as a QR code that a camera reads, and a recovery code; it is not in force."""
    answer = passcode(here, jane, session, password=PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    shown = answer.json
    secret, image, recovery_code = (shown.pop(name) for name in ("Secret", "QRCode", "RecoveryCode"))
    assert shown == {
        "UID": jane.uid,
        "Type": "totp",
        "CreatedAt": "2027-01-15T08:00:00Z",
        "UpdatedAt": "2027-01-15T08:00:00Z",
        "VerifiedAt": None,
        "ActivatedAt": None,
    }
    assert (len(secret), secret.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")) == (32, "")
    assert (len(recovery_code), recovery_code.strip("abcdefghijklmnopqrstuvwxyz0123456789")) == (12, "")
    grey = pixels_of(image)
    assert grey.shape == (350, 350)
    uri = f"otpauth://totp/auth-server:jane?algorithm=SHA1&digits=6&issuer=auth-server&period=30&secret={secret}"
    assert [code.text for code in zxingcpp.read_barcodes(grey)] == [uri]
    assert login(here).status_code == 200


@pytest.mark.parametrize("name", ["j" * 64, "jäne@example.org %-_", "鈴木" * 10])
def test_every_name_fits_into_the_qr_code(here: Site, name: str):
    """Quoted as a URI needs it."""
    user = here.server.users.add(name, PASSWORD, Changes())
    answer = passcode(here, user, here.session(user), password=PASSWORD)
    grey = pixels_of(answer.json["QRCode"])
    assert grey.shape == (350, 350)
    (code,) = zxingcpp.read_barcodes(grey)
    label, _, query = code.text.partition("?")
    assert unquote(label) == f"otpauth://totp/auth-server:{name}"
    assert query.endswith(f"secret={answer.json['Secret']}")


def test_a_key_is_confirmed_then_activated(here: Site, jane: User, session: str):
    """Its secrets are not shown again; the account shows the method, also in sessions."""
    app = made(here, jane, session)
    here.clock.advance(5)
    confirmed = passcode(here, jane, session, "confirm", code=app.code())
    here.clock.advance(5)
    active = passcode(here, jane, session, "activate")
    assert (confirmed.status_code, active.status_code) == (200, 200)
    common = {"UID": jane.uid, "Type": "totp", "Secret": "", "QRCode": "", "RecoveryCode": ""}
    common |= {"CreatedAt": "2027-01-15T08:00:00Z", "VerifiedAt": "2027-01-15T08:00:05Z"}
    assert confirmed.json == {**common, "UpdatedAt": "2027-01-15T08:00:05Z", "ActivatedAt": None}
    at = "2027-01-15T08:00:10Z"
    assert active.json == {**common, "UpdatedAt": at, "ActivatedAt": at}
    shown = here.http.get("/api/v1/session", headers=bearer(session)).json["user"]
    assert (shown["AuthMethod"], shown["UpdatedAt"]) == ("2fa", at)
    assert told(login(here)) == (401, REQUIRED)
    assert [(event.event, event.outcome, event.actor) for event in events(here)] == [
        (f"passcode.{verb}", "ok", jane.uid) for verb in ("create", "confirm", "activate")
    ]


def test_activation_ends_the_other_sessions(here: Site, jane: User, session: str):
    """Not the one in which it was done, no app password, and nothing that was made with one."""
    others = [signed_in(here), signed_in(here)]
    program = app_password(here, session).json["access_token"]
    child = here.http.post("/api/v1/session", headers=bearer(program)).json["access_token"]
    bob = signed_in(here, join(here, "bob").name)
    activated(here, jane, session)
    assert [alive(here, token) for token in (session, program, child, bob)] == [True] * 4
    assert [alive(here, token) for token in others] == [False, False]


@pytest.mark.parametrize("ready", [False, True], ids=["nothing", "not confirmed"])
def test_what_is_not_confirmed_is_not_activated(here: Site, jane: User, session: str, ready: bool):
    """Nor is a key that is in force already; nothing is written."""
    other = signed_in(here)
    if ready:
        made(here, jane, session)
    before = here.stored()
    assert told(passcode(here, jane, session, "activate")) == (403, NOT_SAVED)
    assert here.stored() == before
    assert alive(here, other)
    activated(here, jane, session)
    before = here.stored()
    assert told(passcode(here, jane, session, "activate")) == (403, NOT_SAVED)
    assert here.stored() == before


def test_a_wrong_code_confirms_nothing(here: Site, jane: User, session: str):
    """Nor do none, the recovery code, one of two steps ago, and one while there is no key."""
    assert told(passcode(here, jane, session, "confirm", code="123456")) == (403, WRONG_CODE)
    app = made(here, jane, session)
    before = here.stored()
    for number, code in enumerate(("", app.wrong_code(), app.recovery_code, app.code(-2))):
        answer = passcode(here, jane, session, "confirm", f"192.0.2.{number + 2}", code=code)
        assert told(answer) == (403, WRONG_CODE)
    assert here.stored() == before
    assert told(passcode(here, jane, session, "activate")) == (403, NOT_SAVED)
    assert passcode(here, jane, session, "confirm", code=app.code(-1)).status_code == 200
    assert [event.outcome for event in events(here)][-2:] == ["failed", "ok"]


@proves("S-070")
def test_the_code_that_confirmed_does_not_sign_in(here: Site, jane: User, session: str):
    """It was used; the one after it counts."""
    app = made(here, jane, session)
    code = app.code()
    assert passcode(here, jane, session, "confirm", code=code).status_code == 200
    assert told(passcode(here, jane, session, "confirm", code=code)) == (403, WRONG_CODE)
    assert passcode(here, jane, session, "activate").status_code == 200
    assert told(login(here, code=code)) == (401, INVALID)
    assert login(here, code=app.code(1)).status_code == 200


def test_a_key_in_force_is_not_replaced_without_its_code(here: Site, jane: User, session: str):
    """With it a new one waits, and until that is activated the old one counts."""
    app = activated(here, jane, session)
    before = here.stored()
    assert told(passcode(here, jane, session, password=PASSWORD)) == (401, REQUIRED)
    assert told(passcode(here, jane, session, password=PASSWORD, code=app.wrong_code())) == (401, INVALID)
    assert told(passcode(here, jane, session, password="wrong", code=app.code())) == (403, WRONG_PASSWORD)
    assert here.stored() == before
    other = made(here, jane, session, code=app.code())
    assert told(login(here, code=other.code())) == (401, INVALID)
    second = login(here, code=app.next_code()).json["access_token"]
    assert passcode(here, jane, session, "confirm", code=other.code()).status_code == 200
    assert login(here, code=app.next_code()).status_code == 200
    assert passcode(here, jane, session, "activate").status_code == 200
    assert (alive(here, session), alive(here, second)) == (True, False)
    assert told(login(here, code=app.next_code())) == (401, INVALID)
    assert login(here, code=other.code()).status_code == 200


def test_the_recovery_code_makes_way_for_a_new_key(here: Site, jane: User, session: str):
    """Who has lost the phone but is signed in goes on without an admin; the old key is gone."""
    app = activated(here, jane, session)
    other = made(here, jane, session, code=app.recovery_code)
    assert login(here).json["user"]["AuthMethod"] == ""
    assert passcode(here, jane, session, "confirm", code=other.code()).status_code == 200
    assert passcode(here, jane, session, "activate").status_code == 200
    assert told(login(here, code=app.recovery_code)) == (401, INVALID)


def test_deactivation_asks_for_the_password(here: Site, jane: User, session: str):
    """Then there is no key any more, and a login asks for no code; a second time there is nothing."""
    app = activated(here, jane, session)
    before = here.stored()
    assert told(passcode(here, jane, session, "deactivate", password="wrong")) == (403, WRONG_PASSWORD)
    assert told(passcode(here, jane, session, "deactivate")) == (403, WRONG_PASSWORD)
    assert here.stored() == before
    done = passcode(here, jane, session, "deactivate", password=PASSWORD)
    assert told(done) == (200, {"code": 200, "message": "Settings saved"})
    again = passcode(here, jane, session, "deactivate", password=PASSWORD)
    assert told(again) == (404, {"code": 404, "error": "Not found"})
    assert told(passcode(here, jane, session, "confirm", code=app.code())) == (403, WRONG_CODE)
    assert login(here).json["user"]["AuthMethod"] == ""
    assert alive(here, session)


def test_an_admin_resets_who_has_lost_it(here: Site, jane: User, session: str):
    """On the command line: the domain's rule takes both keys away and notes by whom."""
    app = activated(here, jane, session)
    made(here, jane, session, code=app.code())
    here.server.second_factor.reset(jane.uid)
    assert login(here).status_code == 200
    assert here.server.records.passcodes.get(jane.uid, active=False) is None
    (event,) = events(here, "passcode.reset")
    assert (event.actor, event.details) == ("server", {"uid": jane.uid})


@proves("S-079")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_other_peoples_factors_are_out_of_reach(here: Site, jane: User, session: str, verb: str, role: str):
    """For admins too, and whatever the path names; nothing is written."""
    app = activated(here, jane, session)
    bob = join(here, "bob", role)
    token = signed_in(here, bob.name)
    before = here.stored()
    body = {"password": PASSWORD, "code": app.code()}
    assert told(passcode(here, jane, token, verb, **body)) == (403, DENIED)
    nobody = User("unobody000000000", "x", "user", 0, 0)
    assert told(passcode(here, nobody, token, verb, **body)) == (403, DENIED)
    assert here.stored() == before
    assert login(here, code=app.code()).status_code == 200


@proves("S-077")
@pytest.mark.parametrize("verb", VERBS)
def test_programs_change_no_factor(here: Site, verb: str):
    """No app password of whatever scope, no session made with one, no client that acts for the person."""
    jane = join(here, role="admin")
    session = signed_in(here)
    app = activated(here, jane, session)
    program = here.app_password(jane, "*")
    child = here.http.post("/api/v1/session", headers=bearer(program)).json["access_token"]
    here.server.clients.add({"client_id": "svc", "scope": "*", "role": "admin"}, secret="s" * 43)
    form = {"grant_type": "client_credentials", "client_id": "svc", "client_secret": "s" * 43}
    client = here.http.post("/api/v1/oauth/token", data=form).json["access_token"]
    before = here.stored()
    for token in (program, child, client, here.app_password(jane, "passcode"), here.token("*")):
        answer = passcode(here, jane, token, verb, password=PASSWORD, code=app.code())
        assert told(answer) == (403, DENIED)
    after = here.stored()
    assert after["passcodes"] == before["passcodes"]
    assert after["users"] == before["users"]


@pytest.mark.parametrize("verb", VERBS)
def test_who_asks_is_checked_before_what(here: Site, jane: User, session: str, verb: str):
    """No token 401, another's 403, and only then an unreadable body or another type 400; nothing is written."""
    path = f"/api/v1/users/{jane.uid}/passcode" + (f"/{verb}" if verb else "")
    bob = signed_in(here, join(here, "bob").name)
    before = here.stored()
    login_needed = {"code": 401, "error": "Please log in to your account"}
    assert told(here.http.post(path, data=b"{")) == (401, login_needed)
    assert told(here.http.post(path, data=b"{", headers=bearer(bob))) == (403, DENIED)
    for body in (b"", b"{", b"[]", b'{"type":1}', b'{"type":"totp","code":123456}', b'{"type":"totp","TYPE":"x"}'):
        answer = here.http.post(path, data=body, headers=bearer(session))
        assert answer.status_code == 400
        details = answer.json["details"]
        assert details
        assert answer.json == {"code": 400, "error": "Invalid password, please try again", "details": details}
        here.clock.advance(180)
    for kind in (None, "", "hotp", " totp", "totp\N{COMBINING ACUTE ACCENT}"):
        answer = passcode(here, jane, session, verb, type=kind)
        assert told(answer) == (400, {"code": 400, "error": "Unsupported type"})
        here.clock.advance(180)
    after = here.stored()
    assert (after["passcodes"], after["users"]) == (before["passcodes"], before["users"])


def test_the_type_is_read_in_any_case(here: Site, jane: User, session: str):
    """As PhotoPrism reads it; so are the names of members."""
    answer = passcode(here, jane, session, type="ToTP", PassWord=PASSWORD)
    assert (answer.status_code, answer.json["Type"]) == (200, "totp")


def test_an_app_password_is_no_password_here(here: Site, jane: User, session: str):
    """It makes no key and takes none away (S-077)."""
    program = app_password(here, session, scope="*").json["access_token"]
    assert told(passcode(here, jane, session, password=program)) == (403, WRONG_PASSWORD)
    made(here, jane, session)
    assert told(passcode(here, jane, session, "deactivate", password=program)) == (403, WRONG_PASSWORD)


def test_a_disabled_person_changes_nothing(here: Site, jane: User, session: str):
    """Their session is over."""
    here.server.users.change(jane.uid, Changes(enabled=False))
    assert passcode(here, jane, session, password=PASSWORD).status_code == 401


@pytest.mark.parametrize(("verb", "cost"), [("", 1), ("confirm", 3), ("activate", 1), ("deactivate", 1)])
def test_failures_cost_tries_of_the_address(here: Site, jane: User, session: str, verb: str, cost: int):
    """As many as PhotoPrism charges; then 429, before the token is looked at."""
    for number in range(10 // cost):
        answer = passcode(here, jane, session, verb, password="wrong", code="")
        assert answer.status_code == 403, number
    if verb == "confirm":
        assert told(passcode(here, jane, session, verb)) == (429, LIMITED)
        assert passcode(here, jane, session, "activate").status_code == 403
    refused = passcode(here, jane, "", verb)
    assert told(refused) == (429, LIMITED)
    assert refused.headers["Retry-After"] == "60"
    assert passcode(here, jane, session, "activate", "192.0.2.9").status_code == 403


def test_what_succeeds_costs_nothing(here: Site, jane: User, session: str):
    """Nor does being told that a code is needed."""
    app = activated(here, jane, session)
    for _ in range(11):
        assert told(passcode(here, jane, session, password=PASSWORD)) == (401, REQUIRED)
        assert passcode(here, jane, session, "confirm", code=app.next_code()).status_code == 200


def test_a_role_user_sets_up_a_factor_like_an_admin(here: Site):
    """Everybody manages their own; guests too."""
    for role in ("admin", "user", "guest"):
        user = join(here, f"some-{role}", role)
        activated(here, user, signed_in(here, user.name))
        assert told(login(here, user.name)) == (401, REQUIRED)


def test_a_server_starts_without_what_only_codes_need():
    """Neither library takes memory before somebody sets up a factor or signs in with one."""
    code = "import sys, auth_server.assembly, auth_server.http.app; sys.exit(bool({'pyotp', 'segno'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
