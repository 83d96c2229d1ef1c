"""`python -m bench.peers`, by `make bench-peers`: our server beside others, printed and written to bench/peers.md."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import load, machine, report, servers, site, stores
from bench.load import Ask, Outcome
from bench.peers import others, results
from bench.peers.results import CASES, Rounds
from bench.servers import Running
from bench.site import Client
from bench.stores import Store

RESULTS = Path(__file__).parent.parent / "peers.md"
METHOD = (
    "Each server has one process (ours one worker) on one core; wrk with 16 kept connections, PostgreSQL and Redis"
    " are on the other. All are live and take turns, {rounds} rounds of {seconds} s; the median of the rounds' ratios"
    " counts, least and most stand in brackets. Before and after each run an answer is looked at; a run with an error"
    " counts as 0. Introspection asks about one token over and over: ours remembers for a second what Redis said, and"
    " never beyond a revocation; about a token that newer ones may displace it asks each time. PostgreSQL commits to"
    " disk, Redis has `appendonly yes` and `appendfsync everysec`. Ours logs and counts every request, keeps records in"
    " PostgreSQL and tokens in Redis. oidc-provider has its client in its configuration, tokens in the same Redis as"
    " one string each, commands pipelined, no log. django-oauth-toolkit has gunicorn with the same parser, worker and"
    " threads as ours, connections to PostgreSQL that stay open, one middleware, no log, and compares client secrets as"
    " they are: hashed like passwords, which is its default, one takes 0.4 s."
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each case (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument("--only", choices=CASES, action="append", help="only this case")
    parser.add_argument("--folder", type=Path, help="a new folder to install into (a temporary one)")
    return parser.parse_args()


class Contestants:
    """All servers, live.

    Args:
        stack: ends them.
    """

    def __init__(self, store: Store, folder: Path, core: int, stack: ExitStack) -> None:
        self.peers = [others.oidc_provider(folder / "node"), others.django_oauth_toolkit(folder / "django")]
        theirs = Client("bench", "only-for-the-benchmark-only-for-the-benchmark")
        self._live: list[tuple[str, Running]] = []
        self._asks: dict[str, dict[str, Ask]] = {}
        for peer in self.peers:
            running = stack.enter_context(others.running(peer, theirs, store, core))
            token = _token(running, peer.ask("opaque", theirs, ""))
            asked = {case: peer.ask(results.ASKED.get(case, case), theirs, token) for case in CASES}
            asks = {case: ask for case, ask in asked.items() if ask is not None}
            self._add(peer.name, running, asks)
        for kind in results.OURS:
            place = store.place(kind)
            made = site.prepare(place)
            environment = servers.environment(place, kind.lower())
            running = stack.enter_context(servers.running(servers.SERVE, environment, core))
            ask = made.opaque.ask(site.TOKEN, "grant_type=client_credentials&scope=metrics")
            form = f"token_type_hint=access_token&token={_token(running, ask)}"
            introspection = made.opaque.ask(site.INTROSPECT, form)
            displaced = _token(running, made.opaque_limited.ask(site.TOKEN, ask.body))
            anew = made.opaque.ask(site.INTROSPECT, f"token_type_hint=access_token&token={displaced}")
            jwt = made.jwt.ask(site.TOKEN, ask.body)
            self._add(kind, running, {"opaque": ask, "introspection": introspection, "anew": anew, "jwt": jwt})

    def _add(self, name: str, running: Running, asks: dict[str, Ask]) -> None:
        self._live.append((name, running))
        self._asks[name] = asks

    def measure(self, case: str, rounds: int, seconds: int, wrk: str, core: int) -> Rounds:
        """Let all who can take turns at one case; a run of one second before the first round does not count."""
        turns = [(name, running, self._asks[name][case]) for name, running in self._live if case in self._asks[name]]
        outcomes: dict[str, list[Outcome]] = {name: [] for name, _, _ in turns}
        for _, running, ask in turns:
            load.run(wrk, running.url, ask, 1, core)
        for _ in range(rounds):
            for name, running, ask in turns:
                before = _is_good(running, ask, case)
                outcome = load.run(wrk, running.url, ask, seconds, core)
                if not (before and _is_good(running, ask, case)):
                    outcome = replace(outcome, rate=0.0, failed=outcome.failed + 1)
                outcomes[name].append(outcome)
        return Rounds(case, outcomes)


def _token(running: Running, ask: Ask | None) -> str:
    assert ask is not None
    return str(site.answer(running.port, ask)["access_token"])


def _is_good(running: Running, ask: Ask, case: str) -> bool:
    """Tell whether the answer is what was asked for: a token of the right kind, or that one counts."""
    answer = site.answer(running.port, ask)
    if case in ("introspection", "anew"):
        return answer["active"] is True
    return (answer["access_token"].count(".") == 2) is (case == "jwt")


def main() -> int:
    asked = arguments()
    wrk, cores = machine.find_wrk(), machine.cores()
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder = asked.folder or temporary / "peers"
        (store,) = stack.enter_context(stores.started(["postgresql+redis"], temporary, cores[1]))
        there = Contestants(store, folder, cores[0], stack)
        node, django = (f"{peer.name} {peer.version}" for peer in there.peers)
        parts = [
            *report.head("Results of `make bench-peers`"),
            METHOD.format(rounds=asked.rounds, seconds=asked.seconds),
        ]
        found = []
        for case in asked.only or CASES:
            found.append(there.measure(case, asked.rounds, asked.seconds, wrk, cores[1]))
            print(results.figures(found[-1:]), file=sys.stderr, flush=True)
    first, verdicts = results.of_oidc_provider(node, found)
    second, more = results.of_django(django, found)
    parts += [first, second, results.figures(found)]
    print(*parts, sep="\n\n")
    missed = (verdicts + more).count("MISS")
    print(f"\n{missed} missed of what must be.")
    if not asked.only:
        RESULTS.write_text("\n\n".join(parts) + "\n")
        print(f"Written to {RESULTS.relative_to(Path.cwd())}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
