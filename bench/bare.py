"""The measure of all ratios: a WSGI callable with 200 bytes of JSON, on the same server with the same flags.

`python -m bench.bare` reads the settings that `auth-server serve` reads.
"""

import os
from collections.abc import Iterable
from typing import Any

from auth_server import logs, settings
from auth_server.cli import web_servers
from auth_server.http.lane import StartResponse

BODY = b'{"text": "%s"}' % (b"x" * 188)
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request with the same 200 bytes."""
    start_response("200 OK", HEADERS)
    return [BODY]


def main() -> None:
    loaded = settings.load(os.environ).settings
    loaded.home.mkdir(parents=True, exist_ok=True)
    logs.configure(loaded.log_level, json=loaded.logs_json)
    start = web_servers.run_granian if loaded.server == "granian" else web_servers.run_gunicorn
    start(application, loaded, lambda: print("Ready", flush=True), lambda: None)


if __name__ == "__main__":
    main()
