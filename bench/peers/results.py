"""What came of the rounds, and what was wanted (the second table of targets)."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import report
from bench.load import Outcome
from bench.ratios import shares

OURS = ("gunicorn", "Granian")
DJANGO = 10.0  # times its throughput
CASES = {
    "opaque": "client_credentials, opaque",
    "introspection": "introspection, the same token",
    "anew": "… by ours read from Redis each time",
    "jwt": "client_credentials, JWT ES256 (ours is stored and revocable, theirs is not)",
}
ASKED = {"anew": "introspection"}  # what a case is for the others, if that is not the same
# Of oidc-provider, with Redis on both sides: what gunicorn must reach, what Granian must, and what we want of Granian.
OIDC_PROVIDER = {"opaque": (0.6, 1.3, 2.0), "introspection": (0.55, 1.4, 3.0), "jwt": (0.6, 1.1, 1.5)}


@dataclass(frozen=True)
class Rounds:
    """All rounds of one case, by who answered."""

    case: str
    outcomes: Mapping[str, Sequence[Outcome]]

    def ratios(self, ours: str, peer: str) -> list[float]:
        return shares(self.outcomes[ours], self.outcomes[peer])

    def ratio(self, ours: str, peer: str) -> float:
        return statistics.median(self.ratios(ours, peer))

    def failed(self, name: str) -> int:
        return sum(outcome.failed for outcome in self.outcomes[name])

    def verdict(self, ours: str, peer: str, least: float) -> str:
        """Tell whether ours reaches it, without a failure on either side: a peer that fails proves nothing."""
        good = self.ratio(ours, peer) >= least and not self.failed(ours) and not self.failed(peer)
        return "OK" if good else "MISS"


def of_oidc_provider(name: str, found: Sequence[Rounds]) -> tuple[str, list[str]]:
    """Return the table of targets, and the verdicts of those that must be reached."""
    head = (f"of {name}, Redis on both sides", "gunicorn", "must", "", "Granian", "must", "", "want", "")
    rows, verdicts = [], []
    for rounds in found:
        if rounds.case not in OIDC_PROVIDER:
            spreads = [_spread(rounds.ratios(ours, "oidc-provider")) for ours in OURS]
            rows.append((CASES[rounds.case], spreads[0], "–", "–", spreads[1], "–", "–", "–", "–"))
            continue
        gunicorn_must, granian_must, want = OIDC_PROVIDER[rounds.case]
        must = [
            rounds.verdict(ours, "oidc-provider", least)
            for ours, least in zip(OURS, (gunicorn_must, granian_must), strict=True)
        ]
        verdicts += must
        rows.append(
            (
                CASES[rounds.case],
                _spread(rounds.ratios("gunicorn", "oidc-provider")),
                f"≥ {gunicorn_must:g}",
                must[0],
                _spread(rounds.ratios("Granian", "oidc-provider")),
                f"≥ {granian_must:g}",
                must[1],
                f"{want:g}",
                "OK" if rounds.verdict("Granian", "oidc-provider", want) == "OK" else "not yet",
            )
        )
    return report.table(head, rows), verdicts


def of_django(name: str, found: Sequence[Rounds]) -> tuple[str, list[str]]:
    """Return the table of how many times its throughput ours has, and the verdicts."""
    head = (f"of {name}", "gunicorn", "must", "", "Granian", "must", "")
    rows, verdicts = [], []
    for rounds in found:
        if rounds.case not in OIDC_PROVIDER or "django-oauth-toolkit" not in rounds.outcomes:
            continue
        row = [CASES[rounds.case]]
        for ours in OURS:
            verdict = rounds.verdict(ours, "django-oauth-toolkit", DJANGO)
            row += [_spread(rounds.ratios(ours, "django-oauth-toolkit"), 1), f"≥ {DJANGO:g}", verdict]
            verdicts.append(verdict)
        rows.append(row)
    return report.table(head, rows), verdicts


def figures(found: Sequence[Rounds]) -> str:
    """Return the table of who answered how often."""
    rows = [
        (
            CASES[rounds.case],
            name,
            f"{statistics.median(outcome.rate for outcome in outcomes):,.0f}",
            f"{min(outcome.rate for outcome in outcomes):,.0f}",
            f"{max(outcome.rate for outcome in outcomes):,.0f}",
            f"{statistics.median(outcome.p99 for outcome in outcomes):.1f}",
            str(rounds.failed(name)),
        )
        for rounds in found
        for name, outcomes in rounds.outcomes.items()
    ]
    return report.table(("what", "who", "a second", "least", "most", "p99 ms", "errors"), rows, words=2)


def _spread(ratios: Sequence[float], digits: int = 2) -> str:
    """Return the median, and least and most."""
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
