"""Clients from npm: where they are, and openid-client as a program that does one step after the other."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.packages import find, javascript

PROGRAM = "openid_client.mjs"


class Refused(Exception):
    """What openid-client told in place of an answer."""


class OpenIdClient:
    """A running program that uses openid-client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, order: str, **details: Any) -> Any:
        """Let it take a step, and return the answer.

        Raises:
            Refused: an error of the protocol, or of the library's own checks.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if "error" in told:
            raise Refused(f"{told['error']}: {told['message']}")
        return told["answer"]


@contextmanager
def openid_client() -> Iterator[OpenIdClient]:
    """Run it, until the end."""
    process = subprocess.Popen(
        [find("node"), javascript() / PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield OpenIdClient(process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
