"""`auth-server serve` with what only tests inject: `python -m tests.servers.serve ORDER`.

ORDER is a JSON file: `settings` by name, the `clock` file (null for the real time), and whether the `lane` is on.
"""

import json
import sys
from pathlib import Path
from typing import Any

from auth_server import logs
from auth_server.cli import serve
from auth_server.settings import Settings
from tests.servers.clock import SharedClock


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    settings = Settings(**order["settings"])
    logs.configure(settings.log_level, json=settings.logs_json)
    injected: dict[str, Any] = {"clock": SharedClock(Path(order["clock"]))} if order["clock"] else {}
    serve.run(settings, lane=order["lane"], **injected)


if __name__ == "__main__":
    main()
