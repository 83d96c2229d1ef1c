"""What the benchmark runs on: cores, versions, and the program that makes the load."""

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.servers import packages

PACKAGES = (
    "gunicorn",
    "gunicorn_h1c",
    "granian",
    "flask",
    "sqlalchemy",
    "psycopg",
    "redis",
    "hiredis",
    "cryptography",
    "orjson",
    "prometheus-client",
)
SERVERS = ("postgres", "redis-server")


def cores() -> tuple[int, int]:
    """Return the core for servers and the one for the load; the same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def find_wrk() -> str:
    """Return the path of wrk, which is installed if that is possible.

    Raises:
        SystemExit: it is missing, and we are not root or there is no apt-get.
    """
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        packages.install(["wrk"])
    found = shutil.which("wrk")
    if found is None:
        sys.exit("The benchmark needs wrk; install it, on Debian as root with: apt-get install wrk")
    return found


def described() -> list[str]:
    """Return lines about the machine and what is installed, for the report."""
    installed = []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            installed.append(f"{name} missing")
    installed += [_version(server) for server in SERVERS]
    return [
        f"- {_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB, Linux {platform.release()}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {', '.join(installed)}",
    ]


def _version(program: str) -> str:
    """Return a program's name and version, as it tells them itself."""
    told = subprocess.run([packages.find(program), "--version"], check=True, capture_output=True, text=True).stdout
    return f"{program} {re.search(r'[0-9]+([.][0-9]+)+', told).group()}"  # type: ignore[union-attr]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
