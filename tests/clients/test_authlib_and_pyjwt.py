"""Authlib as the client and PyJWT as the resource service, while keys rotate under load."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import ClientSecretJWT

from tests import proves
from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import Registered, Visitor

API = "https://api.example.org"
MAX_AGE, LIFESPAN = 2, 1  # seconds that keys may be kept, and that the service keeps them
THREADS, PATIENCE = 3, 20


def authlib(server: AuthServer, client: Registered, method: str = "client_secret_basic") -> OAuth2Session:
    """Return Authlib's client as its manual shows it."""
    return OAuth2Session(
        client.client_id,
        client.secret,
        scope="photos",
        token_endpoint=f"{server.issuer}/api/v1/oauth/token",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_authlib_authenticates_by_each_method(visitor: Visitor, method: str):
    """Fetch, introspect, use and revoke a token, with nothing but the library."""
    server = visitor.server
    client = visitor.client("photos metrics", token_endpoint_auth_method=method)
    session = authlib(server, client, method)
    if method == "client_secret_jwt":
        session.register_client_auth_method(ClientSecretJWT(f"{server.issuer}/api/v1/oauth/token"))
    token = session.fetch_token(grant_type="client_credentials")
    assert (token["token_type"], token["scope"]) == ("Bearer", "photos")
    url = f"{server.issuer}/api/v1/oauth"
    assert session.introspect_token(f"{url}/introspect", token=token["access_token"]).json()["active"]
    assert session.get(f"{server.issuer}/api/v1/metrics").status_code == 403
    assert session.revoke_token(f"{url}/revoke", token=token["access_token"]).status_code == 200
    assert visitor.introspect(token["access_token"], visitor.client("introspect")) == {"active": False}


@proves("S-121", "OIDC Core §10.1.1")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_rotation_under_load_fails_no_request(tmp_path: Path, kind: str):
    """Programs fetch tokens and a service checks each with keys from its cache, while two rotations go by: no request
    and no check fails, and every token that was issued before still verifies afterwards."""
    with running(tmp_path, kind, real_time=True, jwks_max_age=MAX_AGE) as server:
        client = Visitor(server).client("photos", token_format="jwt", audience=(API,), token_limit=-1)
        verifier = jwt.PyJWKClient(f"{server.issuer}/.well-known/jwks.json", lifespan=LIFESPAN)
        tokens: dict[str, list[str]] = {}  # by kid
        seen, enough = threading.Condition(), threading.Event()

        def check(token: str) -> str:
            key = verifier.get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, ["ES256"], audience=API, issuer=server.issuer, leeway=2)
            assert claims["client_id"] == client.client_id
            return str(key.key_id)

        def work() -> None:
            session = authlib(server, client)
            while not enough.is_set():
                token = session.fetch_token(grant_type="client_credentials")["access_token"]
                kid = check(token)
                with seen:
                    tokens.setdefault(kid, []).append(token)
                    seen.notify_all()

        with ThreadPoolExecutor(THREADS) as pool:
            working = [pool.submit(work) for _ in range(THREADS)]
            try:
                with seen:
                    assert seen.wait_for(lambda: tokens, PATIENCE), working
                for _ in range(2):
                    (told,) = server.inside.keyring.rotate("ES256")
                    with seen:
                        assert seen.wait_for(lambda kid=told.kid: len(tokens.get(kid, ())) > 10, PATIENCE), working
            finally:
                enough.set()
            for each in working:
                each.result()
        assert len(tokens) == 3
        for token in [token for each in tokens.values() for token in each[:20]]:
            check(token)
