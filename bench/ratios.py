"""Our hot paths beside the bare callable: both servers live, taking turns, on one core."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, servers, site
from bench.load import Ask, Outcome
from bench.site import Site

MAX_P99 = 30.0  # milliseconds


@dataclass(frozen=True)
class Case:
    """One request that is measured.

    Args:
        name: for `--only`.
        make: makes the request for a server on this port.
        targets: by kind of server, the least ratio to the bare callable; empty where this version has none.
    """

    name: str
    title: str
    make: Callable[[Site, int], Ask]
    targets: Mapping[str, float] = field(default_factory=dict)


_OPAQUE = {"gunicorn": 0.35, "granian": 0.08}
_JWT = {"gunicorn": 0.27, "granian": 0.06}
_DOCUMENT = {"gunicorn": 0.65, "granian": 0.45}


def _introspection(made: Site, port: int) -> Ask:
    token = site.answer(port, made.opaque.token())["access_token"]
    return made.opaque.ask(site.INTROSPECT, f"token={token}")


def _get_session(made: Site, port: int) -> Ask:
    token = site.answer(port, site.login())["access_token"]
    return Ask(site.SESSION, headers={"X-Auth-Token": token})


def _post_session(made: Site, port: int) -> Ask:
    return Ask(site.SESSION, "POST", {"Authorization": f"Bearer {made.app_password}"})


def _login(made: Site, port: int) -> Ask:
    return site.login(made.app_password)


CASES = (
    Case("introspection", "introspection of an active token", _introspection, {"gunicorn": 0.50, "granian": 0.22}),
    Case("opaque", "client_credentials, opaque", lambda made, port: made.opaque.token(), _OPAQUE),
    Case("opaque-limited", "… at most 10 living tokens", lambda made, port: made.opaque_limited.token(), _OPAQUE),
    Case("jwt", "client_credentials, JWT ES256", lambda made, port: made.jwt.token(), _JWT),
    Case("jwt-limited", "… at most 10 living tokens", lambda made, port: made.jwt_limited.token(), _JWT),
    Case("jwks", "JWKS", lambda made, port: Ask("/.well-known/jwks.json"), _DOCUMENT),
    Case(
        "discovery", "discovery", lambda made, port: Ask("/.well-known/oauth-authorization-server"), _DOCUMENT
    ),
    Case("session", "GET /api/v1/session", _get_session, {"gunicorn": 0.30, "granian": 0.08}),
    Case("app-password", "POST /api/v1/session with an app password", _post_session, {"gunicorn": 0.15}),
    Case("app-login", "… in place of the password", _login),
    Case("authorize", "silent authorization, for a code", lambda made, port: made.openid.silent(), {"gunicorn": 0.15}),
    Case("refresh", "refresh, with an ID token (ES256)", lambda made, port: made.openid.refresh(), {"gunicorn": 0.12}),
    Case("userinfo", "userinfo", lambda made, port: made.openid.userinfo(), {"gunicorn": 0.30}),
    Case("flow", "code flow: silent authorization, token, userinfo", lambda made, port: made.openid.flow()),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """All rounds of one case on one kind of server."""

    case: Case
    server: str
    bare: Sequence[Outcome]
    ours: Sequence[Outcome]

    @property
    def ratios(self) -> list[float]:
        return [ours.rate / bare.rate if bare.rate else 0.0 for bare, ours in zip(self.bare, self.ours, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def p99(self) -> float:
        return statistics.median(outcome.p99 for outcome in self.ours)

    @property
    def failed(self) -> int:
        return sum(outcome.failed for outcome in self.ours)

    @property
    def verdict(self) -> str:
        """Whether the target is held: ratio, p99 and no error; `–` where there is no target."""
        target = self.case.targets.get(self.server)
        if target is None:
            return "–"
        return "hold" if self.ratio >= target and self.p99 <= MAX_P99 and not self.failed else "MISS"


def measure(
    kind: str, cases: Sequence[Case], rounds: int, seconds: int, wrk: str, cores: tuple[int, int], folder: Path
) -> Iterator[Result]:
    """Measure *cases* on one kind of server.

    Args:
        seconds: of each run; a run of one second before the first round does not count.
        cores: for the servers, and for the load.
    """
    home = folder / kind
    server, _ = site.assembled(home)
    made = site.prepare(server)
    server.close()
    ours_environment, bare_environment = servers.environment(home, kind), servers.environment(folder / "bare", kind)
    with (
        servers.running(servers.BARE, bare_environment, cores[0]) as bare,
        servers.running(servers.SERVE, ours_environment, cores[0]) as ours,
    ):
        for case in cases:
            ask = case.make(made, ours.port)
            load.run(wrk, ours.url, ask, 1, cores[1])
            results: tuple[list[Outcome], list[Outcome]] = ([], [])
            for _ in range(rounds):
                results[0].append(load.run(wrk, bare.url, Ask("/"), seconds, cores[1]))
                results[1].append(load.run(wrk, ours.url, ask, seconds, cores[1]))
            yield Result(case, kind, *results)
