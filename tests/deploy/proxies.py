"""nginx and Caddy, started from the examples in deploy/ with paths and ports of a test; somebody before them."""

import http.client
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.auth_server import ROOT, free_port
from tests.servers.packages import find
from tests.servers.processes import until_it_listens
from tests.servers.visitors import Answer

DEPLOY = ROOT / "deploy"
NAME, MTLS_NAME = "auth.example.org", "mtls.auth.example.org"
KINDS = ("nginx", "caddy")
UPSTREAMS = (2342, 2343)
"""The replicas' ports in the examples."""


def make_certificates(folder: Path) -> Path:
    """Make certificates that vouch for themselves, `tls` for a proxy and `client`, long enough for several lines."""
    for file, name in (("tls", NAME), ("client", "client")):
        command = [find("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:mtls.{name}"]
        command += ["-keyout", folder / f"{file}.key", "-out", folder / f"{file}.crt"]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@dataclass(frozen=True)
class Proxy:
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]
    client: tuple[Path, Path]

    def connect(
        self, name: str = NAME, *, source: str = "127.0.0.1", with_certificate: bool = False
    ) -> http.client.HTTPSConnection:
        """Return a connection from the address *source* to the host *name*."""
        trusting = ssl._create_unverified_context()
        if with_certificate:
            trusting.load_cert_chain(*self.client)
        connection = http.client.HTTPSConnection(name, self.port, timeout=10)
        connection.sock = trusting.wrap_socket(self.plain(source), server_hostname=name)
        return connection

    def plain(self, source: str = "127.0.0.1") -> socket.socket:
        """Return a connection before TLS."""
        return socket.create_connection(("127.0.0.1", self.port), 10, (source, 0))

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        name: str = NAME,
        source: str = "127.0.0.1",
        with_certificate: bool = False,
    ) -> Answer:
        """Return the answer to one request, over a connection of its own."""
        with closing(self.connect(name, source=source, with_certificate=with_certificate)) as connection:
            return ask(connection, method, path, headers, body)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Return the answer to one request on a connection."""
    with suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before all of a body is read
        connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


@contextmanager
def running(kind: str, folder: Path, upstreams: Sequence[int], certificates: Path) -> Iterator[Proxy]:
    """A proxy of a kind before servers at two ports, stopped at the end."""
    port = free_port()
    write = {"nginx": nginx_files, "caddy": caddy_files}[kind]
    command = write(folder, port, upstreams, certificates)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until_it_listens(process, port, folder / "log")
        yield Proxy(port, process, (certificates / "client.crt", certificates / "client.key"))
    finally:
        process.terminate()
        process.wait()


def nginx_files(folder: Path, port: int, upstreams: Sequence[int], certificates: Path) -> list[object]:
    """Write nginx's example with the paths of a test; return the command that starts it."""
    there = {
        "/etc/ssl/auth-server/client-ca.crt": str(certificates / "client.crt"),
        "/etc/ssl/auth-server": str(certificates),
        "/etc/nginx/proxy.inc": str(folder / "proxy.inc"),
        "listen 443": f"listen 127.0.0.1:{port}",
        "listen 80": f"listen unix:{folder}/http.sock",
        **{f"127.0.0.1:{shown}": f"127.0.0.1:{now}" for shown, now in zip(UPSTREAMS, upstreams, strict=True)},
    }
    for example in (DEPLOY / "nginx").iterdir():
        text = re.sub(r"^.*listen \[::\].*\n", "", example.read_text(), flags=re.MULTILINE)
        for shown, now in there.items():
            text = text.replace(shown, now)
        (folder / example.name).write_text(text)
    temporary = "".join(
        f"{part}_temp_path {folder}/{part};" for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    included = "".join(f"include {folder}/{name}.conf; " for name in ("upstream", "auth-server", "mtls"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary} {included} }}\n"
    )
    return [find("nginx"), "-e", "stderr", "-c", folder / "nginx.conf"]


def caddy_files(folder: Path, port: int, upstreams: Sequence[int], certificates: Path) -> list[object]:
    """Write Caddy's examples with the paths of a test; return the command that starts it."""
    certificate, key = certificates / "tls.crt", certificates / "tls.key"
    there = {
        "/etc/ssl/auth-server/client-ca.crt": str(certificates / "client.crt"),
        "\n{\n": "\n{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n",
        "\ttls {\n": f"\ttls {certificate} {key} {{\n",
        f"\n{NAME} {{": f"\nhttps://{NAME}:{port} {{\n\ttls {certificate} {key}",
        f"\n{MTLS_NAME} {{": f"\nhttps://{MTLS_NAME}:{port} {{",
        "\n# import": "\nimport",
        **{f"127.0.0.1:{shown}": f"127.0.0.1:{now}" for shown, now in zip(UPSTREAMS, upstreams, strict=True)},
    }
    for example in (DEPLOY / "caddy").iterdir():
        text = example.read_text()
        for shown, now in there.items():
            text = text.replace(shown, now)
        (folder / example.name).write_text(text)
    return [find("caddy"), "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
