"""`auth-server serve`: migrate, make what the first start needs, serve."""

import errno
import fcntl
import gc
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auth_server import cores, logs, settings
from auth_server.cli import first_start, web_servers
from auth_server.errors import AuthServerError
from auth_server.settings import Settings

if TYPE_CHECKING:
    from auth_server.http.lane import Lane
    from auth_server.protocol.server import Server

ENDS = (signal.SIGINT, signal.SIGTERM)
WITHOUT_REDIS = (
    "this server has no REDIS_URL, but its database was used with one: tokens and sessions in that Redis are unknown"
    " here, and what is revoked here lives on there; give all replicas the same REDIS_URL, or, once none has one any"
    " more, run in the database: UPDATE reconciled_redis SET identity = ''"
)
log = logging.getLogger("auth_server")


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--server", type=click.Choice(["gunicorn", "granian"]), help="Web server.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads of each process.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM) to serve https with.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--tls-client-ca", type=click.Path(path_type=Path), help="Authorities of client certificates.")
@click.option("--no-migrate", is_flag=True, help="Do not bring the store to this version's schema.")
@click.option("--quickstart", is_flag=True, help="Let the first start make a client to try things with.")
def serve(no_migrate: bool, quickstart: bool, **flags: Any) -> None:
    """Serve until Ctrl-C or SIGTERM; requests in flight are finished.

    The first start makes the signing keys and the first admin, and shows the password once.

    \b
    Examples:
      auth-server serve
      auth-server serve --server granian --port 8080 --workers 2
    """
    loaded = settings.load(os.environ, **flags).settings
    logs.configure(loaded.log_level, json=loaded.logs_json)
    run(loaded, migrate=not no_migrate, quickstart=quickstart)


def run(
    loaded: Settings, *, migrate: bool = True, quickstart: bool = False, lane: bool = True, **injected: Any
) -> None:
    """Serve with these settings.

    Args:
        lane: whether the hot paths go around Flask; off in some tests.
        injected: clock and random for `assemble`; tests pass theirs.

    Raises:
        AuthServerError: anything that stops the start, in a sentence.
    """
    from auth_server.http.limits import Limits

    with ending_in_peace():
        server, application, held = _prepared(loaded, migrate, quickstart, lane, injected)

    def ready() -> None:
        print(f"Ready: {server.issuer}", flush=True)

    gc.collect()
    gc.freeze()  # in the workers the collector would write into all objects, and the memory be shared no more: 20 MiB
    if loaded.server == "granian":
        guarded = Limits(application, web_servers.MAX_HEADER_LINE)
        web_servers.run_granian(guarded, loaded, ready, server.flush)
    else:
        web_servers.run_gunicorn(application, loaded, ready, server.flush)
    del held  # the lock lasts as long as the server


def _prepared(
    loaded: Settings, migrate: bool, quickstart: bool, lane: bool, injected: dict[str, Any]
) -> "tuple[Server, Lane, Any]":
    """Return the server, its application and the lock of HOME, with everything made that a first start needs."""
    from auth_server import assembly  # loads the whole server: not for --help
    from auth_server.background import Background

    check_port(loaded.host, loaded.port)
    stores = assembly.stores(loaded)
    if not migrate:
        stores.check_current()
    stores.make_home()
    held = lock_home(loaded.home)
    prepare_metrics(loaded.home)
    if migrate:
        stores.upgrade()
    if loaded.redis_url is None and stores.were_with_redis():
        log.warning("%s", WITHOUT_REDIS)
    server = assembly.assemble(loaded, stores, **injected)
    server.state.check()
    application = assembly.application(server, stores, lane=lane)
    web_servers.calm_children()
    if loaded.pin_workers:
        cores.pin_children()
    Background(server).start_in_children()
    with unhurried():  # a password that nobody has seen would be lost with the process
        made = first_start.prepare(server, quickstart=quickstart)
        lines = first_start.shown(made, server.issuer) if made else first_start.hints(server)
        print(*lines, sep="\n", flush=True)
    server.close()
    stores.close()  # no connection may cross the fork; the workers open their own
    return server, application, held


@contextmanager
def ending_in_peace() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a start with 0; the web server, and what it forks, find the handlers of before."""
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unhurried() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def check_port(host: str, port: int) -> None:
    """Make sure that the port is free, before anything is written.

    Raises:
        AuthServerError: it is not, the address is not this machine's, or the port takes more rights.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)
    except OSError as error:
        raise AuthServerError(f"HOST {host} is no address of this machine: {error.strerror}; try 127.0.0.1") from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise AuthServerError(
                    f"HOST {host} is no address of this machine; set it to one that is: 127.0.0.1 for callers on it"
                    " alone, 0.0.0.0 for all its addresses"
                ) from None
            reason = f"cannot listen on {host} port {port}: {error.strerror}"
            if error.errno == errno.EACCES:
                raise AuthServerError(
                    f"{reason}; such a low port takes rights that this server does without: choose a port from 1024 on,"
                    " and let a proxy have that one"
                ) from None
            raise AuthServerError(f"{reason}; stop what uses it, or choose another: --port {port + 1}") from None


def prepare_metrics(home: Path) -> None:
    """Make an empty folder for the workers' metrics; the library looks for it when the server is assembled."""
    folder = home / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def lock_home(home: Path) -> Any:
    """Hold the lock of HOME, so that no second `serve` uses its files.

    Raises:
        AuthServerError: another one does.
    """
    file = (home / "serve.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise AuthServerError(
            f"another server uses {home}; stop it, or set AUTH_SERVER_HOME to another folder"
        ) from None
    os.set_inheritable(file.fileno(), False)
    return file
