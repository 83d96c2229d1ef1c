"""The others: installed from their registries into a folder of the moment, set up as their documentation advises.

Versions and hashes stand in the lock files beside their configurations.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sqlalchemy.engine import make_url

from auth_server.cli import web_servers
from bench import servers
from bench.load import Ask
from bench.servers import Running
from bench.site import Client
from bench.stores import Store
from tests.servers.packages import find

HERE = Path(__file__).parent
RESOURCE = "urn:bench"  # what oidc-provider makes JWTs for
KEEPALIVE = str(web_servers.KEEPALIVE)


@dataclass(frozen=True)
class Peer:
    """Another server, installed.

    Args:
        asks: by the name of a case, the path and the form of its request; `%s` is a token.
    """

    name: str
    version: str
    folder: Path
    asks: Mapping[str, tuple[str, str]]

    def ask(self, case: str, client: Client, token: str) -> Ask | None:
        """Return the request of a case; None for what this one cannot do."""
        if case not in self.asks:
            return None
        path, form = self.asks[case]
        return client.ask(path, form.replace("%s", token))


def oidc_provider(folder: Path) -> Peer:
    """Install oidc-provider from npm."""
    shutil.copytree(HERE / "oidc_provider", folder)
    command = [str(find("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    version = json.loads((folder / "node_modules/oidc-provider/package.json").read_text())["version"]
    node = subprocess.run([find("node"), "--version"], check=True, capture_output=True, text=True).stdout.strip()
    asks = {
        "opaque": ("/token", "grant_type=client_credentials&scope=metrics"),
        "introspection": ("/token/introspection", "token_type_hint=access_token&token=%s"),
        "jwt": ("/token", f"grant_type=client_credentials&scope=metrics&resource={RESOURCE}"),
    }
    return Peer("oidc-provider", f"{version} on Node {node.removeprefix('v')}", folder, asks)


def django_oauth_toolkit(folder: Path) -> Peer:
    """Install Django OAuth Toolkit from PyPI."""
    shutil.copytree(HERE / "django_oauth_toolkit", folder)
    subprocess.run([sys.executable, "-m", "venv", folder / ".venv"], check=True)
    pip = [str(folder / ".venv/bin/pip"), "install", "-q", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*pip, "-r", str(folder / "requirements.txt")], check=True)
    ask = (
        "from importlib.metadata import version; print(version('django-oauth-toolkit'), 'on Django', version('django'))"
    )
    told = subprocess.run([folder / ".venv/bin/python", "-c", ask], check=True, capture_output=True, text=True).stdout
    asks = {
        "opaque": ("/token/", "grant_type=client_credentials&scope=metrics"),
        "introspection": ("/introspect/", "token_type_hint=access_token&token=%s"),
    }
    return Peer("django-oauth-toolkit", told.strip(), folder, asks)


@contextmanager
def running(peer: Peer, client: Client, store: Store, core: int) -> Iterator[Running]:
    """Let it serve on a place of its own, with one process on this core."""
    place, port, log = store.place(peer.name), servers.free_port(), peer.folder / "log"
    variables = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.secret,
    }
    if peer.name == "oidc-provider":
        variables |= {
            "NODE_ENV": "production",
            "REDIS_URL": place.variables["AUTH_SERVER_REDIS_URL"],
            "RESOURCE": RESOURCE,
        }
        command, path = [str(find("node")), "server.mjs"], "/jwks"
    else:
        url = make_url(place.variables["AUTH_SERVER_DATABASE_URL"])
        variables |= {
            "DJANGO_SETTINGS_MODULE": "settings",
            "SECRET_KEY": token_hex(32),
            "PGDATABASE": str(url.database),
            "PGHOST": str(url.query["host"]),
            "PGUSER": str(url.username),
        }
        binaries = peer.folder / ".venv/bin"
        subprocess.run([binaries / "python", "prepare.py"], cwd=peer.folder, env=variables, check=True)
        threads = str(web_servers.FAR_THREADS)
        command = [str(binaries / "gunicorn"), "--workers", "1", "--threads", threads, "--http-parser", "fast"]
        command += ["--keep-alive", KEEPALIVE, "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--preload"]
        command += ["--log-level", "warning", "django.core.wsgi:get_wsgi_application()"]
        path = "/token/"
    with servers.started(command, variables, port, path, log, core, peer.folder) as server:
        yield server
