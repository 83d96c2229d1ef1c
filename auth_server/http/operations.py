"""Endpoints for those who run the server: liveness, readiness, metrics."""

from auth_server.domain import clock_check
from auth_server.errors import Unavailable
from auth_server.http.peer import is_forwarded
from auth_server.protocol import bearer
from auth_server.protocol.description import Answer, Example, Schema
from auth_server.protocol.feature import Endpoint, Operation, Responses, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.settings_values import is_loopback

METRICS_TYPE = ("Content-Type", "text/plain; version=0.0.4; charset=utf-8")


def livez(request: Request, server: Server) -> Response:
    """Tell that the process answers."""
    return json_response({"status": "ok"})


def readyz(request: Request, server: Server) -> Response:
    """Tell whether the stores answer, and whether this machine's clock is that of the others (S-137)."""
    try:
        server.records.check()
        server.state.check()
        if not clock_check.is_right(server.records, server.clock):
            raise Unavailable("the clock is wrong")
    except Unavailable as error:
        return json_response({"status": "unavailable"}, 503, (("Retry-After", str(error.retry_after)),))
    return json_response({"status": "ok"})


def metrics_for_token(request: Request, server: Server) -> Response:
    """Return the metrics to a token of scope `metrics`."""
    bearer.authorize(request, server, "metrics", "access_all")
    return Response(200, server.metrics.render(), (METRICS_TYPE,))


def metrics(request: Request, server: Server) -> Response:
    """Return the metrics to a program on this machine, or to a token of scope `metrics` (S-154)."""
    behind_proxy = is_forwarded(request.environ)
    trusted_hop = request.address != request.environ.get("REMOTE_ADDR")
    if is_loopback(request.address) and (not behind_proxy or trusted_hop) and bearer.presented(request) is None:
        return Response(200, server.metrics.render(), (METRICS_TYPE,))
    return metrics_for_token(request, server)


_OK: Schema = {
    "title": "Health",
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": ["ok", "unavailable"]}},
}
_TEXT: Responses = {200: "Prometheus' text format."}
_HEALTH: Responses = {200: ("Yes.", _OK), 503: Answer("No.", _OK, example={"status": "unavailable"})}
_YES = {"yes": Example("Yes", response={"status": "ok"})}
_SOME = "# TYPE auth_server_requests_total counter\n"


def _endpoint(path: str, operation: Operation, surface: Surface = Surface.PHOTOPRISM) -> Endpoint:
    return Endpoint(path, surface=surface, tag="Operations", operations=(operation,))


ENDPOINTS = (
    _endpoint(
        "/livez",
        Operation("GET", livez, "Does the process answer?", "It asks no store.", responses=_HEALTH, examples=_YES),
    ),
    _endpoint(
        "/readyz",
        Operation("GET", readyz, "Do the stores answer?", "And is the clock right?", responses=_HEALTH, examples=_YES),
    ),
    _endpoint(
        "/metrics",
        Operation(
            "GET",
            metrics,
            "Metrics for Prometheus",
            "Programs on the server's own machine need no token.",
            responses=_TEXT,
            security=("bearer", "optional"),
            scope="metrics",
            produces="text/plain",
            examples={"beginning": Example("The beginning", response=_SOME)},
        ),
    ),
    _endpoint(
        "/api/v1/metrics",
        Operation(
            "GET",
            metrics_for_token,
            "Metrics for Prometheus",
            "Where PhotoPrism has them; always with a token.",
            responses=_TEXT,
            security=("bearer",),
            scope="metrics",
            produces="text/plain",
            examples={"beginning": Example("The beginning", response=_SOME)},
        ),
    ),
)
