"""Setting a new password: because somebody else chose the old one, or because its owner wants to (S-061)."""

from dataclasses import dataclass
from typing import Any

from auth_server.domain.audit import Actor
from auth_server.domain.browsers import SignIn
from auth_server.domain.passwords import MIN_CHARACTERS, normalised
from auth_server.domain.second_factor import is_on
from auth_server.domain.users import Changes
from auth_server.errors import (
    AuthServerError,
    Conflict,
    InvalidInput,
    LoginFailed,
    PasscodeInvalid,
    PasscodeRequired,
    Refused,
    Throttled,
)
from auth_server.http.pages.page import AFTER, after, check_form, endpoint, lead_to, show, sign_in_first, signed_in
from auth_server.protocol import interaction
from auth_server.protocol.browser_cookie import browser_of, cookies, value_of
from auth_server.protocol.interaction import PARAMETER, Interaction, Step
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import User

PATH = Step.PASSWORD.value
EVENT = "user.change"
RECENT = 300  # seconds after a sign-in in which nobody has to prove once more to be it


class Problem(Exception):
    """Why a password was not changed.

    Args:
        what: a word that the template has a text for.
    """

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.what, self.status = what, status


@dataclass(frozen=True, slots=True)
class Person:
    """Who changes their password.

    Args:
        sid: of the sign-in in which they do.
        is_recent: whether they have just signed in, and need not prove it again.
    """

    user: User
    sid: str
    is_recent: bool
    waiting: Interaction | None


def page(request: Request, server: Server) -> Response:
    """Return the form."""
    person = _person(request, server)
    return person if isinstance(person, Response) else _form(request, server, person)


def submit(request: Request, server: Server) -> Response:
    """Change the password, end all other sessions, give this browser a new cookie, and lead on."""
    cookie = check_form(request, server)
    person = _person(request, server)
    if isinstance(person, Response):
        return person
    try:
        changed = _changed(person, request, server)
    except Problem as problem:
        return _form(request, server, person, problem.status, problem=problem.what)
    except Throttled as error:
        return _form(request, server, person, 429, retry_after=error.retry_after)
    request.actor = changed.uid
    new = server.browsers.renew(cookie, changed)
    headers = cookies(new, request, server) if new else ()
    if person.waiting is not None:
        return interaction.resume(person.waiting, new or cookie, server, headers)
    wanted = after(request)
    if wanted and wanted != PATH:
        page_, _, query = wanted.partition("?")
        parameters = dict([query.split("=", 1)]) if query else {}
        return lead_to(page_, server, headers, **parameters)
    return lead_to("/account/", server, headers, done="password")


def _person(request: Request, server: Server) -> Person | Response:
    """Who is to set a password; or the way to what comes first."""
    if not (request.query.get(PARAMETER) or request.form.get(PARAMETER)):
        found = signed_in(request, server)
        if found is None:
            return sign_in_first(PATH, server)
        return Person(found[0], found[1].sid, _is_recent(found[1], server), None)
    waiting = interaction.find(request, server)
    browser = browser_of(request, server)
    _, asked = interaction.asked_by(waiting, server)
    step, sign_in = interaction.next_step(asked, browser, waiting, server)
    user = server.browsers.user(sign_in) if sign_in is not None else None
    if step is not Step.PASSWORD or sign_in is None or user is None:
        return interaction.resume(waiting, value_of(request, server), server)
    return Person(user, sign_in.sid, _is_recent(sign_in, server), waiting)


def _is_recent(sign_in: SignIn, server: Server) -> bool:
    return server.clock() - sign_in.auth_time < RECENT


def _changed(person: Person, request: Request, server: Server) -> User:
    """Return the account with its new password. Whoever proves to be its owner gets their try back."""
    if person.is_recent:
        return _save(person, request, server)
    server.passwords.ensure_room()
    attempt = server.login.begin(person.user.name, request.address)
    try:
        server.login.confirm(attempt, request.form.get("password", ""), EVENT)
    except LoginFailed:
        raise Problem("password", 401) from None
    try:
        changed = _save(person, request, server)
    except (Problem, AuthServerError) as error:
        if not isinstance(error, Problem) or error.what != "passcode":
            attempt.charge.give_back()
        raise
    attempt.charge.give_back()
    server.throttles.succeeded_login(attempt.account, changed.uid, request.address)
    return changed


def _save(person: Person, request: Request, server: Server) -> User:
    user, new = person.user, request.form.get("new_password", "")
    _check(user, new, request, server)
    if not person.is_recent:
        try:  # last of all, for a right code is used up
            server.second_factor.check(user, request.form.get("passcode", ""), request.address)
        except (PasscodeRequired, PasscodeInvalid):
            raise Problem("passcode", 401) from None
    changes, by = Changes(password=new), Actor(user.uid, address=request.address)
    try:
        version = user.password_version
        return server.users.change(user.uid, changes, by, password_version=version, keep_sid=person.sid)
    except Conflict:
        raise Problem("meanwhile", 409) from None


def _check(user: User, new: str, request: Request, server: Server) -> None:
    if len(normalised(new)) < MIN_CHARACTERS:
        raise Problem("short")
    try:
        server.users.check_password(user, new)
    except Refused:
        raise Problem("guessable") from None
    except InvalidInput:
        raise Problem("long") from None
    if new != request.form.get("repeated_password", ""):
        raise Problem("repeat")
    if server.passwords.verify(new, user.password_hash):
        raise Problem("same")


def _form(request: Request, server: Server, person: Person, status: int = 200, **values: Any) -> Response:
    known: dict[str, Any] = {
        "user": person.user,
        "interaction": person.waiting,
        "after": after(request),
        "ask_password": not person.is_recent,
        "ask_code": not person.is_recent and is_on(person.user),
    }
    return show("change_password.html", request, server, status=status, **known, **values)


ENDPOINTS = (
    endpoint(
        PATH,
        page,
        submit,
        "Set a new password",
        {PARAMETER: "The request that it is for.", AFTER: "A page of ours, to go to then."},
    ),
)
