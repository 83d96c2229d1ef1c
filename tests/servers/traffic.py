"""Programs that call a server as fast as it answers, and know what it must answer."""

import http.client
import json
import random
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.test import Client as HttpClient

from auth_server import assembly
from tests.people import join
from tests.relying_party import AUTHORIZE, REDIRECT_URI, VERIFIER, Browser, relying_party
from tests.servers.auth_server import AuthServer
from tests.servers.visitors import FORM, INTROSPECT, REVOKE, SESSION, TOKEN, Registered, Visitor
from tests.sites import Site

CALLERS = 4
AWAY = (502, 503)
KEPT = 40  # living tokens that each caller remembers
PATIENCE = 60  # seconds for a number of calls
JWKS = "/.well-known/jwks.json"


class Caller(threading.Thread):
    """A program that issues, checks, revokes and refreshes as fast as it is answered, and checks every answer.

    Attributes:
        wrong: what should never have been answered.
        away: calls that got no answer but 502 or 503.
        alive, dead: tokens whose issue, or whose revocation, was acknowledged.
    """

    def __init__(self, traffic: "Traffic", number: int, refresh_token: str, cookie: str) -> None:
        super().__init__(name=f"caller {number}", daemon=True)
        self._traffic, self._random = traffic, random.Random(number)
        self._refresh_token, self._cookie = refresh_token, cookie
        self._http = http.client.HTTPConnection("127.0.0.1", traffic.port, timeout=20)
        self.wrong: list[str] = []
        self.away: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.alive: list[str] = []
        self.dead: list[str] = []

    def run(self) -> None:
        calls = [self.issue, self.issue_jwt, self.check, self.check, self.revoke, self.check_dead, self.keys]
        calls += [self.session, self.refresh, self.code]
        while not self._traffic.over.is_set():
            call = self._random.choice(calls)
            try:
                call()
            except Exception as error:  # the test tells of it; a thread's end would go unseen
                self.wrong.append(f"{call.__name__}: {error!r}")
                self._http.close()
            self._traffic.count()

    def call(
        self,
        what: str,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        client: Registered | None = None,
        token: str = "",
        cookie: str = "",
    ) -> tuple[int, Any] | None:
        """Return status and JSON of an answer, or where it leads; None if there was none."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Cookie": cookie} if cookie else {}
        if client:
            headers["Authorization"] = "Basic " + b64encode(f"{client.client_id}:{client.secret}".encode()).decode()
        body = None
        if form is not None:
            headers["Content-Type"], body = FORM, urlencode(form)
        try:
            self._http.request(method, path, body, headers)
            answer = self._http.getresponse()
            told = answer.read()
        except (ConnectionError, http.client.HTTPException) as error:
            self._http.close()
            if not self._traffic.breaks:
                raise
            if isinstance(error, ConnectionRefusedError):  # no worker is there, and nothing was sent
                self._traffic.over.wait(0.01)
            else:
                self.away[what] += 1
            return None
        if answer.status in AWAY:
            self.away[what] += 1
            if answer.status == 503 and not answer.headers["Retry-After"]:
                self.wrong.append(f"{what}: 503 without Retry-After")
            return None
        self.done[what] += 1
        if answer.status == 303:
            return answer.status, answer.headers["Location"]
        return answer.status, json.loads(told) if told else None

    def expect(self, what: str, wanted: int, answer: tuple[int, Any] | None) -> Any:
        """Return the JSON of an answer that must have this status, if there was one."""
        if answer is None:
            return None
        if answer[0] != wanted:
            self.wrong.append(f"{what}: {answer}")
            return None
        return answer[1]

    # ---- what it does
    def _issue(self, what: str, client: Registered) -> str | None:
        form = {"grant_type": "client_credentials"}
        told = self.expect(what, 200, self.call(what, "POST", TOKEN, form, client))
        if told is None:
            return None
        token: str = told["access_token"]
        self.alive.append(token)
        return token

    def issue(self) -> None:
        self._issue("issue", self._traffic.opaque)

    def issue_jwt(self) -> None:
        token = self._issue("issue a JWT", self._traffic.jwt)
        keys = self.call("keys", "GET", JWKS)
        if token and keys:
            jwt.decode(token, KeySet.import_key_set(keys[1]), algorithms=["ES256"])

    def _checked(self, what: str, token: str, wanted: bool) -> None:
        told = self.expect(what, 200, self.call(what, "POST", INTROSPECT, {"token": token}, self._traffic.checker))
        if told is not None and told["active"] is not wanted:
            self.wrong.append(f"{what}: {told}")

    def check(self) -> None:
        if self.alive:
            self._checked("check", self._random.choice(self.alive), True)

    def check_dead(self) -> None:
        if self.dead:
            self._checked("check a dead one", self._random.choice(self.dead), False)

    def revoke(self) -> None:
        while self.alive:
            token = self.alive.pop(0)
            if self.expect("revoke", 200, self.call("revoke", "POST", REVOKE, {"token": token}, None)) is not None:
                self.dead.append(token)  # else nobody knows whether it lives
            if len(self.alive) <= KEPT:
                return

    def keys(self) -> None:
        """Always answered: a proxy asks another replica, and no store has to be there."""
        if self.expect("keys", 200, self.call("keys", "GET", JWKS)) is None and not self._traffic.breaks:
            self.wrong.append("no JWKS")

    def session(self) -> None:
        """Open a session by app password, use it, close it.

        Where a replica dies that has closed it, but not said so, a proxy asks another one, which knows no such session.
        """
        opened = self.expect("open", 200, self.call("open", "POST", SESSION, None, token=self._traffic.app_password))
        if opened is None:
            return
        token = opened["access_token"]
        self.expect("session", 200, self.call("session", "GET", SESSION, token=token))
        closed = self.call("close", "DELETE", SESSION, token=token)
        if closed is not None:
            self.expect("close", 401 if closed[0] == 401 and self._traffic.is_behind_proxy else 200, closed)
            self.expect("closed", 401, self.call("closed", "GET", SESSION, token=token))

    def refresh(self) -> None:
        """Rotate; where the answer was lost, ask again: nobody may be signed out by that."""
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        told = self.expect("refresh", 200, self.call("refresh", "POST", TOKEN, form, self._traffic.party))
        if told is not None:
            self._refresh_token = told["refresh_token"]

    def code(self) -> None:
        """Get a code without being asked, and redeem it again and again: it counts once, and a second try ends that.

        Whoever got no answer does not know whether it was redeemed; whoever asks next is told.
        """
        request = f"{AUTHORIZE}?{urlencode(self._traffic.request)}"
        located = self.expect("authorize", 303, self.call("authorize", "GET", request, cookie=self._cookie))
        if located is None:
            return
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        form["code"] = dict(parse_qsl(urlsplit(located).query))["code"]
        answers = [self.call("redeem", "POST", TOKEN, form, self._traffic.party) for _ in range(3)]
        told = [answer for answer in answers if answer is not None]
        given = [json["access_token"] for status, json in told if status == 200]
        if len(given) > 1 or {status for status, _ in told} - {200, 400}:
            self.wrong.append(f"redeem: {told}")
        if 400 in [status for status, _ in told]:
            self.dead += given


class Traffic:
    """All callers, and what they know.

    Args:
        server: that it is about, running.
        port: which they call; the server's own if it is 0.
        breaks: whether a connection may break while a call is under way; else that is wrong.
    """

    def __init__(self, server: AuthServer, port: int = 0, *, breaks: bool = False) -> None:
        self.port, self.is_behind_proxy, self.breaks = port or server.port, port != 0, breaks
        here = site_of(server)
        join(here)
        party = relying_party(here)
        visitor = Visitor(server)
        self.opaque = visitor.client("introspect", token_limit=-1)
        self.jwt = visitor.client("introspect", token_limit=-1, token_format="jwt")
        self.checker = visitor.client("introspect")
        self.party = Registered(party.client_id, party.secret or "")
        person = here.server.users.find("jane")
        self.app_password = here.app_password(person, "sessions")
        self.admin = Visitor.token(visitor, visitor.client("admin:keys"))
        self.over = threading.Event()
        self._calls, self._counted = 0, threading.Condition()
        self.request = party.request(prompt="none")
        self.callers = []
        for number in range(CALLERS):
            browser = Browser(here)
            given = party.tokens(browser, scope="openid offline_access")
            self.callers.append(Caller(self, number, given["refresh_token"], browser.cookies()))

    def count(self) -> None:
        with self._counted:
            self._calls += 1
            self._counted.notify_all()

    def goes_on(self, calls: int = 60) -> None:
        """Wait for so many more calls."""
        with self._counted:
            enough = self._calls + calls
            assert self._counted.wait_for(lambda: self._calls >= enough, PATIENCE), "the traffic stands still"

    def away(self) -> int:
        """How many calls have had no answer."""
        return sum(sum(caller.away.values()) for caller in self.callers)

    def check_at(self, server: AuthServer) -> None:
        """Make sure that a server knows every token whose issue or revocation was acknowledged."""
        visitor = Visitor(server)
        for caller in self.callers:
            assert [token for token in caller.alive if not visitor.introspect(token, self.checker)["active"]] == []
            assert [token for token in caller.dead if visitor.introspect(token, self.checker)["active"]] == []

    def done(self) -> Counter[str]:
        """How many calls of each kind were answered."""
        return sum((caller.done for caller in self.callers), Counter())

    def wrong(self) -> list[str]:
        return [wrong for caller in self.callers for wrong in caller.wrong]

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let them call meanwhile."""
        for caller in self.callers:
            caller.start()
        try:
            yield
        finally:
            self.over.set()
            for caller in self.callers:
                caller.join(30)


def site_of(server: AuthServer) -> Site:
    """The server's stores with an application in this process, to sign a person in."""
    application = assembly.application(server.inside, assembly.stores(server.settings))
    return Site(server.inside, application, HttpClient(application), server.inside.clock)  # type: ignore[arg-type]
