"""`application` for any WSGI server that is started without `auth-server serve`, set up by the environment."""

import os
from collections.abc import Iterable
from typing import Any

from auth_server import assembly, logs, settings
from auth_server.background import Background
from auth_server.http.lane import Application, StartResponse


def build() -> Application:
    """Return the application with its stores opened and its periodic work started.

    Raises:
        WrongSettings: with every mistake at once.
        OldStore: `auth-server db upgrade` has not been run.
    """
    loaded = settings.load(os.environ).settings
    logs.configure(loaded.log_level, json=loaded.logs_json)
    stores = assembly.stores(loaded)
    server = assembly.assemble(loaded, stores)
    server.keyring.advance()
    server.keyring.warm()
    server.passwords.warm()
    application = assembly.application(server, stores)
    background = Background(server)
    server.close()
    stores.close()  # the server may fork now: SQLite connections must not cross that

    def with_background(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        background.ensure()
        return application(environ, start_response)

    return with_background


application = build()
