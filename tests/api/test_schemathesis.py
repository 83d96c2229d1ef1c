"""schemathesis reads the document and tries a real server by it: what is promised holds, and bad input is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from auth_server.protocol import examples
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from tests import proves
from tests.documented import prepare
from tests.servers.auth_server import AuthServer, running
from tests.servers.visitors import basic_header

SEED, EXAMPLES = 20, 5  # for each operation and phase; by hand it was run with 50 and several seeds
# Where a request that fits its schema may be refused with 400 all the same, because no schema can tell:
REFUSED_FOR_WHAT_IS_KNOWN = (
    # RFC 6749 §5.2: clients, grants, scopes and codes that do not fit together are 400
    {"include-tag": "OAuth"},
    # photoprism-contract section 6: so is a wrong old password, and a new one that is too common
    {"include-operation-id": "put_users_by_uid_password"},
    # an algorithm that is not among SIGNING_ALGS
    {"include-operation-id": "post_admin_keys_rotate"},
    # the member `id` of a session, a copy of its token, is no `id` of these paths, and is tried as one
    {"include-path-regex": "/sessions?/.id.$"},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server whose throttles hold nobody up, with all that the examples speak of."""
    folder = tmp_path_factory.mktemp("schemathesis")
    with running(folder, workers=1, login_burst=100000, auth_burst=100000) as made:
        prepare(made.inside)
        yield made


class Credentials:
    """For each request a fresh token that reaches as far as its operation asks, or else the client's secret."""

    def __init__(self, server: AuthServer) -> None:
        self._server = server.inside
        self._scoped: dict[str, str] = {}

    def get(self, case: Any, context: Any) -> str | None:
        for way in case.operation.definition.raw.get("security", ()):
            if "bearer" in way:
                return f"Bearer {self._token(*way['bearer'])}"
            if "client" in way:
                return basic_header(examples.CLIENT_ID, examples.CLIENT_SECRET)
        return None

    def set(self, case: Any, data: str, context: Any) -> None:
        kept = {name: value for name, value in (case.headers or {}).items() if name.lower() not in TOKEN_HEADERS}
        case.headers = {**kept, "Authorization": data}

    def _token(self, scope: str = "") -> str:
        if not scope:  # a session may be ended by the very request
            jane = self._server.records.users.get(examples.UID)
            return issue(Authorization("local", "default", "password", "", 3600, user=jane), self._server).value
        if scope not in self._scoped:
            client = self._server.clients.add({"client_name": "test", "scope": scope}).client
            allowed = Authorization("client", "oauth2", "client_credentials", scope, 3600, client)
            self._scoped[scope] = issue(allowed, self._server).value
        return self._scoped[scope]


TOKEN_HEADERS = ("authorization", "x-auth-token", "x-session-id")  # several that differ are refused


def configuration() -> SchemathesisConfig:
    """All checks in all phases: examples, edges, random ones, and sequences along the links."""
    refusing = {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", "400", "401", "403", "404", "409", "429"]}
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "operations": [{**where, "checks": refusing} for where in REFUSED_FOR_WHAT_IS_KNOWN],
        }
    )


def failures(event: events.ScenarioFinished) -> Iterator[str]:
    """What went wrong in one scenario, with the request and its answer."""
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            failure, case = check.failure_info.failure, event.recorder.cases[case_id].value
            seen = event.recorder.interactions.get(case_id)
            answer = seen.response if seen else None
            yield (
                f"{check.name}: {case.operation.label}: {failure.title}: {failure.message}\n"
                f"  {case.path_parameters} {case.query} {case.headers} {case.body!r}\n"
                f"  {answer and answer.status_code} {answer and answer.content[:300]!r}"
            )


@proves("S-147", "S-151")
def test_the_server_does_what_its_document_says(server: AuthServer):
    """No undocumented status, type, header or body; good requests taken, bad ones refused; nothing without a token."""
    schema = schemathesis.openapi.from_url(f"{server.issuer}/api/v1/openapi.json", config=configuration())

    @schema.auth(refresh_interval=None)
    class OfThisServer(Credentials):
        def __init__(self) -> None:
            super().__init__(server)

    found: list[str] = []
    phases: dict[str, str] = {}
    tried: set[str] = set()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found += failures(event)
            tried |= {case.value.operation.label for case in event.recorder.cases.values()}
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.append(str(getattr(event, "info", None) or getattr(event, "exception", event)))
        elif isinstance(event, events.PhaseFinished):
            phases[event.phase.name.value] = event.status.value
    assert not found, "\n".join(found)
    assert {phases[name] for name in ("examples", "coverage", "fuzzing", "stateful")} == {"success"}, phases
    assert len(tried) >= sum(1 for _ in schema.get_all_operations())
    log = server.log()
    assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
