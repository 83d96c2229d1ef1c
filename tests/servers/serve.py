"""`auth-server serve` with what only tests inject: `python -m tests.servers.serve ORDER`.

ORDER is a JSON file: `settings` by name, the `clock` file (null for the real time), whether the `lane` is on, and the
`patience` with a database that says nothing, in seconds (null for the real one).
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
    if order["patience"]:
        be_impatient(order["patience"])
    serve.run(settings, lane=order["lane"], **injected)


def be_impatient(patience: float) -> None:
    """Wait no longer for a database that says nothing; it counts as silent after a third of that, as it really does."""
    from auth_server.store import impatient, mariadb, postgresql_connection, silence  # loads a driver

    silence.SILENT = patience / 3
    impatient.ImpatientConnection.patience = postgresql_connection.PATIENCE = patience
    mariadb.PATIENCE = patience  # type: ignore[assignment]  # PyMySQL takes parts of seconds


if __name__ == "__main__":
    main()
