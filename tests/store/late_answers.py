"""An answer that nobody waits for any more."""

import pytest
from sqlalchemy import Engine, text

from auth_server.errors import Unavailable
from auth_server.store.engine import reading
from tests.servers.proxy import Proxy


def check_late_answer(engine: Engine, slow: Proxy) -> None:
    """Make sure that an answer which comes too late meets no other question.

    Args:
        engine: to a database behind *slow*.
    """

    def ask() -> None:
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
            slow.hold(0)
            connection.execute(text("SELECT 'late'"))

    with pytest.raises(Unavailable):
        ask()
    slow.release()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 'fresh'")).scalar_one() == "fresh"
