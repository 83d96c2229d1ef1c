"""What a person must still do before a client gets its answer: sign in, choose an account, change a password, consent.

The request waits in the store, under a secret that the pages carry, and bound to the browser it came from: what the
pages send decides nothing but whether the person agrees (S-024).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from auth_server.domain import credentials, scopes, second_factor
from auth_server.domain.audit import Actor
from auth_server.domain.browsers import Browser, SignIn
from auth_server.domain.client_rules import LOOPBACK_HOSTS
from auth_server.errors import Unavailable
from auth_server.protocol import authorization_request, repeated_answer
from auth_server.protocol.authorization_request import AuthorizationRequest, refuse
from auth_server.protocol.authorization_response import grant
from auth_server.protocol.browser_cookie import browser_of, set_cookie, state_if_new, value_of, with_state
from auth_server.protocol.endpoints import pushed_authorization
from auth_server.protocol.errors import (
    AccountSelectionRequired,
    ConsentRequired,
    InteractionRequired,
    LoginRequired,
    OAuthError,
    Refusal,
    UnmetAuthenticationRequirements,
)
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import acr
from auth_server.protocol.tokens.subject import subject
from auth_server.store.records import User
from auth_server.store.state import Entry, Kind, Rate

TTL = 3600  # seconds that a request waits for its person
GRACE = 10  # seconds after its answer in which it is known that it had one, and a form gets the same one again
FLOOD = Rate(600, 2)  # requests of one address that wait for a person
PARAMETER = "interaction"
_ANSWER = "answer"  # among what is kept of a request that does not wait any more


class Step(Enum):
    """A page, by its path."""

    LOGIN = "/login"
    SELECT = "/select-account"
    PASSWORD = "/change-password"
    CONSENT = "/consent"


_WHERE_NONE_IS_ASKED: Mapping[Step, type[OAuthError]] = {
    Step.LOGIN: LoginRequired,
    Step.SELECT: AccountSelectionRequired,
    Step.PASSWORD: InteractionRequired,
    Step.CONSENT: ConsentRequired,
}


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request that waits, and how far its person has come.

    Args:
        secret: names it; known to the pages alone.
        browser: digest of the cookie of the browser that it belongs to, in hex digits.
        account: the uid that was chosen, or has signed in, for this request.
        signed_in: the uid that has signed in since the request came.
        consented: the uid that has agreed, and to what.
        address: that it counts against as long as it waits.
    """

    secret: str
    browser: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    signed_in: str = ""
    consented: tuple[str, str] = ("", "")
    address: str = ""


class Answered(Refusal):
    """The request has got its answer, a moment ago.

    Args:
        secret: names it.
        answer: sealed; empty while it is being made, or if no form gets it again.
    """

    def __init__(self, secret: str, answer: str) -> None:
        super().__init__("This page was answered before; go back to the application and try again")
        self.secret, self.answer = secret, answer


def begin(asked: AuthorizationRequest, request: Request, server: Server) -> Response:
    """Answer at once if nothing is left to do, else let the request wait and lead to the page that comes next.

    Raises:
        OAuthError: something is left to do, and the request forbids to ask.
        Throttled: too many requests of this address wait.
    """
    browser = browser_of(request, server)
    step, sign_in = next_step(asked, browser, Interaction("", ""), server)
    if step is None and browser is not None and sign_in is not None:
        answer = _granted(asked, browser, sign_in, server)
        answer.headers += state_if_new(request, browser, server) if asked.is_openid else ()
        return answer
    assert step is not None
    if "none" in asked.prompt:  # OIDC Core §3.1.2.6
        raise _WHERE_NONE_IS_ASKED[step]("The person must do something first")
    server.throttles.waiting(request.address, FLOOD)
    cookie = value_of(request, server)
    headers: Headers = ()
    if not cookie:
        cookie = server.browsers.new_cookie()
        headers = (set_cookie(cookie, server),)
    waiting = Interaction(server.browsers.new_cookie(), _bound(cookie), asked.parameters, address=request.address)
    _keep(waiting, server)
    return _lead_to(step, waiting, server, headers)


def find(request: Request, server: Server) -> Interaction:
    """Return the request that a page belongs to.

    Raises:
        Answered: it was answered a moment ago, in this browser.
        Refusal: there is none, it waited too long, or it belongs to another browser.
    """
    secret = request.query.get(PARAMETER) or request.form.get(PARAMETER, "")
    entry = server.state.get(Kind.INTERACTION, credentials.digest(secret), server.clock()) if secret else None
    values = orjson.loads(entry.data) if entry else {}
    cookie = value_of(request, server)
    if not cookie or values.get("browser") != _bound(cookie):
        raise _expired()
    if _ANSWER in values:
        raise Answered(secret, values[_ANSWER])
    return _unpack(secret, values)


def _expired() -> Refusal:
    return Refusal("This page has expired, or belongs to another browser; go back to the application and try again")


def resume(
    waiting: Interaction, cookie: str, server: Server, headers: Headers = (), *, by: Actor | None = None
) -> Response:
    """Go on after a page: to the next one, or to the client with its answer.

    Args:
        cookie: of the browser, as it is now.
        headers: to be sent with the answer, such as a new cookie.
        by: who has just allowed what the request asks for: that is remembered if this gives it its answer.

    Raises:
        Answered: it got one at the same moment; nothing is remembered or given.
        Refusal: it is gone.
    """
    redirect, asked = asked_by(waiting, server)
    waiting = replace(waiting, browser=_bound(cookie))
    try:
        browser = server.browsers.find(cookie)
        step, sign_in = next_step(asked, browser, waiting, server)
        if step is None and browser is not None and sign_in is not None:
            _end(waiting, server)
            if by is not None:
                client_id, claims = asked.client.client_id, asked.claims.names()
                server.consents.remember(sign_in.uid, client_id, asked.scope, claims, by)
            answer = _granted(asked, browser, sign_in, server)
            answer.headers += with_state(headers, browser, server) if asked.is_openid else headers
            return answer
    except Refusal:
        raise
    except OAuthError as error:
        answer = refuse(redirect, error, server)
        answer.headers += headers
        return answer
    assert step is not None
    _change(waiting, _entry(waiting, server), server)
    return _lead_to(step, waiting, server, headers)


def _granted(asked: AuthorizationRequest, browser: Browser, sign_in: SignIn, server: Server) -> Response:
    """The answer; from now on the client hears of the end of this sign-in.

    Raises:
        LoginRequired: that has ended this moment.
        Refusal: it was pushed, and answered before.
    """
    if not server.browsers.tell(browser, sign_in, asked.client.client_id):
        raise LoginRequired("The person has signed out")
    pushed_authorization.answer_once(asked.parameters, server)
    return grant(asked, browser, sign_in, server)


def asked_by(waiting: Interaction, server: Server) -> tuple[authorization_request.ProvenRedirect, AuthorizationRequest]:
    """Return the request itself, proven and checked anew: client and settings may have changed while it waited.

    Raises:
        Refusal: its client is gone, or has another redirect URI now.
    """
    redirect = authorization_request.prove(waiting.parameters, set(), server)
    try:
        return redirect, authorization_request.check(waiting.parameters, set(), redirect, server)
    except OAuthError as error:
        raise Refusal(error.description) from None


def deny(waiting: Interaction, error: OAuthError, server: Server) -> Response:
    """End a request with an error for the client.

    Raises:
        Answered: it got an answer at the same moment.
        Refusal: it is gone.
    """
    _end(waiting, server)
    pushed_authorization.answer_once(waiting.parameters, server)
    redirect = authorization_request.prove(waiting.parameters, set(), server)
    return refuse(redirect, error, server)


def next_step(
    asked: AuthorizationRequest, browser: Browser | None, waiting: Interaction, server: Server
) -> tuple[Step | None, SignIn | None]:
    """Return the page that comes next, or None, and the sign-in that it is about or that the client is told of."""
    sign_in = _account(asked, browser, waiting, server)
    if sign_in is None:
        return Step.LOGIN, None
    user = server.browsers.user(sign_in)
    assert user is not None
    if waiting.signed_in != sign_in.uid and _is_stale(asked, sign_in, user, server):
        return Step.LOGIN, None
    _check_person(asked, sign_in, server)
    if "select_account" in asked.prompt and waiting.account != sign_in.uid:
        return Step.SELECT, sign_in
    if user.must_change_password:
        return Step.PASSWORD, sign_in
    if needs_consent(asked, user, waiting, server):
        return Step.CONSENT, sign_in
    return None, sign_in


def _account(
    asked: AuthorizationRequest, browser: Browser | None, waiting: Interaction, server: Server
) -> SignIn | None:
    """The sign-in that is meant: of the account chosen here, of the one hinted at, else of the last one."""
    if browser is None:
        return None
    if waiting.account:
        return browser.of(waiting.account)
    if asked.hint:  # OIDC Core §3.1.2.1: another person must not be taken for this one
        return next((one for one in browser.sign_ins if subject(one.uid, asked.client, server) == asked.hint), None)
    return browser.sign_ins[0]


def _check_person(asked: AuthorizationRequest, sign_in: SignIn, server: Server) -> None:
    """Refuse another person than the one who is meant, and a sign-in that is less sure than it must be."""
    if asked.hint and subject(sign_in.uid, asked.client, server) != asked.hint:  # OIDC Core §3.1.2.1
        raise LoginRequired("Another person has signed in")
    if not acr.satisfies(sign_in.amr, asked.claims.essential_acr):
        raise UnmetAuthenticationRequirements("The person cannot sign in as acr demands")


def _is_stale(asked: AuthorizationRequest, sign_in: SignIn, user: User, server: Server) -> bool:
    """Whether the person must prove to be it once more (S-026), or can prove it better."""
    if "login" in asked.prompt:
        return True
    if second_factor.is_on(user) and not acr.satisfies(sign_in.amr, asked.claims.essential_acr):
        return True
    return asked.max_age is not None and server.clock() - sign_in.auth_time >= asked.max_age


def needs_consent(asked: AuthorizationRequest, user: User, waiting: Interaction, server: Server) -> bool:
    """Whether the person must be asked; what they have said in this interaction counts, even if it is not kept."""
    client = asked.client
    if waiting.consented == (user.uid, asked.scope):
        return False
    if "consent" in asked.prompt:
        return True
    if client.first_party:
        return False
    if not proves_itself(asked):  # RFC 8252 §8.6: any program could claim to be it (S-027)
        return True
    return not server.consents.covers(user.uid, client.client_id, asked.scope, asked.claims.names())


def proves_itself(asked: AuthorizationRequest) -> bool:
    """Whether a client can be told from an impostor: by a secret, or by an address that only it has."""
    if asked.client.token_endpoint_auth_method != "none":
        return True
    parts = urlsplit(asked.redirect.uri)
    return parts.scheme == "https" and parts.hostname not in LOOPBACK_HOSTS


def signed_in(waiting: Interaction, uid: str) -> Interaction:
    """Return a request whose person has just signed in."""
    return replace(waiting, account=uid, signed_in=uid)


def selected(waiting: Interaction, uid: str) -> Interaction:
    """Return a request whose person has chosen an account."""
    return replace(waiting, account=uid)


def consented(waiting: Interaction, uid: str, scope: str) -> Interaction:
    """Return a request that its person has agreed to."""
    return replace(waiting, consented=(uid, scopes.normal(scope)))


def _bound(cookie: str) -> str:
    return credentials.digest(cookie).hex()


def repeat(error: Answered, sent: str, server: Server) -> Response | None:
    """Return the answer to a form that is sent once more; None if it is still being made, or that of another form.

    Args:
        sent: as it was for `keep_answer`.
    """
    return repeated_answer.opened(error.answer, f"{error.secret} {sent}", server) if error.answer else None


def keep_answer(waiting: Interaction, answer: Response, sent: str, server: Server) -> None:
    """Let a form that has just ended a request get the same answer once more, for GRACE seconds.

    Args:
        sent: what it must send again, beside the request's secret: the browser's cookie, and what was decided.
    """
    ended, kept = _ended(waiting, "", server), repeated_answer.sealed(answer, f"{waiting.secret} {sent}", server)
    with suppress(Unavailable):  # the answer counts, whether or not it can be had twice
        server.state.swap(Kind.INTERACTION, ended, _ended(waiting, kept, server), server.clock())


def _end(waiting: Interaction, server: Server) -> None:
    """End a request that gets its answer: exactly one caller does. There is room for another one of its address."""
    _change(waiting, _ended(waiting, "", server), server)
    server.throttles.waited(waiting.address, FLOOD)


def _change(waiting: Interaction, new: Entry, server: Server) -> None:
    """Replace what is kept of a request that still waits; what has got its answer never waits again.

    Raises:
        Answered: it has got its answer.
        Refusal: it is gone.
    """
    now = server.clock()
    while (current := server.state.get(Kind.INTERACTION, new.key, now)) is not None:
        values = orjson.loads(current.data)
        if _ANSWER in values:
            raise Answered(waiting.secret, values[_ANSWER])
        if server.state.swap(Kind.INTERACTION, current, new, now):
            return
    raise _expired()


def _keep(waiting: Interaction, server: Server) -> None:
    server.state.put(Kind.INTERACTION, _entry(waiting, server), server.clock())


def _entry(waiting: Interaction, server: Server) -> Entry:
    values = {name: value for name, value in asdict(waiting).items() if name != "secret"}
    return Entry(credentials.digest(waiting.secret), server.clock() + TTL, orjson.dumps(values))


def _ended(waiting: Interaction, answer: str, server: Server) -> Entry:
    """What is known of a request for a moment after it has ended."""
    values = {"browser": waiting.browser, _ANSWER: answer}
    return Entry(credentials.digest(waiting.secret), server.clock() + GRACE, orjson.dumps(values))


def _unpack(secret: str, values: Mapping[str, Any]) -> Interaction:
    return Interaction(secret, **{**values, "consented": tuple(values["consented"])})


def _lead_to(step: Step, waiting: Interaction, server: Server, headers: Headers) -> Response:
    location = f"{server.url(step.value)}?{urlencode({PARAMETER: waiting.secret})}"
    return Response(303, b"", (("Location", location), *headers))
