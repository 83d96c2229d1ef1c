"""The server under a gunicorn that somebody starts, in place of `auth-server serve`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from requests import post

from tests.servers.auth_server import free_port
from tests.servers.processes import children, until_it_listens

ROOT = Path(__file__).parents[2]
GUNICORN = ("-m", "gunicorn", "-c", "config/gunicorn.conf.py", "auth_server.wsgi:application")


def test_gunicorn_serves_by_the_file_that_is_shipped(tmp_path: Path):
    """As `auth-server serve` does, with one core for each worker where they are bound; but it migrates nothing."""
    port = free_port()
    given = {"HOME": tmp_path / "home", "KEYS_DIR": tmp_path / "keys", "PORT": port, "WORKERS": 1, "PIN_WORKERS": "on"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    environment |= {f"AUTH_SERVER_{name}": str(value) for name, value in given.items()}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30
        )

    refused = run(*GUNICORN)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(r"auth-server: .*; run: auth-server db upgrade\n", refused.stderr)
    assert run("-m", "auth_server", "db", "upgrade").returncode == 0
    made = run("-m", "auth_server", "clients", "add", "--name", "shop", "--scope", "metrics", "--json")
    client = json.loads(made.stdout)
    log = tmp_path / "log"
    with log.open("wb") as written:
        process = subprocess.Popen([sys.executable, *GUNICORN], env=environment, cwd=ROOT, stderr=written)
    try:
        until_it_listens(process, port, log)
        answer = post(
            f"http://127.0.0.1:{port}/api/v1/oauth/token",
            auth=(client["client_id"], client["client_secret"]),
            data={"grant_type": "client_credentials", "scope": "metrics"},
            timeout=10,
        )
        assert answer.status_code == 200
        (worker,) = children(process.pid)
        assert len(os.sched_getaffinity(worker)) == 1
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
