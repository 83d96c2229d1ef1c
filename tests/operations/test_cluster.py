"""Mixed traffic at three replicas while they are killed and started, keys are rotated, and Redis is restarted."""

import http.client
import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import proves
from tests.servers import cluster
from tests.servers.cluster import Cluster
from tests.servers.postgresql import PostgreSQL
from tests.servers.traffic import CALLERS, Traffic

ROTATE = "/api/v1/admin/keys/rotate"
KINDS = {
    "issue",
    "issue a JWT",
    "check",
    "check a dead one",
    "revoke",
    "keys",
    "refresh",
    "session",
    "closed",
    "redeem",
}


@pytest.fixture
def at(tmp_path: Path, postgresql_server: PostgreSQL, worker_id: str) -> Iterator[Cluster]:
    """The cluster."""
    database = postgresql_server.create(f"cluster_{worker_id}_{time.time_ns()}")
    with cluster.running(tmp_path / "cluster", database) as at:
        yield at


@proves("S-121", "S-131", "S-132", "S-037", "S-054")
def test_mixed_traffic_sees_no_wrong_answer_while_replicas_keys_and_redis_come_and_go(
    at: Cluster,
) -> None:
    """Only what was under way at a kill gets 502 or 503; all that was acknowledged holds at every replica."""
    traffic = Traffic(at.replicas[0], at.port)
    first, second, third = at.replicas
    with traffic.flowing():
        traffic.goes_on(200)
        assert traffic.away() == 0

        first.stop(signal.SIGKILL)
        traffic.goes_on()
        assert traffic.away() <= CALLERS  # at most one call of each was under way
        first.start()

        before = traffic.away()
        assert _rotate(at.port, traffic.admin) == 200
        traffic.goes_on()
        second.stop(signal.SIGTERM)
        traffic.goes_on()
        assert traffic.away() == before  # a stop in peace costs nobody an answer
        second.start()

        third.stop(signal.SIGKILL)
        assert _rotate(at.port, traffic.admin) in (200, 502)
        traffic.goes_on()
        assert traffic.away() <= before + CALLERS
        third.start()

        at.redis.stop()
        traffic.goes_on(40)
        at.redis.start()
        traffic.goes_on()
        before = traffic.away()
        traffic.goes_on(200)
        assert traffic.away() == before  # nothing has to be restarted
    assert traffic.wrong() == []
    assert set(traffic.done()) >= KINDS
    for replica in at.replicas:
        traffic.check_at(replica)


def _rotate(port: int, token: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", ROTATE, json.dumps({"now": True}), headers)
        return connection.getresponse().status
