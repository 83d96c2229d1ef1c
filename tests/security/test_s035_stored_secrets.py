"""A dump of the stores, and everything logged, hold no secret that opens anything."""

import base64
from pathlib import Path

import pytest
from pyotp import TOTP

from auth_server.domain.users import Changes
from auth_server.store.records import User
from tests import proves
from tests.servers.auth_server import ADMIN_PASSWORD, AuthServer
from tests.servers.visitors import INTROSPECT, REVOKE, SESSION, TOKEN, Visitor


@pytest.fixture(params=["gunicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path: Path):
    """A server of its own, which logs everything."""
    made = AuthServer(tmp_path, request.param, log_level="debug")
    made.start()
    yield made
    made.stop()


@proves("S-035", "S-150")
def test_no_secret_is_in_a_file_of_the_server(server: AuthServer):
    """Every kind of secret used once, at DEBUG, well and wrongly: not one is in the stores or in the log."""
    visitor = Visitor(server)
    wrong, typed = "Marked-wrong-password-1", "Marked-right-password-1"
    user = visitor.user(typed)
    client = visitor.client("introspect metrics")
    mac = visitor.client(token_endpoint_auth_method="client_secret_jwt")
    jwt_client = visitor.client(token_format="jwt")
    opaque, jwt = visitor.token(client), visitor.token(jwt_client)
    visitor.post(TOKEN, {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": wrong * 2})
    visitor.call("POST", SESSION, json_body={"username": user.name, "password": wrong})
    session = visitor.call("POST", SESSION, json_body={"username": user.name, "password": typed}).json["access_token"]
    form = {"grant_type": "password", "username": user.name, "password": typed, "client_name": "x", "scope": "sessions"}
    app_password = visitor.post(TOKEN, form, bearer=session).json["access_token"]
    child = visitor.call("POST", SESSION, bearer=app_password).json["access_token"]
    unknown = "ab" * 24
    visitor.call("GET", SESSION, bearer=unknown)
    visitor.post(f"{TOKEN}?client_secret=Marked-query-secret", {"grant_type": "client_credentials"})
    visitor.post(INTROSPECT, {"token": session}, basic=client.basic)
    visitor.post(REVOKE, {"token": child})
    visitor.call("GET", f"{SESSION}/{session}", bearer=session)
    factor = with_second_factor(visitor, user, session, typed)
    secrets = [wrong, typed, ADMIN_PASSWORD, client.secret, mac.secret, jwt_client.secret]
    secrets += [opaque, jwt, session, app_password, child, unknown, "Marked-query-secret", *factor]
    secrets += [base64.b64encode(f"{client.client_id}:{client.secret}".encode()).decode()]
    server.stop()  # so that everything is written
    folders = (server.settings.home, server.settings.keys_path)
    files = {path.name: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}
    files["log"] = server.log().encode()
    assert [(name, secret) for name, held in files.items() for secret in secrets if secret.encode() in held] == []
    assert server.log().count('"event":"request"') >= 12


def with_second_factor(visitor: Visitor, user: User, session: str, password: str) -> list[str]:
    """Give a person a second factor and sign in with it; return what must not be found."""
    path, body = f"/api/v1/users/{user.uid}/passcode", {"type": "totp", "password": password}
    made = visitor.call("POST", path, bearer=session, json_body=body).json
    codes = TOTP(made["Secret"])
    now = visitor.server.now()
    confirm, sign_in = codes.at(now - 30), codes.at(now)
    assert visitor.call("POST", f"{path}/confirm", bearer=session, json_body={**body, "code": confirm}).status == 200
    assert visitor.call("POST", f"{path}/activate", bearer=session, json_body=body).status == 200
    credentials = {"username": user.name, "password": password}
    assert visitor.call("POST", SESSION, json_body=credentials).json["code"] == 32
    signed_in = visitor.call("POST", SESSION, json_body={**credentials, "code": sign_in})
    visitor.call("POST", SESSION, json_body={**credentials, "code": "Marked-code"})
    key = base64.b32decode(made["Secret"])
    secrets = [made["Secret"], made["RecoveryCode"], key.hex(), base64.b64encode(key).decode(), "Marked-code"]
    return [*secrets, "markedcode", signed_in.json["access_token"]]


@proves("S-035")
def test_a_digest_is_no_token(server: AuthServer):
    """What a dump shows of a token opens nothing."""
    visitor = Visitor(server)
    session = visitor.session(visitor.user())
    shown = visitor.call("GET", SESSION, bearer=session).json["session_id"]
    assert visitor.call("GET", SESSION, bearer=shown).status == 401
    assert visitor.call("GET", SESSION, bearer=shown[:48]).status == 401
    service = visitor.client("introspect")
    assert visitor.introspect(shown, service) == {"active": False}


@proves("S-060", "S-013")
def test_what_a_disabled_user_holds_is_dead_everywhere_at_once(server: AuthServer):
    """Sessions, app passwords, what was made with them, and tokens of clients that act for the person."""
    visitor = Visitor(server)
    user = visitor.user(role="admin")
    session = visitor.session(user)
    form = {"grant_type": "session", "username": user.name, "password": "Blue-whale-42-sings", "client_name": "x"}
    app_password = visitor.post(TOKEN, {**form, "scope": "sessions"}, bearer=session).json["access_token"]
    child = visitor.call("POST", SESSION, bearer=app_password).json["access_token"]
    client = visitor.client("metrics", owner_uid=user.uid)
    held = [session, app_password, child, visitor.token(client)]
    service = visitor.client("introspect")
    assert all(visitor.introspect(token, service)["active"] for token in held)
    server.inside.users.change(user.uid, Changes(enabled=False))
    for token in held:
        assert visitor.everywhere(lambda token=token: visitor.introspect(token, service)) == [{"active": False}] * 8
    assert visitor.ask_token(client).status == 401
    server.inside.users.change(user.uid, Changes(enabled=True))
    assert not any(visitor.introspect(token, service)["active"] for token in held)
