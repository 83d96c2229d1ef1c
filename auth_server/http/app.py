"""The Flask application: a view for each endpoint, errors in the form of their surface, Flask-SQLAlchemy."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from auth_server.http.endpoints import every_endpoint
from auth_server.http.errors import HttpError
from auth_server.http.exchange import Exchange
from auth_server.http.incoming import PROBES
from auth_server.http.lane import Lane
from auth_server.http.pages.page import prepare
from auth_server.protocol.feature import Endpoint, Operation
from auth_server.protocol.messages import Response
from auth_server.protocol.server import Server
from auth_server.store.tables import metadata

WELL_KNOWN = "/.well-known/"


class Database(SQLAlchemy):
    """Flask-SQLAlchemy over the tables and the engine that the rest of the server uses; for admin lists."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(metadata=metadata)
        self._engine = engine

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        return self._engine


def create_app(server: Server, engine: Engine, *, lane: bool = True) -> Lane:
    """Return the WSGI application.

    Args:
        engine: of the durable records.
        lane: whether the hot paths go around Flask; off in some tests.
    """
    settings = server.settings
    exchange = Exchange(server)
    app = Flask("auth_server", static_folder=None)
    app.config.update(SQLALCHEMY_DATABASE_URI=settings.database, MAX_CONTENT_LENGTH=settings.max_body)
    app.url_map.redirect_defaults = False
    app.url_map.merge_slashes = False
    Database(engine).init_app(app)
    prepare(app, server)
    routes: dict[tuple[str, str], tuple[Endpoint, Operation]] = {}
    for endpoint in every_endpoint(server.features):
        for path in mount_points(endpoint.path, settings.issuer_path):
            methods = [operation.method for operation in endpoint.operations]
            app.add_url_rule(
                path,
                f"{endpoint.path} at {path}",
                _view(exchange, endpoint),
                methods=[*methods, "OPTIONS"],
                strict_slashes=False if endpoint.path.endswith("/") else None,
                provide_automatic_options=False,
            )
            if endpoint.lane and lane:
                routes.update({(operation.method, path): (endpoint, operation) for operation in endpoint.operations})
    app.register_error_handler(HTTPException, lambda error: _refusal(exchange, error))
    exchange.page_context = app.request_context
    return Lane(routes, exchange, app)


def mount_points(path: str, issuer_path: str) -> list[str]:
    """Return where an endpoint is reached: below the issuer's path, documents also as RFC 8414 §3.1 has it.

    Probes come from those who run the server, not through its public address: theirs are at the root too.
    """
    mounted = [issuer_path + path]
    if issuer_path and path.startswith(WELL_KNOWN):
        mounted.append(path + issuer_path)
    if issuer_path and path in PROBES:
        mounted.append(path)
    return mounted


def _view(exchange: Exchange, endpoint: Endpoint) -> Callable[..., FlaskResponse]:
    by_method = {operation.method: operation for operation in endpoint.operations}

    def view(**arguments: str) -> FlaskResponse:
        environ, method = flask_request.environ, flask_request.method
        if method == "OPTIONS":
            return _flask(exchange.preflight(environ, endpoint))
        operation = by_method["GET" if method == "HEAD" else method]
        return _flask(exchange.run(environ, endpoint, operation, arguments))

    return view


def _refusal(exchange: Exchange, error: HTTPException) -> FlaskResponse:
    """What Flask itself refuses: unknown paths, wrong methods."""
    own: tuple[tuple[str, str], ...] = ()
    if isinstance(error, MethodNotAllowed):
        own = (("Allow", ", ".join(sorted(error.valid_methods or ()))),)
    text = {404: "Not found", 405: "Method not allowed"}.get(error.code or 500, error.name)
    return _flask(exchange.refuse(flask_request.environ, HttpError(error.code or 500, text, own)))


def _flask(response: Response) -> FlaskResponse:
    made = FlaskResponse(response.body, response.status, list(response.headers))
    if not any(name == "Content-Type" for name, _ in response.headers):  # Flask would say that nothing is HTML
        made.headers.remove("Content-Type")
    return made
