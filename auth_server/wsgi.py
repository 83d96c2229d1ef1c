"""`application` for any WSGI server that is started without `auth-server serve`, set up by the environment."""

import os
from collections.abc import Iterable
from typing import Any

from auth_server import assembly, logs, settings
from auth_server.background import Background
from auth_server.errors import AuthServerError
from auth_server.http.lane import Lane, StartResponse


def build() -> "WithBackground":
    """Return the application with its stores opened and its periodic work started.

    Raises:
        AuthServerError: wrong settings, or `auth-server db upgrade` has not been run.
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

    return WithBackground(application, background)


class WithBackground:
    """The application, which sees to it that the process that it is in has its periodic work."""

    def __init__(self, application: Lane, background: Background) -> None:
        self._application, self._background = application, background
        self.refuse = application.refuse

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self._background.ensure()
        return self._application(environ, start_response)


try:
    application = build()
except AuthServerError as error:
    raise SystemExit(f"auth-server: {error}") from None  # whoever starts it wants the sentence, not where it was found
