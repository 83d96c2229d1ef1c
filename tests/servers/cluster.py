"""Three replicas of our server behind nginx, on one PostgreSQL and one Redis, all as processes on loopback."""

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.auth_server import AuthServer, free_port
from tests.servers.packages import find
from tests.servers.processes import until_it_listens
from tests.servers.redis import Redis

APPEND_ONLY = ("--appendonly", "yes", "--appendfsync", "always")
_NGINX = """
daemon off; pid {folder}/pid; error_log stderr warn; worker_processes 1; events {{}}
http {{
  access_log off;
  {temporary}
  keepalive_requests 1000000;
  upstream replicas {{
    zone replicas 64k;
    {replicas}
    keepalive 16;
    keepalive_timeout 4s;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_connect_timeout 2s;
    }}
  }}
}}
"""


class Cluster:
    """All of it. What a caller is told, it is told through nginx.

    Args:
        folder: of its own.
        database: the URL of an empty database.
    """

    def __init__(self, folder: Path, database: str) -> None:
        self.port = free_port()  # nginx's
        self.redis = Redis(folder / "redis", *APPEND_ONLY)
        shared = {
            "database_url": database,
            "redis_url": self.redis.url,
            "key_encryption_key": b64encode(os.urandom(32)).decode(),
            "issuer": f"http://127.0.0.1:{self.port}",
            "workers": 1,
            "auth_burst": 100000,  # all of them call from one address
        }
        self.replicas = [AuthServer(folder / f"replica{number}", real_time=True, **shared) for number in range(3)]
        self._folder = folder

    def configuration(self) -> Path:
        """Write nginx's configuration; return its file."""
        parts = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = _NGINX.format(
            folder=self._folder,
            port=self.port,
            temporary=" ".join(f"{part}_temp_path {self._folder}/{part};" for part in parts),
            replicas=" ".join(f"server 127.0.0.1:{one.port} max_fails=1 fail_timeout=1s;" for one in self.replicas),
        )
        file = self._folder / "nginx.conf"
        file.write_text(text)
        return file


@contextmanager
def running(folder: Path, database: str) -> Iterator[Cluster]:
    """A cluster that answers, stopped at the end."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder, database)
    with ExitStack() as stack:
        stack.callback(cluster.redis.stop)
        cluster.redis.start()
        for replica in cluster.replicas:
            stack.callback(replica.stop)
            replica.start()
        stack.enter_context(_nginx(cluster.configuration(), cluster.port))
        yield cluster


@contextmanager
def _nginx(configuration: Path, port: int) -> Iterator[None]:
    log = configuration.with_suffix(".log")
    with log.open("ab") as errors:
        process = subprocess.Popen([find("nginx"), "-e", "stderr", "-c", configuration], stderr=errors)
    try:
        until_it_listens(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait()
