"""Apache with mod_auth_openidc, which signs people in before it passes them on to a service behind it."""

import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests import proves
from tests.browser.test_pages import press, sign_in
from tests.servers.auth_server import AuthServer, free_port
from tests.servers.packages import find
from tests.servers.visitors import Registered, Visitor

pytestmark = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc")


class Behind(BaseHTTPRequestHandler):
    """A service behind Apache: it answers with the headers that it got."""

    def do_GET(self) -> None:
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def behind() -> Iterator[int]:
    """The service, running; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Behind) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def configuration(folder: Path, address: str, behind: int, issuer: str, client: Registered) -> str:
    """Return what an administrator of Apache writes."""
    modules = find("mod_auth_openidc.so").parent
    loaded = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in MODULES)
    return f"""
        ServerRoot {folder}
        ServerName 127.0.0.1
        Listen {address.removeprefix("http://")}
        PidFile {folder}/pid
        Mutex file:{folder} default
        ErrorLog /dev/stderr
        LogLevel notice
        User www-data
        Group www-data
        {loaded}

        OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
        OIDCClientID {client.client_id}
        OIDCClientSecret {client.secret}
        OIDCRedirectURI {address}/private/back
        OIDCCryptoPassphrase {os.urandom(16).hex()}
        OIDCScope "openid profile email offline_access"
        OIDCPKCEMethod S256
        OIDCRemoteUserClaim preferred_username

        <Location /private>
          AuthType openid-connect
          Require valid-user
        </Location>
        <Location /admins>
          AuthType openid-connect
          Require claim preferred_username:nobody
        </Location>
        ProxyPass /private/back !
        ProxyPass / http://127.0.0.1:{behind}/
    """


@pytest.fixture(scope="module")
def apache(live: AuthServer, behind: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Apache, whose people are ours; where it is."""
    folder, address = tmp_path_factory.mktemp("apache"), f"http://127.0.0.1:{free_port()}"
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o011)  # its processes have a user of their own
    client = Visitor(live).client(
        "openid profile email offline_access",
        client_name="Private pages",
        redirect_uris=(f"{address}/private/back",),
        post_logout_redirect_uris=(f"{address}/public",),
        grant_types=("authorization_code", "refresh_token"),
    )
    file = folder / "apache.conf"
    file.write_text(configuration(folder, address, behind, live.issuer, client))
    process = subprocess.Popen([find("apache2"), "-f", file, "-DFOREGROUND"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert any("resuming normal operations" in line for line in process.stderr), "it did not start"
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def headers(page: Page) -> dict[str, str]:
    """Return what the service behind Apache was told."""
    told: dict[str, str] = json.loads(page.inner_text("body"))
    return told


@proves("RFC 7636 §4", "OIDC Core §3.1", "RP-Initiated Logout §2")
def test_a_page_is_shown_to_those_who_sign_in(apache: str, page: Page, visitor: Visitor):
    """Login, consent, userinfo and claims in headers; a refresh gives a new token; after the logout it is closed."""
    jane = visitor.user(display_name="Jane Doe", email="jane@example.org")
    page.goto(f"{apache}/private/page?x=1")
    sign_in(page, jane.name)
    press(page, "Allow")
    page.wait_for_url(f"{apache}/private/page?x=1")
    told = headers(page)
    assert (told["OIDC_CLAIM_sub"], told["OIDC_CLAIM_preferred_username"]) == (jane.uid, jane.name)
    assert (told["OIDC_CLAIM_name"], told["OIDC_CLAIM_email"]) == ("Jane Doe", "jane@example.org")
    assert told["OIDC_CLAIM_iss"] == visitor.server.issuer
    hook = {"refresh": f"{apache}/private/again", "access_token": told["OIDC_access_token"]}
    page.goto(f"{apache}/private/back?{urlencode(hook)}")
    page.wait_for_url(f"{apache}/private/again")
    assert headers(page)["OIDC_access_token"] != told["OIDC_access_token"]
    page.goto(f"{apache}/private/back?{urlencode({'logout': f'{apache}/public'})}")
    page.wait_for_url(f"{apache}/public")
    assert "OIDC_CLAIM_sub" not in headers(page)
    page.goto(f"{apache}/private/page")
    expect(page.get_by_label("User name")).to_be_visible()


def test_whoever_says_no_sees_nothing(apache: str, page: Page, visitor: Visitor):
    """The module is told so at its own address, and shows an error in place of the page."""
    page.goto(f"{apache}/private/page")
    sign_in(page, visitor.user().name)
    press(page, "Do not allow")
    page.wait_for_url(f"{apache}/private/back?error=access_denied&**")
    expect(page.get_by_text("Error:")).to_be_visible()


def test_a_claim_decides_who_may_see_a_page(apache: str, page: Page, visitor: Visitor):
    """Somebody else signs in, and it stays closed."""
    page.goto(f"{apache}/private/page")
    sign_in(page, visitor.user().name)
    press(page, "Allow")
    page.wait_for_url(f"{apache}/private/page")
    answer = page.goto(f"{apache}/admins")
    assert answer is not None
    assert answer.status == 401
