"""A person who is signed in and has allowed a client what it asks for: what clients then ask, again and again."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode

from auth_server.domain.audit import SERVER
from auth_server.domain.browsers import SignIn
from auth_server.protocol.authorization_grant import Allowed, first_refresh_token, issued_as
from auth_server.protocol.browser_cookie import name_of
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import issue
from auth_server.protocol.tokens.id_token import Authentication
from auth_server.store.records import Client, User
from bench.load import CONNECTIONS, Ask

AUTHORIZE, TOKEN, USERINFO = "/api/v1/oauth/authorize", "/api/v1/oauth/token", "/api/v1/oauth/userinfo"
CALLBACK, SCOPE = "https://app.example.org/callback", "openid profile offline_access"
VERIFIER = "correct-horse-battery-staple-correct-horse-battery"
LINES = 2 * CONNECTIONS  # of refresh tokens, so that each connection always finds one

# What a response leads to is asked next, on whichever connection is free.
_CHAIN = """
local token = "/api/v1/oauth/token"
local post = {["Content-Type"] = "application/x-www-form-urlencoded", ["Authorization"] = "Basic %(pair)s"}
local queue, first = {}, %(first)s
request = function() return table.remove(queue, 1) or wrk.format(unpack(first)) end
response = function(status, headers, body) %(response)s end
"""
_REFRESH = """
  local value = string.match(body, '"refresh_token":"([^"]+)"')
  table.insert(queue, wrk.format("POST", token, post, "grant_type=refresh_token&refresh_token=" .. (value or "lost")))
"""
_FLOW = """
  local code = string.match(headers["Location"] or "", "code=([^&]+)")
  local value = string.match(body, '"access_token":"([^"]+)"')
  if code then table.insert(queue, wrk.format("POST", token, post, "%(form)s" .. code))
  elseif value then
    table.insert(queue, wrk.format("GET", "/api/v1/oauth/userinfo", {["Authorization"] = "Bearer " .. value}))
  end
"""


@dataclass(frozen=True)
class Openid:
    """A client that signs people in, and what it holds.

    Args:
        lines: makes refresh tokens that nobody has used.
    """

    client_id: str
    secret: str
    cookie: str
    access_token: str
    lines: Callable[[], list[str]]

    def silent(self) -> Ask:
        """Return an authorization request that needs nobody."""
        return Ask(f"{AUTHORIZE}?{urlencode(self._request())}", headers={"Cookie": self.cookie})

    def userinfo(self) -> Ask:
        return Ask(USERINFO, headers={"Authorization": f"Bearer {self.access_token}"})

    def refresh(self) -> Ask:
        """Return a request whose refresh token is each time the one that was answered last."""

        def script() -> str:
            forms = [f"grant_type=refresh_token&refresh_token={line}" for line in self.lines()]
            asks = ", ".join(f'wrk.format("POST", token, post, "{form}")' for form in forms)
            begin = f"init = function() queue = {{{asks}}} end\n"
            return _CHAIN % {"pair": self._pair(), "first": "{}", "response": _REFRESH} + begin

        return Ask(TOKEN, "POST", script=script)

    def flow(self) -> Ask:
        """Return a code flow: authorization, token, userinfo."""
        target = f"{AUTHORIZE}?{urlencode(self._request())}"
        first = f'{{"GET", "{target}", {{["Cookie"] = "{self.cookie}"}}}}'
        members = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        response = _FLOW % {"form": f"{urlencode(members)}&code="}
        return Ask(AUTHORIZE, script=lambda: _CHAIN % {"pair": self._pair(), "first": first, "response": response})

    def _pair(self) -> str:
        return base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()

    def _request(self) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        return {
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": SCOPE,
            "state": "af0ifjsldkj",
            "nonce": "n-0S6_WzA2Mj",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "prompt": "none",
        }


def prepare(server: Server, person: User, again: Callable[[], Server]) -> Openid:
    """Sign a person in, and let them allow a client everything.

    Args:
        again: returns a server over the same stores, when this one is closed.
    """
    members = {
        "client_name": "bench",
        "redirect_uris": (CALLBACK,),
        "grant_types": ("authorization_code", "refresh_token"),
        "metadata": {"id_token_signed_response_alg": "ES256"},
    }
    new = server.clients.add(members)
    cookie, browser = server.browsers.sign_in("", person, ("pwd",))
    server.consents.remember(person.uid, new.client.client_id, SCOPE, (), SERVER)
    allowed = _allowed(server, person, new.client, browser.sign_ins[0])
    given = issued_as(allowed, new.client, person, "authorization_code", SCOPE, lambda _: {}, server)

    def lines() -> list[str]:
        there = again()
        made = [
            first_refresh_token(_allowed(there, person, new.client, browser.sign_ins[0]), new.client, person, there)
            for _ in range(LINES)
        ]
        there.close()
        return made

    return Openid(
        new.client.client_id, new.secret or "", f"{name_of(server)}={cookie}", issue(given, server).value, lines
    )


def _allowed(server: Server, person: User, client: Client, sign_in: SignIn) -> Allowed:
    authentication = Authentication(person.uid, sign_in.auth_time, sign_in.amr, sign_in.sid)
    versions = (person.password_version, person.token_version, client.token_version)
    return Allowed(SCOPE, authentication, server.random(32), *versions)
