"""What is in deploy/ passes the tools made for each, and says what the server's settings say."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from auth_server import settings
from auth_server.settings import Settings
from tests.deploy.proxies import DEPLOY, caddy_files, nginx_files
from tests.servers import packages
from tests.servers.auth_server import ROOT, free_port
from tests.servers.processes import Serving

OVERLAYS = ("single", "replicas")
KUBERNETES = "1.37"
"""The version that the manifests are checked against; what they use has been there since 1.29."""
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

SYSTEMD_RUN = """#!/bin/sh
export CREDENTIALS_DIRECTORY={credentials}
while :; do
    case "$1" in
        --property=LoadCredential=*) cp "${{1##*:}}" "$CREDENTIALS_DIRECTORY" ;;
        --setenv=*) export "${{1#--setenv=}}" ;;
        --*) ;;
        *) exec "$@" ;;
    esac
    shift
done
"""
"""What it does, without systemd: credentials and variables."""


def run(*command: object, cwd: Path = ROOT) -> str:
    """Return what a command prints; it must end well."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- proxies
def test_nginx_takes_its_example(tmp_path: Path, certificates: Path) -> None:
    """Without a warning."""
    command = nginx_files(tmp_path, free_port(), (1, 2), certificates)
    done = subprocess.run([*map(str, command), "-t"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_caddy_takes_its_example_as_it_is() -> None:
    """Without a file or a name but those that its first lines tell to replace."""
    run(packages.find("caddy"), "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy/Caddyfile")


def test_caddy_takes_its_examples(tmp_path: Path, certificates: Path) -> None:
    """With client certificates too; and they are written as Caddy writes them."""
    caddy_files(tmp_path, free_port(), (1, 2), certificates)
    assert "\nimport mtls.caddy\n" in (tmp_path / "Caddyfile").read_text()
    run(packages.find("caddy"), "validate", "--adapter", "caddyfile", "--config", tmp_path / "Caddyfile")
    for example in (DEPLOY / "caddy").iterdir():
        assert run(packages.find("caddy"), "fmt", example) == example.read_text()


def test_limits_of_proxies_are_those_of_the_server() -> None:
    """Bodies and times, where a proxy has a limit of its own."""
    defaults = {name: Settings.model_fields[name].default for name in ("max_body", "request_timeout")}
    assert defaults == {"max_body": 64 * 1024, "request_timeout": 10}
    nginx = "".join(path.read_text() for path in (DEPLOY / "nginx").iterdir())
    assert set(re.findall(r"client_(?:max_body|body_buffer)_size (\w+);", nginx)) == {"64k"}
    assert set(re.findall(r"client_(?:header|body)_timeout (\w+);", nginx)) == {"10s"}
    caddy = (DEPLOY / "caddy/Caddyfile").read_text()
    assert re.findall(r"max_size (\w+)", caddy) == ["64KiB"]
    assert set(re.findall(r"read_(?:header|body) (\w+)", caddy)) == {"10s"}


# ---- systemd
def test_units_are_right(tmp_path: Path) -> None:
    """As systemd reads them, but for the programs, which are elsewhere here."""
    for unit in UNITS:
        name = unit.name.replace("@.", "@2342.")
        (tmp_path / name).write_text(unit.read_text().replace("/opt/auth-server/bin/auth-server", "/bin/true"))
    files = sorted(tmp_path.iterdir())
    assert run(packages.find("systemd-analyze"), "verify", "--recursive-errors=no", *files) == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_are_locked_down(unit: Path, tmp_path: Path) -> None:
    """What systemd calls their exposure stays below 2 of 10."""
    (tmp_path / unit.name.replace("@.", "@2342.")).write_text(unit.read_text())
    command = [packages.find("systemd-analyze"), "security", "--offline=yes", "--threshold=20", "--no-pager"]
    run(*command, *tmp_path.iterdir())


def test_systemd_is_told_when_the_port_is_open(tmp_path: Path) -> None:
    """So a unit of the kind `notify` is right for gunicorn; who starts one replica after the other waits for each."""
    environ = {
        "PATH": os.environ["PATH"],
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "AUTH_SERVER_HOME": str(tmp_path / "home"),
        "AUTH_SERVER_KEYS_DIR": str(tmp_path / "keys"),
        "AUTH_SERVER_PORT": str(free_port()),
        "AUTH_SERVER_WORKERS": "1",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(environ["NOTIFY_SOCKET"])
        systemd.settimeout(20)
        server = Serving([sys.executable, "-m", "auth_server", "serve"], environ, tmp_path / "log", "Ready: ")
        try:
            assert b"READY=1" in systemd.recv(1000).split(b"\n")
        finally:
            server.kill()


@pytest.mark.parametrize("secrets", [("key_encryption_key",), ("key_encryption_key", "database_url", "redis_url")])
def test_commands_have_the_secrets_of_the_units(secrets: tuple[str, ...], composed: Path, tmp_path: Path) -> None:
    """Those that are there, and no word of a command is lost; in place of systemd-run something hands them on."""
    script = tmp_path / "auth-server.sh"
    text = (DEPLOY / "systemd/auth-server.sh").read_text()
    there = {"/etc/auth-server": tmp_path, "/opt/auth-server/bin": ROOT / ".venv/bin", "/var/lib": tmp_path / "lib"}
    for shown, now in there.items():
        text = text.replace(shown, str(now))
    script.write_text(text)
    for name in secrets:
        run("cp", composed / "secrets" / name, tmp_path / name)
    run("mkdir", tmp_path / "bin", tmp_path / "credentials")
    (tmp_path / "bin/systemd-run").write_text(SYSTEMD_RUN.format(credentials=tmp_path / "credentials"))
    (tmp_path / "bin/systemd-run").chmod(0o755)
    environ = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "AUTH_SERVER_ISSUER": "https://auth.example.org"}

    def told(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", script, *command], env=environ, capture_output=True, text=True)

    shown = {one["name"]: one for one in json.loads(told("config", "show", "--json").stdout)}
    files = {name for name, one in shown.items() if one["source"].endswith("_FILE")}
    assert files == {name.upper() for name in secrets}
    assert shown["HOME"]["value"] == f"{tmp_path}/lib/auth-server"
    assert "'no such command'" in told("no such command").stderr


# ---- Kubernetes
@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> str:
    """What an overlay is built to."""
    return run(*packages.kustomize(), DEPLOY / "kubernetes" / request.param)


def test_manifests_are_valid(manifests: str, tmp_path: Path) -> None:
    """Without a field that Kubernetes does not know."""
    (tmp_path / "all.yaml").write_text(manifests)
    run(sys.executable, "-m", "kubernetes_validate", "--strict", "--quiet", "-k", KUBERNETES, tmp_path / "all.yaml")


def deployment(manifests: str) -> Any:
    """Return the deployment among manifests."""
    return next(one for one in yaml.safe_load_all(manifests) if one["kind"] == "Deployment")


def test_labels_find_what_they_name(manifests: str) -> None:
    """A service, budget, policy or deployment that selects other labels than the pods have selects nothing."""
    all_of_them = list(yaml.safe_load_all(manifests))
    labels = deployment(manifests)["spec"]["template"]["metadata"]["labels"]
    found = {}
    for one in all_of_them:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if selector:
            found[one["kind"]] = selector.get("matchLabels", selector)
    assert {"Deployment", "Service", "NetworkPolicy"} <= found.keys()
    assert set(map(str, found.values())) == {str(labels)}


def test_pods_have_the_time_to_end(manifests: str) -> None:
    """Until the proxies know, and for requests in flight."""
    pod = deployment(manifests)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    graceful = Settings.model_fields["graceful_timeout"].default
    assert waits + graceful < pod["terminationGracePeriodSeconds"]


def test_pods_whose_stores_are_away_go_on(manifests: str) -> None:
    """They wait for the stores when they start; later nobody takes them from the balance or kills them for that."""
    (container,) = deployment(manifests)["spec"]["template"]["spec"]["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert asked == {"startup": "/readyz", "readiness": "/livez", "liveness": "/livez"}


def environment(manifests: str) -> dict[str, str]:
    """Return what the container of the server finds in its environment."""
    given = next(one["data"] for one in yaml.safe_load_all(manifests) if one["kind"] == "ConfigMap")
    (container,) = deployment(manifests)["spec"]["template"]["spec"]["containers"]
    return {**given, **{pair["name"]: pair["value"] for pair in container["env"]}}


# ---- Compose
@pytest.fixture
def composed(tmp_path: Path) -> Path:
    """A copy of the folder, with its secrets made."""
    copy = tmp_path / "compose"
    run("cp", "-r", DEPLOY / "compose", copy)
    run("sh", copy / "secrets.sh")
    return copy


def test_dclint_takes_the_compose_file() -> None:
    """Without a warning."""
    dclint = packages.javascript() / "node_modules/.bin/dclint"
    run(packages.find("node"), dclint, ".", "--max-warnings", "0", cwd=DEPLOY / "compose")


def test_a_second_run_makes_no_other_secrets(composed: Path) -> None:
    """Those that are there may be in use."""
    before = {file.name: file.read_bytes() for file in (composed / "secrets").iterdir()}
    run("sh", composed / "secrets.sh")
    assert {file.name: file.read_bytes() for file in (composed / "secrets").iterdir()} == before
    assert (composed / "secrets").stat().st_mode & 0o077 == 0


def test_redis_takes_its_configuration(composed: Path) -> None:
    """It starts with it, asks for the password, and writes to disk as often as the documentation wants it."""
    configuration = (composed / "secrets/redis.conf").read_text().replace("dir /data", f"dir {composed}")
    (composed / "redis.conf").write_text(configuration)
    port = free_port()
    process = subprocess.Popen(
        [packages.find("redis-server"), composed / "redis.conf", "--port", str(port), "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert any("Ready to accept connections" in line for line in process.stdout)
        password = re.search(r"requirepass (\w+)", configuration)
        assert password is not None
        command = [packages.find("redis-cli"), "-p", port, "--no-auth-warning"]
        assert "NOAUTH" in run(*command, "ping")
        said = run(*command, "-a", password[1], "config", "get", "appendfsync")
        assert said.strip().replace("\n", " ") in (ROOT / "docs/how-to/redis.md").read_text()
        assert said.split()[0] == "appendfsync"
        assert f":{password[1]}@redis:6379/0" in (composed / "secrets/redis_url").read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_compose_asks_no_registry_for_our_image() -> None:
    """No registry has it: who does not build it waits for who does."""
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"].values()
    ours = [one for one in services if one["image"].startswith("auth-server:")]
    assert len(ours) == 4
    assert all("build" in one or one["pull_policy"] == "never" for one in ours)


def test_the_replicas_of_compose_stand_where_nginx_looks() -> None:
    """Each has an address of its own in the network, and nginx's is the one whose word counts."""
    file = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
    services = file["services"]
    replicas = {name: one for name, one in services.items() if name.startswith("auth-")}
    addresses = [one["networks"]["inside"]["ipv4_address"] for one in replicas.values()]
    named = re.findall(r"server ([\d.]+):2342", (DEPLOY / "compose/upstream.conf").read_text())
    assert addresses == named
    proxy = services["nginx"]["networks"]["inside"]["ipv4_address"]
    assert {one["environment"]["AUTH_SERVER_TRUSTED_PROXIES"] for one in replicas.values()} == {proxy}


# ---- what all of them tell the server
def given(composed: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the environment that each of the installations gives."""
    file = yaml.safe_load((composed / "compose.yaml").read_text())
    yield "compose", file["services"]["auth-1"]["environment"]
    for overlay in OVERLAYS:
        yield overlay, environment(run(*packages.kustomize(), DEPLOY / "kubernetes" / overlay))
    for unit in UNITS:
        lines = re.findall(r"^Environment=(\w+)=(.*)$", unit.read_text(), re.MULTILINE)
        yield unit.name, {"AUTH_SERVER_ISSUER": "https://auth.example.org", **dict(lines)}


def test_the_server_understands_what_it_is_told(composed: Path, tmp_path: Path) -> None:
    """No setting is misspelt, and each file with a secret is made by secrets.sh under the name it has there."""
    for name, environ in given(composed):
        real = {}
        for key, value in environ.items():
            if key.endswith("_FILE"):
                secret = composed / "secrets" / Path(value).name
                assert key == f"AUTH_SERVER_{secret.name.upper()}_FILE", name
                value = str(secret)
            real[key] = value.replace("%i", "2342").replace("%t", str(tmp_path)).replace("%S", str(tmp_path))
        loaded = settings.load(real).settings
        assert loaded.issuer_url == "https://auth.example.org", name
        assert loaded.key_encryption_key is not None, name
