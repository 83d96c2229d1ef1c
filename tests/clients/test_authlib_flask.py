"""Authlib's Flask client with a refresh token, which it uses by itself when an access token has expired."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, Response, url_for
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from tests.browser.test_pages import press, sign_in
from tests.servers.auth_server import AuthServer, free_port
from tests.servers.visitors import Visitor

pytestmark = pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
SCOPE = "openid profile offline_access"


def application(issuer: str, client_id: str, client_secret: str, tokens: list[dict[str, Any]]) -> Flask:
    """Return an application that keeps the tokens of its only person."""
    app = Flask("notes")
    app.secret_key = "x" * 32
    client = OAuth(app, update_token=lambda name, token, **old: tokens.append(token)).register(
        "us",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )

    @app.get("/login")
    def login() -> Response:
        return client.authorize_redirect(url_for("callback", _external=True))

    @app.get("/callback")
    def callback() -> str:
        tokens.append(client.authorize_access_token())
        return "signed in"

    @app.get("/later")
    def later() -> str:
        """Much later: the access token has expired."""
        return f"Hello, {client.userinfo(token={**tokens[-1], 'expires_at': 1})['name']}"

    return app


@pytest.fixture
def tokens() -> list[dict[str, Any]]:
    """What the application has got, the newest last."""
    return []


@pytest.fixture
def notes(live: AuthServer, tokens: list[dict[str, Any]]) -> Iterator[str]:
    """The application, running; where it is."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    grants = ("authorization_code", "refresh_token")
    client = Visitor(live).client(SCOPE, redirect_uris=(f"{address}/callback",), grant_types=grants)
    http = make_server("127.0.0.1", port, application(live.issuer, client.client_id, client.secret, tokens))
    thread = Thread(target=http.serve_forever)
    thread.start()
    yield address
    http.shutdown()
    thread.join()


def test_it_renews_an_expired_token_by_itself(notes: str, page: Page, visitor: Visitor, tokens: list[dict[str, Any]]):
    """Twice, each time with the refresh token that it was given last."""
    page.goto(f"{notes}/login")
    sign_in(page, visitor.user(display_name="Jane Doe").name)
    press(page, "Allow")
    expect(page.get_by_text("signed in")).to_be_visible()
    for _ in range(2):
        page.goto(f"{notes}/later")
        expect(page.get_by_text("Hello, Jane Doe")).to_be_visible()
    assert len({token["access_token"] for token in tokens}) == 3
    assert len({token["refresh_token"] for token in tokens}) == 3
