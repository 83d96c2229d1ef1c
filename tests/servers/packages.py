"""The Debian packages whose programs the tests start, clients and a linter from npm, and kustomize.

`python -m tests.servers.packages` installs what is missing.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

PACKAGES = {
    "initdb": "postgresql",
    "pg_ctl": "postgresql",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "redis-server": "redis-server",
    "prometheus": "prometheus",
    "chromium": "chromium",
    "dovecot": "dovecot-imapd",
    "curl": "curl",
    "openssl": "openssl",
    "promtool": "prometheus",
    "nginx": "nginx",
    "caddy": "caddy",
    "systemd-analyze": "systemd",
    "apache2": "apache2-bin",
    "mod_auth_openidc.so": "libapache2-mod-auth-openidc",
    "node": "nodejs",
    "npm": "npm",
}
APACHE_MODULES = Path("/usr/lib/apache2/modules")
JAVASCRIPT = Path(__file__).parents[1] / "clients/javascript"
KUSTOMIZE = Path(__file__).parents[1] / "deploy/kustomize"  # a Go module that locks all that it is built from
BUILT = Path(__file__).parents[2] / ".cache/kustomize"
POLICY = Path("/usr/sbin/policy-rc.d")  # what Debian asks before a package starts its service


def find(program: str) -> Path:
    """Return where *program* is.

    Raises:
        FileNotFoundError: it is missing. A test that needs it then fails; it is never skipped.
    """
    found = shutil.which(program)
    if found:
        return Path(found)
    if (APACHE_MODULES / program).exists():
        return APACHE_MODULES / program
    debian = Path("/usr/lib/postgresql").glob(f"*/bin/{program}")  # not in PATH there
    newest = max(debian, key=lambda path: int(path.parts[-3]), default=None)
    if newest is None:
        raise FileNotFoundError(f"{program} is missing; `python -m tests.servers.packages` as root installs it")
    return newest


def missing() -> list[str]:
    """Return the packages whose programs are not there."""
    absent = set()
    for program, package in PACKAGES.items():
        try:
            find(program)
        except FileNotFoundError:
            absent.add(package)
    if ready_kustomize() is None and not shutil.which("go"):
        absent.add("golang-go")
    return sorted(absent)


def install(packages: list[str]) -> None:
    """Install *packages* without starting their services; needs root."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "--quiet", *command], check=True, env=environment)
    finally:
        if ours:
            POLICY.unlink()


def javascript() -> Path:
    """Return the folder of the clients from npm; those that are not there yet, or of another version, are installed.

    Raises:
        FileNotFoundError: npm is missing.
        subprocess.CalledProcessError: it cannot get them. A test that needs them then fails; it is never skipped.
    """
    wanted = sha256((JAVASCRIPT / "package-lock.json").read_bytes()).hexdigest()
    stamp = JAVASCRIPT / "node_modules/.wanted"
    with (JAVASCRIPT / "package.json").open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            command = [find("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(command, cwd=JAVASCRIPT, check=True, stdout=subprocess.DEVNULL)
            stamp.write_text(wanted)
    return JAVASCRIPT


def ready_kustomize() -> list[str] | None:
    """Return the command, without the folder, of a kustomize that is there and new enough; None where there is none."""
    if program := shutil.which("kustomize", path=f"{os.environ['PATH']}:{BUILT.parent}"):
        return [program, "build"]
    if program := shutil.which("kubectl"):
        command = [program, "version", "--client", "--output=json"]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        if told.get("kustomizeVersion", "").startswith("v5."):
            return [program, "kustomize"]
    return None


def kustomize() -> list[str]:
    """Return the command, without the folder, that prints what is in a folder of kustomize; it is built if need be.

    Raises:
        FileNotFoundError: neither it nor Go is there. A test that needs it then fails; it is never skipped.
        subprocess.CalledProcessError: its parts cannot be got, or are others than they were.
    """
    with (KUSTOMIZE / "go.mod").open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if ready := ready_kustomize():
            return ready
        build = [str(find("go")), "build", "-mod=readonly", "-o", str(BUILT), "sigs.k8s.io/kustomize/kustomize/v5"]
        BUILT.parent.mkdir(exist_ok=True)
        subprocess.run(build, cwd=KUSTOMIZE, check=True)
    return [str(BUILT), "build"]


def main() -> int:
    packages = missing()
    if packages and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        print(f"The tests need {', '.join(packages)}: install these packages, on Debian with apt-get as root.")
        return 1
    if packages:
        install(packages)
    javascript()
    kustomize()
    return 0


if __name__ == "__main__":
    sys.exit(main())
