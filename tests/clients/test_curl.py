"""curl, as PhotoPrism's documentation uses it: its requests as they are, with our tokens in the place of its own."""

import json
import subprocess
from typing import Any

import pytest

from tests import proves
from tests.servers.packages import find
from tests.servers.visitors import Visitor

PASSWORD = "Blue-whale-42-sings"


class Curl:
    """A shell with curl, at one address."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor

    def __call__(self, path: str, *arguments: str) -> tuple[int, str]:
        """Return status and body of one call."""
        url = f"{self._visitor.server.issuer}{path}"
        own = ["--silent", "--show-error", "--interface", self._visitor.address, "--write-out", "\n%{http_code}"]
        command = [str(find("curl")), *own, *arguments, url]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=15).stdout
        body, _, status = printed.rpartition("\n")
        return int(status), body

    def json(self, path: str, *arguments: str) -> Any:
        """Return the JSON of a call that succeeds."""
        status, body = self(path, *arguments)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture
def curl(visitor: Visitor) -> Curl:
    """A shell at the visitor's address."""
    return Curl(visitor)


def header(name: str, value: str) -> tuple[str, str]:
    return "-H", f"{name}: {value}"


@proves("CONTRACT §5")
@pytest.mark.parametrize(("name", "before"), [("Authorization", "Bearer "), ("X-Auth-Token", ""), ("X-Session-ID", "")])
def test_a_token_in_each_of_the_headers(curl: Curl, visitor: Visitor, name: str, before: str):
    """The two documented headers, and the one of old clients."""
    user = visitor.user(PASSWORD)
    told = curl.json("/api/v1/session", *header(name, before + visitor.session(user)))
    assert told["user"]["UID"] == user.uid


def test_signing_in_and_out(curl: Curl, visitor: Visitor):
    """POST session with a JSON body, whether or not its type is declared; DELETE with what it gave."""
    user = visitor.user(PASSWORD)
    body = json.dumps({"username": user.name, "password": PASSWORD})
    for declared in (header("Content-Type", "application/json"), ()):
        told = curl.json("/api/v1/session", "-X", "POST", *declared, "-d", body)
        assert told["token_type"] == "Bearer"
        token = header("X-Auth-Token", told["access_token"])
        assert curl.json("/api/v1/session", "-X", "DELETE", *token)["session_id"] == told["session_id"]
        assert curl("/api/v1/session", *token)[0] == 401


def test_an_app_password_opens_what_its_scope_names(curl: Curl, visitor: Visitor):
    """As bearer token it needs no session; POST session makes a short-lived one of it."""
    user = visitor.user(PASSWORD)
    token = header("Authorization", f"Bearer {visitor.app_password(user, 'sessions')}")
    assert curl.json("/api/v1/session", *token)["provider"] == "application"
    made = curl.json("/api/v1/session", "-X", "POST", *token)
    assert (made["provider"], made["scope"], made["user"]["UID"]) == ("application", "sessions", user.uid)
    assert curl.json("/api/v1/session", *header("X-Auth-Token", made["access_token"]))["scope"] == "sessions"


@proves("RFC 6749 §4.4")
def test_client_credentials_for_the_metrics(curl: Curl, visitor: Visitor):
    """A form with everything in it, and Basic; the token opens the metrics."""
    client = visitor.client("metrics")
    form = f"grant_type=client_credentials&scope=metrics&client_id={client.client_id}&client_secret={client.secret}"
    by_form = header("Content-Type", "application/x-www-form-urlencoded"), ("-d", form)
    by_basic = ("-u", f"{client.client_id}:{client.secret}"), ("-d", "grant_type=client_credentials")
    for how in (by_form, by_basic):
        told = curl.json("/api/v1/oauth/token", "-X", "POST", *how[0], *how[1])
        assert (told["status"], told["token_type"], told["scope"]) == ("success", "Bearer", "metrics")
        status, text = curl("/api/v1/metrics", *header("Authorization", f"Bearer {told['access_token']}"))
        assert (status, text.startswith("# HELP")) == (200, True)


def test_an_app_password_by_the_password_grant_and_its_end(curl: Curl, visitor: Visitor):
    """What PhotoPrism's own pages do for "Apps and Devices"."""
    user = visitor.user(PASSWORD)
    session = header("X-Auth-Token", visitor.session(user))
    asked = {"grant_type": "password", "client_name": "Sync", "scope": "sessions", "expires_in": 3600}
    body = json.dumps({**asked, "username": user.name, "password": PASSWORD})
    typed = header("Content-Type", "application/json")
    made = curl.json("/api/v1/oauth/token", "-X", "POST", *typed, *session, "-d", body)
    assert (len(made["access_token"]), made["client_name"], made["expires_in"]) == (27, "Sync", 3600)
    gone = curl.json("/api/v1/oauth/revoke", "-X", "POST", *typed, "-d", json.dumps({"token": made["access_token"]}))
    assert (gone["status"], gone["session_id"]) == ("deleted", made["session_id"])
    assert curl("/api/v1/session", *header("X-Auth-Token", made["access_token"]))[0] == 401


@pytest.mark.parametrize("document", ["oauth-authorization-server", "openid-configuration"])
def test_discovery(curl: Curl, visitor: Visitor, document: str):
    """Both documents name the endpoints with the issuer's address."""
    told = curl.json(f"/.well-known/{document}")
    assert told["token_endpoint"] == f"{visitor.server.issuer}/api/v1/oauth/token"
    assert "client_credentials" in told["grant_types_supported"]


def test_status_and_configuration_need_no_token(curl: Curl):
    """What a script asks first."""
    assert curl.json("/api/v1/status") == {"status": "operational"}
    assert curl.json("/api/v1/config")["mode"] == "public"
