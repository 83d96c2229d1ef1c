"""Whether the time of an answer tells which secrets and names exist."""

import time

from tests import proves
from tests.servers.visitors import Registered, Visitor

TRIES = 120
DIFFERENCE = 0.001  # seconds between the quickest answers: far below the noise of any network


@proves("S-001", "RFC 9700 §2.5")
def test_the_time_tells_nothing_of_a_client(visitor: Visitor):
    """An unknown client, a wrong secret and another client's secret take equally long, tried in turn."""
    client, other = visitor.client(), visitor.client()
    kinds = {
        "unknown client": Registered("c" + "0" * 15, "x" * 43),
        "wrong secret": Registered(client.client_id, "x" * 43),
        "another's secret": Registered(client.client_id, other.secret),
    }
    quickest = dict.fromkeys(kinds, 10.0)
    for _ in range(TRIES):
        visitor.move()  # no throttle decides
        for kind, pair in kinds.items():
            began = time.perf_counter()
            assert visitor.ask_token(pair).status == 401
            quickest[kind] = min(quickest[kind], time.perf_counter() - began)
    assert max(quickest.values()) - min(quickest.values()) < DIFFERENCE, quickest
