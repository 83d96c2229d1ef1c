"""The benchmark says that a target is held only when it is."""

from bench import load, ratios
from bench.load import Ask, Outcome
from bench.peers.results import OURS, Rounds, of_django, of_oidc_provider
from bench.ratios import Result
from bench.scale.purge import LIFE, RATE, Purged

CASES = {case.name: case for case in ratios.CASES}


def outcomes(*rates: float, failed: int = 0, p99: float = 10.0) -> list[Outcome]:
    return [Outcome(rate, p99, failed) for rate in rates]


def test_the_median_of_the_ratios_counts_and_not_the_ratio_of_medians():
    result = Result(CASES["opaque"], "sqlite", "gunicorn", outcomes(100, 200, 1000), outcomes(50, 20, 400))
    assert result.ratio == 0.4
    assert result.verdict == "hold"


def test_an_error_or_a_late_answer_misses_a_target_whatever_the_ratio():
    bare = outcomes(100, 100, 100)
    for ours in (outcomes(90, 90, 90, failed=1), outcomes(90, 90, 90, p99=31.0)):
        assert Result(CASES["opaque"], "sqlite", "gunicorn", bare, ours).verdict == "MISS"


def test_opaque_tokens_on_postgresql_alone_have_no_target():
    bare, ours = outcomes(100), outcomes(1)
    verdicts = {
        store: [Result(CASES[name], store, "gunicorn", bare, ours).verdict for name in ("introspection", "opaque")]
        for store in ratios.EVERY
    }
    assert verdicts == {
        "sqlite": ["MISS", "MISS"],
        "postgresql": ["MISS", "–"],
        "postgresql+redis": ["MISS", "MISS"],
    }


def test_every_store_is_asked_for_the_same_core_and_sqlite_for_everything():
    assert ratios.chosen("sqlite", ()) == list(ratios.CASES)
    core = [case.name for case in ratios.chosen("postgresql", ())]
    assert core == [case.name for case in ratios.chosen("postgresql+redis", ())]
    assert {"introspection", "opaque", "opaque-limited", "jwt", "jwt-limited", "session", "refresh"} <= set(core)
    assert [case.name for case in ratios.chosen("postgresql", ("flow",))] == ["flow"]


def test_a_peer_that_fails_proves_nothing():
    found = Rounds("opaque", {"oidc-provider": outcomes(0, 0, failed=3), **{name: outcomes(9, 9) for name in OURS}})
    assert of_oidc_provider("", [found])[1] == ["MISS", "MISS"]


def test_ten_times_django_oauth_toolkit_is_asked_of_both_servers_where_it_takes_part():
    peers = {"oidc-provider": outcomes(100), "django-oauth-toolkit": outcomes(10)}
    opaque = Rounds("opaque", {**peers, "gunicorn": outcomes(99), "Granian": outcomes(100)})
    jwt = Rounds("jwt", {"oidc-provider": outcomes(100), "gunicorn": outcomes(60), "Granian": outcomes(100)})
    assert of_django("", [opaque, jwt])[1] == ["MISS", "OK"]
    assert of_oidc_provider("", [jwt])[1] == ["OK", "MISS"]


def test_a_table_that_is_emptied_again_and_again_holds_and_one_that_grows_does_not():
    period = [RATE * second for second in range(60)]
    put = [1.0] * (RATE * 180)
    kept = Purged("", 180, [*period, 2000, *period, 3000, *period[:50]], put)
    assert kept.left == [0, 0]
    assert kept.verdict == "hold"
    grown = Purged("", 180, [*period, 20_000, *(20_000 + dead for dead in period), 40_000, 41_000], put)
    assert grown.verdict == "MISS"
    assert Purged("", 180, period * 3, put[: RATE * LIFE]).verdict == "MISS"  # it was not issued as fast as that


def test_requests_in_turn_are_made_before_the_first_is_sent():
    asks = [Ask("/a"), Ask("/b", "POST", {"Authorization": 'Basic "x"'}, "token=1")]
    turn = load.in_turn(asks)
    assert turn.script is not None
    assert turn.script() == (
        "local asks, at = {}, 0\n"
        'init = function() asks = {wrk.format("GET", "/a", {}, nil),'
        ' wrk.format("POST", "/b", {["Authorization"] = "Basic \\"x\\""}, "token=1")} end\n'
        "request = function() at = at % #asks + 1; return asks[at] end\n"
    )
