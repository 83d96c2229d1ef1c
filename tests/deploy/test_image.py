"""The Dockerfile's last steps, done without an engine: the environment has the server and its command."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.servers.auth_server import ROOT

BUILD, RUNTIME = re.split(r"^FROM .*\n", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
THERE = "/opt/auth-server"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The environment of the image, with the requirements of this one; what it was built from is gone."""
    environment, source = tmp_path / "environment", tmp_path / "source"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib"))  # its own path files are not read there
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for names, target in re.findall(r"^COPY (.+) (\S+)$", BUILD, re.MULTILINE):
        for name in names.split():
            assert name in allowed or name.partition("/")[0] in allowed, "Docker would not find it"
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target)
            else:
                (source / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / target)
    (step,) = re.findall(r"^RUN (.*install_here.*)$", BUILD, re.MULTILINE)
    subprocess.run(step.replace(THERE, str(environment)).split(), cwd=source, check=True)
    shutil.rmtree(source)
    return environment


def test_the_image_has_the_command(built: Path, tmp_path: Path) -> None:
    """It is found by its name, as `kubectl exec` calls it, and does what needs files of the package."""
    assert f"PATH={THERE}/bin:$PATH" in RUNTIME
    home = tmp_path / "home"
    environ = {"PATH": f"{built}/bin:/usr/bin:/bin", "AUTH_SERVER_HOME": str(home)}
    for command in ("version", "db upgrade", "keys rotate", f"db backup {home}/backup.db"):
        done = subprocess.run(["auth-server", *command.split()], env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (home / "backup.db").is_file()
    asked = [f"{built}/bin/python", "-c", "import auth_server; print(auth_server.__file__)"]
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True).stdout
    assert found.startswith(str(built)), "the copy, not what is in a checkout"
