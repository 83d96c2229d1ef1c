"""Workers that are killed at random moments under load: what was acknowledged holds, and nothing counts twice."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests import proves
from tests.operations.test_worker_deaths import until_it_serves, workers
from tests.servers.auth_server import AuthServer
from tests.servers.traffic import CALLERS, Traffic

KILLS = int(
    os.environ.get("KILLS", "100")
)  # S-131 speaks of a thousand: KILLS=1000 make test T=tests/operations/test_kills.py

NOBODY = 2**22 + 1  # a number that no process can have


@proves("S-131")
@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_what_was_acknowledged_survives_every_kill(tmp_path: Path, kind: str):
    """Tokens, revocations, sessions and refresh tokens; only calls that were under way are lost."""
    chance = random.Random(KILLS)
    server = AuthServer(tmp_path, kind, real_time=True, auth_burst=100000)
    server.start()
    try:
        traffic = Traffic(server, breaks=True)
        with traffic.flowing():
            for _ in range(KILLS):
                traffic.goes_on(chance.randint(1, 20))
                victim = chance.choice(sorted(workers(server)) or [NOBODY])
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            traffic.goes_on()
        assert traffic.wrong() == []
        assert traffic.away() <= KILLS * CALLERS
        until_it_serves(server)
        traffic.check_at(server)
    finally:
        server.stop()
