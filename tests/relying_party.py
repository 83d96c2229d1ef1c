"""A client that signs people in, and the browser that they do it with, at a server in this process."""

import base64
import re
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from werkzeug.test import Client as HttpClient
from werkzeug.test import TestResponse

from tests.people import PASSWORD
from tests.sites import Site

REDIRECT_URI = "https://app.example.org/callback"
AUTHORIZE, TOKEN, USERINFO = "/api/v1/oauth/authorize", "/api/v1/oauth/token", "/api/v1/oauth/userinfo"
VERIFIER = "correct-horse-battery-staple-correct-horse-battery"
CHALLENGE = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
_FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


class Browser:
    """A browser with its cookies; it follows what leads to our own pages, and stops at the client's."""

    def __init__(self, here: Site, address: str = "192.0.2.7") -> None:
        self._here, self._address = here, address
        self.http = HttpClient(here.application)
        self.page: TestResponse | None = None

    def open(self, path: str, method: str = "GET", **options: Any) -> TestResponse:
        """Ask for a page or send a form, and go where it leads, as long as that is here."""
        issuer = self._here.server.issuer
        options.setdefault("base_url", issuer)
        answer = self.http.open(path, method=method, environ_base={"REMOTE_ADDR": self._address}, **options)
        while answer.status_code == 303 and answer.headers["Location"].startswith(f"{issuer}/"):
            location = answer.headers["Location"].removeprefix(issuer)
            answer = self.http.open(location, base_url=issuer, environ_base={"REMOTE_ADDR": self._address})
            path = location
        self.page, self._path = answer, path
        return answer

    def cookies(self) -> str:
        """Return what it sends of them to every page, as a header's value."""
        kept = self.http._cookies.values()
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in kept)

    def send(self, **fields: str) -> TestResponse:
        """Send the form of the page that is open, with these fields filled in."""
        return self.open(self._path, "POST", data={**self.hidden(), **fields})

    def hidden(self) -> dict[str, str]:
        """Return the hidden fields of the page that is open."""
        assert self.page is not None
        return {name: unescape(value) for name, value in _FIELD.findall(self.page.text)}

    def sign_in(self, name: str = "jane", password: str = PASSWORD) -> TestResponse:
        """Fill in the login form that is open."""
        return self.send(username=name, password=password)

    def allow(self) -> TestResponse:
        """Press the consent form's button."""
        return self.send(decision="allow")


@dataclass(frozen=True)
class RelyingParty:
    """A registered client."""

    here: Site
    client_id: str
    secret: str | None
    defaults: dict[str, str] = field(default_factory=dict)

    def request(self, **parameters: str | None) -> dict[str, str]:
        """Return the parameters of an authorization request; None leaves one out."""
        usual = {
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid",
            "state": "af0ifjsldkj",
            "nonce": "n-0S6_WzA2Mj",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **self.defaults,
        }
        return {name: value for name, value in {**usual, **parameters}.items() if value is not None}

    def start(self, browser: Browser, **parameters: str | None) -> TestResponse:
        """Send a browser to the authorization endpoint."""
        return browser.open(AUTHORIZE, query_string=self.request(**parameters))

    def code(self, browser: Browser, **parameters: str | None) -> str:
        """Return a code: the person signs in and allows it where they are asked."""
        answer = self.start(browser, **parameters)
        if 'name="username"' in answer.text:
            answer = browser.sign_in()
        if 'name="decision"' in answer.text:
            answer = browser.allow()
        return answered(answer)["code"]

    def post(self, path: str = TOKEN, *, proof: str | None = None, **form: str | None) -> TestResponse:
        """Send a form, with the client's credentials.

        Args:
            proof: for the DPoP header.
        """
        sent = {name: value for name, value in form.items() if value is not None}
        headers = {} if proof is None else {"DPoP": proof}
        if self.secret is None:
            return self.here.http.post(path, data={"client_id": self.client_id, **sent}, headers=headers)
        return self.here.http.post(path, data=sent, auth=(self.client_id, self.secret), headers=headers)

    def redeem(self, code: str, **form: str | None) -> TestResponse:
        """Redeem a code."""
        usual = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
        return self.post(grant_type="authorization_code", code=code, **{**usual, **form})

    def tokens(self, browser: Browser, **parameters: str | None) -> dict[str, Any]:
        """Return what a whole flow gives."""
        answer = self.redeem(self.code(browser, **parameters))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json
        return told

    def refresh(self, token: str, **form: str | None) -> TestResponse:
        """Use a refresh token."""
        return self.post(grant_type="refresh_token", refresh_token=token, **form)


def relying_party(here: Site, **values: Any) -> RelyingParty:
    """Register a client that signs people in."""
    members = {
        "client_name": "Album",
        "redirect_uris": (REDIRECT_URI,),
        "grant_types": ("authorization_code", "refresh_token"),
        **values,
    }
    new = here.server.clients.add(members)
    return RelyingParty(here, new.client.client_id, new.secret)


def answered(answer: TestResponse) -> dict[str, str]:
    """Return what the client is told at its redirect URI, in query or fragment."""
    assert answer.status_code == 303, (answer.status_code, answer.text)
    parts = urlsplit(answer.headers["Location"])
    return dict(parse_qsl(parts.fragment or parts.query))
