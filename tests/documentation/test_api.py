"""Every curl command in the reference of the API gets an answer that the reference describes."""

import subprocess
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from auth_server.domain.audit import Actor
from auth_server.domain.credentials import digest
from auth_server.domain.users import Changes
from auth_server.errors import Conflict
from auth_server.protocol import examples
from tests.servers.auth_server import Pool
from tests.servers.visitors import Visitor
from tools.docs import curl
from tools.docs.declared import operations

OPERATIONS = [(operation["operationId"], method, path, operation) for method, path, operation in operations()]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ALONE = "curl() { command curl -s -o /dev/null -w '%{http_code}' \"$@\"; }\n"
FOR_ADMINS = {"get_sessions"}
# Where the example alone cannot succeed: the answer that it gets, and why.
OTHERWISE = {
    "post_oauth_userinfo": (401, "the token of the example is nobody's"),
    "get_oauth_authorize": (400, "the example names no client"),
    "post_oauth_authorize": (303, "a form from elsewhere is asked again as a link"),
    "post_oauth_par": (400, "the client of the example signs nobody in"),
    "put_oauth_register_by_client_id": (400, "the example names another client"),
    "post_users_by_uid_passcode_confirm": (403, "the code of the example is of another time"),
    "post_users_by_uid_passcode_activate": (403, "there is no confirmed key"),
    "post_users_by_uid_passcode_deactivate": (404, "there is no key"),
}


@pytest.fixture
def visitor(auth_servers: Pool) -> Visitor:
    """Somebody at a server with the people and clients of the examples."""
    visitor = Visitor(auth_servers.get("gunicorn"))
    with suppress(Conflict):
        visitor.server.inside.users.add(examples.NAME, examples.PASSWORD, Changes())
    return visitor


def registration_token(visitor: Visitor, client_id: str) -> str:
    """An initial access token; of a client that there is already, a registration access token."""
    if not client_id:
        return visitor.server.inside.initial_tokens.new(1, 60, Actor("test")).value
    visitor.server.inside.records.clients.change(
        client_id, lambda client: replace(client, registration_token=digest("r" * 43).hex())
    )
    return "r" * 43


@pytest.mark.parametrize(("name", "method", "path", "operation"), OPERATIONS, ids=[one[0] for one in OPERATIONS])
def test_the_example_gets_an_answer_that_is_described(
    visitor: Visitor, name: str, method: str, path: str, operation: dict[str, Any]
) -> None:
    """With what the page says about its variables; it succeeds, but for those named above."""
    user = visitor.user(examples.PASSWORD, role="admin" if name in FOR_ADMINS else "user")
    client = visitor.client("metrics introspect admin:*", grant_types=("client_credentials", DEVICE_GRANT))
    if "userinfo" in path:
        token = visitor.openid_token(user, client)
    elif "register" in path:
        token = registration_token(visitor, "" if method == "POST" else client.client_id)
    else:
        token = visitor.token(client) if "admin" in path or "metrics" in path else visitor.session(user)
    living = visitor.server.inside.tokens.find(visitor.session(user) if "register" in path else token)
    assert living is not None
    variables = {
        "ISSUER": visitor.server.issuer,
        "TOKEN": token,
        "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.secret,
        "USER_UID": user.uid,
        "SESSION_ID": living.token.session_id,
        "REF_ID": living.token.ref_id,
    }
    line = f"{ALONE}{curl.example(method, path, operation)}"
    done = subprocess.run(
        ["bash", "-c", line], env={"PATH": "/usr/bin:/bin", **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in operation["responses"], done.stdout
    if "Pages" in operation["tags"]:  # whose forms are taken only from the browser that has them
        return
    wanted = OTHERWISE[name][0] if name in OTHERWISE else None
    assert int(done.stdout) == wanted if wanted else done.stdout[0] in "23", done.stdout
