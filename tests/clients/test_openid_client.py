"""openid-client, the library of most Node programs, which checks what it is told to the letter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Page

from auth_server.store.records import User
from tests import proves
from tests.browser.test_pages import clients_page, press, sign_in
from tests.clients.openid_client import OpenIdClient, Refused, openid_client
from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import Registered, Visitor

GUNICORN = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid profile email offline_access"


@pytest.fixture
def program() -> Iterator[OpenIdClient]:
    """The client."""
    with openid_client() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Its redirect URI."""
    with clients_page() as address:
        yield address


@pytest.fixture
def jane(visitor: Visitor) -> User:
    """Somebody to sign in."""
    return visitor.user(display_name="Jane Doe", email="jane@example.org")


def register(visitor: Visitor, elsewhere: str, **values: Any) -> Registered:
    return visitor.client(SCOPE, redirect_uris=(elsewhere,), **values)


def discover(program: OpenIdClient, client: Registered, server: AuthServer, method: str, **more: Any) -> None:
    credentials = {"secret": client.secret} if client.secret else {}
    told = program.do(
        "discover", issuer=server.issuer, client_id=client.client_id, method=method, **credentials, **more
    )
    assert told["issuer"] == server.issuer


def arrive(page: Page, program: OpenIdClient, elsewhere: str, person: User, **parameters: Any) -> str:
    """Send the browser out, sign in and allow where that is asked; return where it comes back to."""
    page.goto(program.do("authorize", redirect_uri=elsewhere, scope=SCOPE, **parameters))
    if page.get_by_label("Password").is_visible():
        sign_in(page, person.name)
    if page.get_by_role("button", name="Allow", exact=True).is_visible():
        press(page, "Allow")
    page.wait_for_url(f"{elsewhere}?**")
    return page.url


@GUNICORN
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"])
def test_the_whole_life_of_a_sign_in(
    program: OpenIdClient, visitor: Visitor, page: Page, elsewhere: str, jane: User, method: str
):
    """Discovery, code with PKCE, userinfo, refresh, introspection, revocation, logout; by each method."""
    key = ECKey.generate_key("P-256", {"kid": "ours", "alg": "ES256"})
    keys = {"jwks": {"keys": [key.as_dict(private=False)]}} if method == "private_key_jwt" else {}
    client = register(
        visitor,
        elsewhere,
        token_endpoint_auth_method=method,
        grant_types=("authorization_code", "refresh_token"),
        post_logout_redirect_uris=(elsewhere,),
        **keys,
    )
    discover(program, client, visitor.server, method, jwk=key.as_dict(private=True))
    tokens = program.do("callback", url=arrive(page, program, elsewhere, jane))
    assert (tokens["claims"]["sub"], tokens["claims"]["acr"]) == (jane.uid, "1")
    told = program.do("userinfo", token=tokens["access_token"], subject=jane.uid)
    assert (told["name"], told["email"]) == ("Jane Doe", "jane@example.org")
    renewed = program.do("refresh", token=tokens["refresh_token"])
    assert renewed["claims"]["sub"] == jane.uid
    assert program.do("userinfo", token=renewed["access_token"], subject=jane.uid)["sub"] == jane.uid
    if method != "none":  # S-050: no public client
        assert program.do("introspect", token=renewed["access_token"])["username"] == jane.name
    program.do("revoke", token=renewed["refresh_token"])
    with pytest.raises(Refused, match="invalid_grant"):
        program.do("refresh", token=renewed["refresh_token"])
    page.goto(program.do("logout", id_token_hint=renewed["id_token"], post_logout_redirect_uri=elsewhere))
    assert page.url == elsewhere
    page.goto(program.do("authorize", redirect_uri=elsewhere, scope=SCOPE, prompt="none"))
    with pytest.raises(Refused, match="login_required"):
        program.do("callback", url=page.url)


@GUNICORN
def test_a_code_counts_once(program: OpenIdClient, visitor: Visitor, page: Page, elsewhere: str, jane: User):
    """The second time the library is told so, in words that it knows."""
    client = register(visitor, elsewhere)
    discover(program, client, visitor.server, "client_secret_basic")
    url = arrive(page, program, elsewhere, jane)
    program.do("callback", url=url)
    with pytest.raises(Refused, match="invalid_grant"):
        program.do("callback", url=url)


@GUNICORN
def test_a_fresh_sign_in_is_proven(program: OpenIdClient, visitor: Visitor, page: Page, elsewhere: str, jane: User):
    """The library compares auth_time with the max_age that it asked for."""
    client = register(visitor, elsewhere)
    discover(program, client, visitor.server, "client_secret_basic")
    url = arrive(page, program, elsewhere, jane, max_age="600")
    assert program.do("callback", url=url, maxAge=600)["claims"]["auth_time"] <= visitor.server.now()


@GUNICORN
@proves("RFC 9101 §5", "OIDC Core §5.3.2")
def test_everything_is_signed(program: OpenIdClient, visitor: Visitor, page: Page, elsewhere: str, jane: User):
    """The request by the client, ID token and userinfo by us, by the algorithm that the client is registered for."""
    key = ECKey.generate_key("P-256", {"kid": "ours", "alg": "ES256"})
    wanted = {"id_token_signed_response_alg": "ES256", "userinfo_signed_response_alg": "ES256"}
    client = register(
        visitor,
        elsewhere,
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [key.as_dict(private=False)]},
        metadata={**wanted, "request_object_signing_alg": "ES256"},
    )
    discover(program, client, visitor.server, "private_key_jwt", jwk=key.as_dict(private=True), metadata=wanted)
    tokens = program.do("callback", url=arrive(page, program, elsewhere, jane, signed=True))
    assert tokens["claims"]["sub"] == jane.uid
    assert program.do("userinfo", token=tokens["access_token"], subject=jane.uid)["email"] == "jane@example.org"


@GUNICORN
def test_a_device_signs_in(program: OpenIdClient, visitor: Visitor, page: Page, jane: User):
    """The person follows the link of its screen."""
    client = visitor.client(
        "openid profile",
        client_name="TV",
        grant_types=(DEVICE,),
        redirect_uris=(),
        token_endpoint_auth_method="none",
    )
    discover(program, client, visitor.server, "none")
    told = program.do("device", scope="openid profile")
    page.goto(told["verification_uri_complete"])
    sign_in(page, jane.name)
    press(page, "Allow")
    page.get_by_role("heading", name="TV is connected").wait_for()
    tokens = program.do("poll", answer={**told, "interval": 0})
    assert tokens["claims"]["sub"] == jane.uid


@proves("S-040", "RFC 9126 §2", "RFC 9449 §8", "FAPI 2.0 SP §5.3.2")
def test_a_bank_signs_people_in(program: OpenIdClient, page: Page, tmp_path: Path):
    """A client of FAPI 2.0, at a server that asks for nonces: pushed, bound to a key, and refreshed by one token."""
    back = "https://bank.example/callback"
    page.route("https://bank.example/**", lambda route: route.fulfill(body="Welcome back"))
    key = ECKey.generate_key("P-256", {"kid": "ours", "alg": "ES256"})
    with running(tmp_path, real_time=True, dpop_nonce_required=True) as server:
        visitor = Visitor(server)
        jane = visitor.user(display_name="Jane Doe", email="jane@example.org")
        client = register(
            visitor,
            back,
            profile="fapi2",
            token_endpoint_auth_method="private_key_jwt",
            grant_types=("authorization_code", "refresh_token"),
            jwks={"keys": [key.as_dict(private=False)]},
        )
        signed = {"id_token_signed_response_alg": "ES256"}
        jwk = key.as_dict(private=True)
        discover(program, client, server, "private_key_jwt", jwk=jwk, metadata=signed, dpop=True)
        tokens = program.do("callback", url=arrive(page, program, back, jane, pushed=True))
        assert (tokens["claims"]["sub"], tokens["token_type"]) == (jane.uid, "dpop")  # as the library writes it
        assert program.do("userinfo", token=tokens["access_token"], subject=jane.uid)["name"] == "Jane Doe"
        for _ in range(3):  # the same token, again and again
            renewed = program.do("refresh", token=tokens["refresh_token"])
            assert program.do("userinfo", token=renewed["access_token"], subject=jane.uid)["name"] == "Jane Doe"
        assert program.do("introspect", token=renewed["access_token"])["cnf"].keys() == {"jkt"}
        program.do("revoke", token=tokens["refresh_token"])
        with pytest.raises(Refused, match="invalid_grant"):
            program.do("refresh", token=tokens["refresh_token"])


@proves("RFC 7591 §3", "OIDC Registration §3")
def test_it_registers_itself(program: OpenIdClient, page: Page, elsewhere: str, tmp_path: Path):
    """Where that is open to everybody; then people sign in to it."""
    with running(tmp_path, real_time=True, registration="open") as server:
        jane = Visitor(server).user(display_name="Jane Doe")
        metadata = {
            "client_name": "Album",
            "redirect_uris": [elsewhere],
            "application_type": "native",
            "token_endpoint_auth_method": "client_secret_post",  # what the library uses then
        }
        told = program.do("register", issuer=server.issuer, metadata=metadata)
        assert (told["client_name"], told["redirect_uris"]) == ("Album", [elsewhere])
        tokens = program.do("callback", url=arrive(page, program, elsewhere, jane))
        assert program.do("userinfo", token=tokens["access_token"], subject=jane.uid)["name"] == "Jane Doe"
