"""Our hot paths beside the bare callable: all servers live, taking turns, on one core."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, servers, site
from bench.load import Ask, Outcome
from bench.servers import Running
from bench.site import Site
from bench.stores import Place, Store

MAX_P99 = 30.0  # milliseconds


EVERY = ("sqlite", "postgresql", "postgresql+redis")


@dataclass(frozen=True)
class Case:
    """One request that is measured.

    Args:
        name: for `--only`.
        make: makes the request for a server on this port.
        targets: by kind of server, the least ratio to the bare callable; empty where this version has none.
        holds: on which stores it is a target; on others the figures are given without one.
        core: whether it is measured on every store, and not on SQLite alone.
    """

    name: str
    title: str
    make: Callable[[Site, int], Ask]
    targets: Mapping[str, float] = field(default_factory=dict)
    holds: Sequence[str] = ("sqlite",)
    core: bool = False

    def target(self, store: str, server: str) -> float | None:
        """Return the least ratio to the bare callable, if there is one here."""
        return self.targets.get(server) if store in self.holds else None


_INTROSPECTION = {"gunicorn": 0.50, "granian": 0.22}
_OPAQUE = {"gunicorn": 0.35, "granian": 0.08}
_JWT = {"gunicorn": 0.27, "granian": 0.06}
_DOCUMENT = {"gunicorn": 0.65, "granian": 0.45}
_SESSION = {"gunicorn": 0.30, "granian": 0.08}
_NOT_YET = ("sqlite", "postgresql+redis")  # of opaque tokens on PostgreSQL alone there is no target yet


def _introspection(made: Site, port: int) -> Ask:
    token = site.answer(port, made.opaque.token())["access_token"]
    return made.opaque.ask(site.INTROSPECT, f"token={token}")


def _read_anew(made: Site, port: int) -> Ask:
    """A token that newer ones may displace: no process remembers it (docs/decisions/0037)."""
    token = site.answer(port, made.opaque_limited.token())["access_token"]
    return made.opaque.ask(site.INTROSPECT, f"token={token}")


def _get_session(made: Site, port: int) -> Ask:
    token = site.answer(port, site.login())["access_token"]
    return Ask(site.SESSION, headers={"X-Auth-Token": token})


def _post_session(made: Site, port: int) -> Ask:
    return Ask(site.SESSION, "POST", {"Authorization": f"Bearer {made.app_password}"})


def _login(made: Site, port: int) -> Ask:
    return site.login(made.app_password)


CASES = (
    Case("introspection", "introspection of an active token", _introspection, _INTROSPECTION, EVERY, core=True),
    Case(
        "introspection-anew", "… read from the store each time", _read_anew, _INTROSPECTION, ("sqlite",), core=True
    ),
    Case("opaque", "client_credentials, opaque", lambda made, port: made.opaque.token(), _OPAQUE, _NOT_YET, core=True),
    Case(
        "opaque-limited", "… at most 10 living tokens", lambda made, port: made.opaque_limited.token(),
        _OPAQUE, _NOT_YET, core=True,
    ),
    Case("jwt", "client_credentials, JWT ES256", lambda made, port: made.jwt.token(), _JWT, EVERY, core=True),
    Case(
        "jwt-limited", "… at most 10 living tokens", lambda made, port: made.jwt_limited.token(),
        _JWT, EVERY, core=True,
    ),
    Case("jwks", "JWKS", lambda made, port: Ask("/.well-known/jwks.json"), _DOCUMENT, EVERY, core=True),
    Case(
        "discovery", "discovery", lambda made, port: Ask("/.well-known/oauth-authorization-server"), _DOCUMENT, EVERY
    ),
    Case("session", "GET /api/v1/session", _get_session, _SESSION, EVERY, core=True),
    Case("app-password", "POST /api/v1/session with an app password", _post_session, {"gunicorn": 0.15}),
    Case("app-login", "… in place of the password", _login),
    Case("authorize", "silent authorization, for a code", lambda made, port: made.openid.silent(), {"gunicorn": 0.15}),
    Case(
        "refresh", "refresh, with an ID token (ES256)", lambda made, port: made.openid.refresh(),
        {"gunicorn": 0.12}, core=True,
    ),
    Case("userinfo", "userinfo", lambda made, port: made.openid.userinfo(), {"gunicorn": 0.30}),
    Case("flow", "code flow: silent authorization, token, userinfo", lambda made, port: made.openid.flow()),
)  # fmt: skip


def chosen(store: str, only: Sequence[str]) -> list[Case]:
    """Return the cases of a store: those in *only*, else on SQLite all, elsewhere what every store is asked for."""
    return [case for case in CASES if (case.name in only if only else store == "sqlite" or case.core)]


@dataclass(frozen=True)
class Result:
    """All rounds of one case on one kind of server and one store."""

    case: Case
    store: str
    server: str
    bare: Sequence[Outcome]
    ours: Sequence[Outcome]

    @property
    def ratios(self) -> list[float]:
        return shares(self.ours, self.bare)

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
    def target(self) -> float | None:
        return self.case.target(self.store, self.server)

    @property
    def verdict(self) -> str:
        """Whether the target is held: ratio, p99 and no error; `–` where there is no target."""
        if self.target is None:
            return "–"
        return "hold" if self.ratio >= self.target and self.p99 <= MAX_P99 and not self.failed else "MISS"


def shares(ours: Sequence[Outcome], others: Sequence[Outcome]) -> list[float]:
    """Return how much of the other's rate ours is, round by round; a run that failed counts as 0."""
    return [our.rate / other.rate if other.rate else 0.0 for our, other in zip(ours, others, strict=True)]


def measure(
    kind: str,
    stores: Sequence[Store],
    only: Sequence[str],
    rounds: int,
    seconds: int,
    wrk: str,
    cores: tuple[int, int],
    folder: Path,
) -> Iterator[Result]:
    """Measure one kind of server on all *stores* at once, beside one bare callable.

    Args:
        only: names of cases; empty for those of each store.
        seconds: of each run; a run of one second before the first round does not count.
        cores: for the servers, and for the load.
    """
    with ExitStack() as stack:

        def running(command: Sequence[str], place: Place) -> Running:
            return stack.enter_context(servers.running(command, servers.environment(place, kind), cores[0]))

        bare = running(servers.BARE, Place(folder / "bare"))
        live = []
        for store in stores:
            place = store.place(kind)
            made = site.prepare(place)
            live.append((store.name, made, running(servers.SERVE, place)))
        for case in CASES:
            turns = [
                (name, ours.url, case.make(made, ours.port)) for name, made, ours in live if case in chosen(name, only)
            ]
            for _, url, ask in turns:
                load.run(wrk, url, ask, 1, cores[1])
            plain: list[Outcome] = []
            outcomes: dict[str, list[Outcome]] = {name: [] for name, _, _ in turns}
            for _ in range(rounds if turns else 0):
                plain.append(load.run(wrk, bare.url, Ask("/"), seconds, cores[1]))
                for name, url, ask in turns:
                    outcomes[name].append(load.run(wrk, url, ask, seconds, cores[1]))
            yield from (Result(case, name, kind, plain, found) for name, found in outcomes.items())
