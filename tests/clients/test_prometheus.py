"""Prometheus, which gets a token by client credentials before it scrapes."""

import json
import subprocess
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import proves
from tests.servers.auth_server import AuthServer, free_port
from tests.servers.packages import find
from tests.servers.visitors import Registered, Visitor

PATIENCE = 15  # seconds until the first scrape


def job(server: AuthServer, client: Registered, name: str) -> dict[str, Any]:
    """Return what an administrator writes to have us scraped."""
    oauth2 = {
        "client_id": client.client_id,
        "client_secret": client.secret,
        "token_url": f"{server.issuer}/api/v1/oauth/token",
        "scopes": [name],
    }
    targets = [{"targets": [f"127.0.0.1:{server.port}"]}]
    return {"job_name": name, "metrics_path": "/api/v1/metrics", "oauth2": oauth2, "static_configs": targets}


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=5) as answer:
        return json.load(answer)["data"]


class Written(BaseHTTPRequestHandler):
    """Takes what Prometheus writes elsewhere as soon as it has scraped: so we hear of it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def scraped(port: int, written: HTTPServer) -> dict[str, dict[str, Any]]:
    """Return the targets by their job, as soon as Prometheus has tried all of them."""
    written.timeout = PATIENCE
    targets: list[dict[str, Any]] = []
    for _ in range(50):
        written.handle_request()  # waits for one
        targets = ask(port, "targets")["activeTargets"]
        if targets and all(target["health"] != "unknown" for target in targets):
            break
    return {target["labels"]["job"]: target for target in targets}


@proves("RFC 6749 §4.4", "S-154")
@pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
def test_it_scrapes_with_a_token(visitor: Visitor, tmp_path: Path):
    """Its target is up, and our counters are in its store; a client without the scope gets nothing."""
    jobs = [job(visitor.server, visitor.client(scope), scope) for scope in ("metrics", "sessions")]
    written = HTTPServer(("127.0.0.1", 0), Written)
    elsewhere = {"url": f"http://127.0.0.1:{written.server_port}/", "queue_config": {"batch_send_deadline": "50ms"}}
    times = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
    config = {"global": times, "scrape_configs": jobs, "remote_write": [elsewhere]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    command = [find("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        targets = scraped(port, written)
        assert targets["metrics"]["health"] == "up", targets["metrics"]["lastError"]
        assert targets["sessions"]["health"] == "down"
        assert "403" in targets["sessions"]["lastError"]
        found = ask(port, "query?query=auth_server_tokens_issued_total")["result"]
        assert sum(float(each["value"][1]) for each in found) >= 1
    finally:
        process.kill()
        process.wait()
        written.server_close()
