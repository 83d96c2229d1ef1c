"""`photoprism`, a second library for PhotoPrism: it sends its session as a bearer token."""

import asyncio
from typing import Any

import pytest
from photoprism import PhotoprismClient, PhotoprismSession
from photoprism.exceptions import PhotoprismUnauthorizedError

from tests import proves
from tests.clients.test_aiophotoprism import PASSWORD, run
from tests.servers.auth_server import AuthServer
from tests.servers.visitors import SESSION, Visitor


class Talk(PhotoprismSession):
    """A session that tells its token."""

    def __init__(self, server: AuthServer, name: str, password: str) -> None:
        super().__init__(name, password, f"127.0.0.1:{server.port}", loop=asyncio.get_running_loop())

    async def ask(self, path: str, method: str = "GET") -> tuple[str, Any]:
        """Return the session's token and one answer."""
        try:
            answer = await self.req(path, method=method)  # type: ignore[call-overload]
            return await self.get_auth_token(), answer
        finally:
            await self._session.close()


@proves("CONTRACT §5")
@pytest.mark.parametrize("path", ["config", "session"])
def test_it_logs_in_and_keeps_its_session(visitor: Visitor, path: str):
    """It signs in by itself, and what it asks then is answered to the person."""
    user = visitor.user(PASSWORD)

    async def talk() -> tuple[str, Any]:
        return await Talk(visitor.server, user.name, PASSWORD).ask(path)

    token, told = run(talk())
    assert (told if path == "config" else told["config"])["mode"] == "user"
    assert visitor.call("GET", SESSION, bearer=token).json["user"]["UID"] == user.uid


def test_it_signs_out(visitor: Visitor):
    """After its DELETE the session is over."""
    user = visitor.user(PASSWORD)

    async def talk() -> tuple[str, Any]:
        return await Talk(visitor.server, user.name, PASSWORD).ask("session", "DELETE")

    token, told = run(talk())
    assert told["status"] == "deleted"
    assert visitor.call("GET", SESSION, bearer=token).status == 401


def test_it_understands_a_refusal(visitor: Visitor):
    """A wrong password is its own error; the rest of its interface is never reached."""
    user = visitor.user(PASSWORD)

    async def talk() -> None:
        await PhotoprismClient(Talk(visitor.server, user.name, "Wrong-whale-42-sings")).config.get_config()

    with pytest.raises(PhotoprismUnauthorizedError):
        run(talk())
