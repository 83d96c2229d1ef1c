"""Running the WSGI application on gunicorn or Granian, with measured settings and a clean end."""

import importlib.util
import logging
import os
import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any

from auth_server.cli import granian_worker
from auth_server.errors import AuthServerError
from auth_server.http.lane import Application
from auth_server.settings import Settings

THREADS = 4  # of gunicorn; docs/decisions/0005: more of them wait for the interpreter, fewer for the store
FAR_THREADS = 8  # where an answer of a store takes a while
KEEPALIVE = 75  # seconds; longer than the 60 that proxies keep idle connections for
CONNECTIONS = 1000  # of a process on gunicorn, of all on Granian
MAX_HEADERS, MAX_HEADER_LINE = 100, 8190
log = logging.getLogger("auth_server")


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings; config/gunicorn.conf.py uses the same."""
    from auth_server.cli.gunicorn_worker import worker_class

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    options: dict[str, Any] = {
        "bind": f"{host}:{settings.port}",
        "workers": settings.workers,
        "worker_class": worker_class(settings),
        "worker_connections": _connections(CONNECTIONS),
        "threads": settings.threads or (FAR_THREADS if settings.is_far else THREADS),
        "http_parser": "fast" if importlib.util.find_spec("gunicorn_h1c") else "python",
        "preload_app": True,
        "worker_tmp_dir": str(settings.home),
        "control_socket_disable": True,
        "graceful_timeout": settings.graceful_timeout,
        "timeout": max(30, settings.request_timeout * 3),  # a worker whose main thread hangs is replaced
        "keepalive": KEEPALIVE,
        "limit_request_fields": MAX_HEADERS,
        "limit_request_field_size": MAX_HEADER_LINE,
        "limit_request_line": MAX_HEADER_LINE,
        "forwarded_allow_ips": "",  # TRUSTED_PROXIES decides, in http/incoming.py
        "forwarder_headers": "",
        "header_map": "drop",  # X_Forwarded_For is not X-Forwarded-For (S-144)
        "sendfile": False,  # it would go around the worker's own way to send
        "accesslog": None,  # ours is ten times cheaper
        "loglevel": "warning",
        "logger_class": "auth_server.cli.web_servers.Logger",
    }
    if settings.tls_cert:
        options |= {"certfile": str(settings.tls_cert), "keyfile": str(settings.tls_key), "ssl_context": _tls}
    if settings.tls_client_ca:
        options |= {"ca_certs": str(settings.tls_client_ca), "cert_reqs": ssl.CERT_OPTIONAL}
    return options


def _connections(wanted: int, files: int = 1) -> int:
    """How many connections a process takes: each needs so many files, and some stay for stores and logs."""
    return max(16, min(wanted, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128) // files))


def _tls(config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 §3.1.1
    return context


def calm_children() -> None:
    """Settle the signals of every process that is forked from here; called before other hooks at a fork.

    Ctrl-C reaches the whole process group, but workers must finish their requests and end when the parent says so;
    Granian's lock up where both signals meet. Until a worker has handlers of its own it has the parent's, and Python
    drops what arrives just after the fork: a SIGTERM would be lost, and the parent would wait in vain.
    """
    both = {signal.SIGINT, signal.SIGTERM}

    def hold() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, both)

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)

    def settle() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # SIGINT stays blocked

    os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=settle)


def run_gunicorn(
    application: Application, settings: Settings, ready: Callable[[], None], ended: Callable[[], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished. Does not return.

    Args:
        ready: called when the port is open.
        ended: called in each worker when it ends.
    """
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter

    class Server(Arbiter):  # type: ignore[misc]
        """Ctrl-C drains like SIGTERM; a second one ends at once."""

        def handle_int(self) -> None:
            self.handle_term()

    class Embedded(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in gunicorn_options(settings).items():
                self.cfg.set(name, value)
            self.cfg.set("when_ready", lambda arbiter: ready())
            self.cfg.set("worker_exit", lambda arbiter, worker: ended())

        def load(self) -> Application:
            return application

    Server(Embedded()).run()


def Logger(config: Any) -> Any:
    """gunicorn's logger, with its lines sent through ours: one format in one stream."""
    from gunicorn.glogging import Logger as GunicornLogger

    class Joined(GunicornLogger):  # type: ignore[misc]
        def setup(self, cfg: Any) -> None:
            self.error_log.handlers, self.error_log.propagate = [], True
            self.access_log.handlers, self.access_log.propagate = [], False
            self.error_log.setLevel(logging.WARNING)

    return Joined(config)


def run_granian(
    application: Application, settings: Settings, ready: Callable[[], None], ended: Callable[[], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished.

    Raises:
        AuthServerError: Granian is not installed.
    """
    try:
        from granian import Granian
    except ImportError:
        raise AuthServerError("granian is not installed; run: pip install 'auth-server[granian]'") from None

    if settings.trusted_proxies:
        log.warning("Granian takes X_Forwarded_For for X-Forwarded-For: the proxy must drop names with underscores")

    def load() -> Application:
        for name in [name for name in os.environ if name not in ("PROMETHEUS_MULTIPROC_DIR", "PATH", "TZ")]:
            del os.environ[name]  # Granian copies the environment into that of every request
        Finalize(None, ended, exitpriority=0)  # multiprocessing's children end without atexit
        granian_worker.look_after(settings.port, settings.request_timeout)
        return application

    class Announced(Granian):  # type: ignore[misc,valid-type]
        """Granian's workers open the port each for itself, and nothing tells when.

        A worker that dies twice within six seconds would end the server; here it is replaced each time.
        """

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.respawned_wrks = _Forgetful()
            self.main_loop_interrupt = Interrupt()

        def startup(self, *arguments: Any) -> None:
            super().startup(*arguments)  # from here on there are workers: a thread must not be started before a fork
            while not (self.main_loop_interrupt.is_set() or _is_open(settings)):
                time.sleep(0.01)
            ready()

    Announced("auth_server.wsgi:application", **granian_options(settings)).serve(target_loader=load, wrap_loader=False)


class Interrupt(threading.Event):
    """What wakes Granian's main thread, and what its signal handlers set: in that thread, whatever it is at.

    A plain Event takes a lock that knows no owner: a signal that comes while the thread has it, because a worker has
    ended at the same moment, would make it wait for itself for ever. With one that its owner may take again, a signal
    may come between the look and the wait; so that is short.
    """

    LOOK = 0.5  # seconds

    def __init__(self) -> None:
        super().__init__()
        self._cond = threading.Condition(threading.RLock())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set."""
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(self.LOOK):
            pass
        return True


class _Forgetful(dict[int, float]):
    """When each worker was replaced last, for those who ask: long ago."""

    def get(self, key: int, default: Any = None) -> Any:
        return 0.0


def granian_options(settings: Settings) -> dict[str, Any]:
    """Return Granian's settings."""
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    # Each may need a thread, and a thread has a connection to Redis of its own.
    connections = _connections(CONNECTIONS // settings.workers, 2 if settings.redis_url else 1)
    options: dict[str, Any] = {
        "address": settings.host,
        "port": settings.port,
        "interface": Interfaces.WSGI,
        "workers": settings.workers,
        "backpressure": connections,
        "blocking_threads": settings.threads or connections,  # a slow body holds one, and nobody else shall wait for it
        "workers_kill_timeout": settings.graceful_timeout,
        "respawn_failed_workers": True,
        "log_level": LogLevels.error,
        "http": HTTPModes.http1,  # like gunicorn; while it finds out which it is, Granian waits for ever
        "http1_settings": HTTP1Settings(header_read_timeout=settings.request_timeout * 500),  # cli/granian_worker.py
    }
    if settings.tls_cert:
        options |= {"ssl_cert": settings.tls_cert, "ssl_key": settings.tls_key, "ssl_ca": settings.tls_client_ca}
        options["ssl_protocol_min"] = SSLProtocols.tls12  # RFC 9325 §3.1.1
    return options


def _is_open(settings: Settings) -> bool:
    try:
        socket.create_connection((settings.host, settings.port), 1).close()
    except OSError:
        return False
    return True
