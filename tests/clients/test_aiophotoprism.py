"""aiophotoprism, the library behind Home Assistant's integration."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiophotoprism import Photoprism
from aiophotoprism.exceptions import PhotoprismUnauthorizedError

from tests import proves
from tests.servers.visitors import SESSION, Visitor

PASSWORD = "Blue-whale-42-sings"


def run(conversation: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a thread: browser tests leave an event loop running in theirs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, conversation).result()


@proves("CONTRACT §5")
def test_it_logs_in_and_keeps_its_session(visitor: Visitor):
    """One login serves several requests; the session is the person's, and ends when it is revoked."""
    user = visitor.user(PASSWORD)

    async def talk() -> tuple[str, str, str]:
        async with Photoprism(user.name, PASSWORD, url=visitor.server.issuer) as client:
            first = await client.config()
            session_id = await client._api.session_id()
            second = await client.config()
            return first["authMode"], second["authMode"], session_id

    first, second, session_id = run(talk())
    assert (first, second) == ("password", "password")
    answer = visitor.call("GET", SESSION, headers={"X-Session-ID": session_id})
    assert answer.json["user"]["UID"] == user.uid


def test_it_understands_a_refusal(visitor: Visitor):
    """A wrong password is its own error, not a broken answer."""
    user = visitor.user(PASSWORD)

    async def talk() -> None:
        async with Photoprism(user.name, "Wrong-whale-42-sings", url=visitor.server.issuer) as client:
            await client.config()

    with pytest.raises(PhotoprismUnauthorizedError):
        run(talk())
