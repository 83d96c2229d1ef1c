"""A client that openapi-python-client generates from the document, used as its own authors say."""

import base64
import importlib
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests import proves
from tests.servers.visitors import Visitor

PASSWORD = "Blue-whale-42-sings"
PACKAGE = "generated_client"


class Generated:
    """The modules of the generated package."""

    def __init__(self, warnings: str) -> None:
        self.warnings = warnings

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.{name}")

    def client(self, url: str) -> Any:
        return self.module("client").Client(base_url=url)

    def authenticated(self, url: str, token: str, prefix: str = "Bearer") -> Any:
        return self.module("client").AuthenticatedClient(base_url=url, token=token, prefix=prefix)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, live: Any) -> Iterator[Generated]:
    """Generate it from what a server answers, and import it from a temporary folder."""
    folder = tmp_path_factory.mktemp("generated")
    document, settings = folder / "openapi.json", folder / "settings.yml"
    document.write_bytes(Visitor(live).call("GET", "/api/v1/openapi.json").body)
    settings.write_text("post_hooks: []\n")
    command = ["-m", "openapi_python_client", "generate", "--path", document, "--config", settings]
    made = subprocess.run(
        [sys.executable, *command, "--meta", "none", "--output-path", folder / PACKAGE],
        capture_output=True,
        text=True,
        check=True,
    )
    sys.path.insert(0, str(folder))
    yield Generated(made.stdout + made.stderr)
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def basic(client_id: str, secret: str) -> str:
    """What follows `Basic` in the header."""
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def test_the_document_is_understood_in_full(generated: Generated):
    """The generator leaves nothing out but one answer whose types it does not know: files of the documentation."""
    warned = [line for line in generated.warnings.splitlines() if line.startswith("WARNING")]
    assert [line.split()[3] for line in warned] == ["/api/v1/docs/{file}"]


@proves("CONTRACT §5")
def test_it_logs_in_makes_an_app_password_and_checks_it(generated: Generated, visitor: Visitor):
    """Login, app password, introspection by a resource service, the list, and the end of all of them."""
    user, service = visitor.user(PASSWORD), visitor.client("introspect")
    url, models = visitor.server.issuer, generated.module("models")
    photoprism, oauth = "api.photo_prism.", "api.o_auth."

    login = generated.module(photoprism + "post_session")
    session = login.sync(client=generated.client(url), body=models.LoginRequest(username=user.name, password=PASSWORD))
    assert isinstance(session, models.Session)
    assert session.user.uid == user.uid

    person = generated.authenticated(url, session.access_token)
    asked = models.TokenRequest(
        grant_type="password", username=user.name, password=PASSWORD, client_name="Phone", scope="sessions"
    )
    made = generated.module(oauth + "post_oauth_token").sync(client=person, body=asked)
    assert isinstance(made, models.TokenResponse)
    assert made.client_name == "Phone"

    introspect = generated.module(oauth + "post_oauth_introspect")
    resource_service = generated.authenticated(url, basic(service.client_id, service.secret), "Basic")
    question = models.IntrospectionRequest(token=made.access_token)
    told = introspect.sync(client=resource_service, body=question)
    assert isinstance(told, models.Introspection)
    assert (told.active, told.username, told.sub, told.scope) == (True, user.name, user.uid, "sessions")

    listing = generated.module(photoprism + "get_users_by_uid_sessions")
    entries = listing.sync(user.uid, client=person, count=10)
    assert [(entry.client_name, entry.auth_scope) for entry in entries] == [("Phone", "sessions")]

    revoke = generated.module(oauth + "post_oauth_revoke")
    ended = revoke.sync(client=person, body=models.RevocationRequest(token=entries[0].id))
    assert isinstance(ended, models.Deleted)
    assert introspect.sync(client=resource_service, body=question).active is False
    assert generated.module(photoprism + "delete_session").sync(client=person).status == "deleted"


def test_it_understands_refusals(generated: Generated, visitor: Visitor):
    """Errors are objects too, each of its own form."""
    user, url, models = visitor.user(PASSWORD), visitor.server.issuer, generated.module("models")
    login = generated.module("api.photo_prism.post_session")
    wrong = models.LoginRequest(username=user.name, password="Wrong-whale-42-sings")
    refused = login.sync_detailed(client=generated.client(url), body=wrong)
    assert (refused.status_code, type(refused.parsed)) == (401, models.PhotoPrismError)
    assert refused.parsed.error == "Invalid credentials"
    token = generated.module("api.o_auth.post_oauth_token")
    stranger = generated.authenticated(url, basic("nobody", "0" * 43), "Basic")
    answer = token.sync_detailed(client=stranger, body=models.TokenRequest(grant_type="client_credentials"))
    assert (answer.status_code, answer.parsed.error) == (401, "invalid_client")
    keys = generated.module("api.admin.get_admin_keys").sync_detailed(client=generated.authenticated(url, "0" * 48))
    assert (keys.status_code, type(keys.parsed)) == (401, models.Problem)
