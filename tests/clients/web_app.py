"""examples/web_app as a process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.servers.auth_server import ROOT

FOLDER = ROOT / "examples/web_app"


@contextmanager
def running_web_app(address: str, issuer: str, client_id: str, client_secret: str) -> Iterator[None]:
    """Run it at an address, until the end."""
    ours = {"ISSUER": issuer, "CLIENT_ID": client_id, "CLIENT_SECRET": client_secret, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "flask", "--app", FOLDER / "app.py", "run", "--port", str(urlsplit(address).port)]
    process = subprocess.Popen(
        command, env={**os.environ, **ours}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        assert any("Running on http" in line for line in process.stderr), "it did not start"
        yield
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
