"""The example of a resource service, as its README starts it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests import proves
from tests.proofs import Prover
from tests.servers.auth_server import ROOT, AuthServer, free_port
from tests.servers.visitors import TOKEN, Visitor

API = "https://photos.example.org"


@pytest.fixture(scope="module")
def service(live: AuthServer) -> Iterator[int]:
    """The service, running; its port."""
    registered = Visitor(live).client("photos", resource=(API,))
    port = free_port()
    ours = {"ISSUER": live.issuer, "CLIENT_ID": registered.client_id, "CLIENT_SECRET": registered.secret}
    environment = {**os.environ, **ours, "AUDIENCE": API, "PORT": str(port)}
    command = [sys.executable, ROOT / "examples/resource_service/app.py"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert any("Running on http" in line for line in process.stderr), "the service did not start"
        yield port
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def get(port: int, path: str, token: str | None) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(("path", "form"), [("/introspected", "opaque"), ("/introspected", "jwt"), ("/jwt", "jwt")])
def test_a_token_meant_for_it_is_taken(visitor: Visitor, service: int, path: str, form: str):
    """By introspection of either form, and by signature."""
    client = visitor.client("photos", token_format=form, audience=(API,))
    assert get(service, path, visitor.token(client)) == (200, {"photos": ["beach.jpg"], "sub": client.client_id})


@pytest.mark.parametrize("path", ["/introspected", "/jwt", "/session"])
def test_whatever_is_not_meant_for_it_is_refused(visitor: Visitor, service: int, path: str):
    """No token, nonsense, another audience, another kind."""
    foreign = visitor.token(visitor.client("photos", token_format="jwt", audience=("https://other.example.org",)))
    for token in (None, "x", "a.b.c", "0" * 48, foreign, visitor.token(visitor.client("photos", token_format="jwt"))):
        assert get(service, path, token)[0] == 401, token


@proves("S-100", "RFC 9449 §7.2")
@pytest.mark.parametrize("path", ["/introspected", "/jwt", "/session"])
def test_a_token_that_is_bound_to_a_key_is_refused(visitor: Visitor, service: int, path: str):
    """It checks no proofs; and as a bearer token whoever steals it could use it."""
    client = visitor.client("photos", token_format="jwt", audience=(API,))
    proof = Prover(visitor.server.issuer).proof(visitor.server.now(), TOKEN)
    headers = {"DPoP": proof}
    bound = visitor.post(TOKEN, {"grant_type": "client_credentials"}, basic=client.basic, headers=headers).json
    assert bound["token_type"] == "DPoP"
    assert get(service, path, bound["access_token"])[0] == 401


@pytest.mark.parametrize("path", ["/introspected", "/jwt"])
def test_the_scope_must_reach_it(visitor: Visitor, service: int, path: str):
    """403 to a token that counts, but not for photos."""
    client = visitor.client("metrics", token_format="jwt", audience=(API,))
    assert get(service, path, visitor.token(client)) == (403, {"error": "insufficient_scope"})


def test_introspection_knows_of_a_revocation(visitor: Visitor, service: int):
    """At once; a signature alone does not tell."""
    token = visitor.token(visitor.client("photos", token_format="jwt", audience=(API,)))
    assert visitor.post("/api/v1/oauth/revoke", {"token": token}).status == 200
    assert get(service, "/introspected", token)[0] == 401
    assert get(service, "/jwt", token)[0] == 200


def test_a_person_is_known_by_their_session(visitor: Visitor, service: int):
    """The token is forwarded to GET session."""
    user = visitor.user()
    assert get(service, "/session", visitor.session(user)) == (200, {"photos": ["beach.jpg"], "sub": user.uid})
