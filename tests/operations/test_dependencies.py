"""The locked requirements: each with hashes, none from a named place, all of what pyproject.toml asks for."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import proves

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))


@proves("S-156")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_package_is_pinned_with_hashes(file: Path):
    """A line without a hash would let an altered file in."""
    text = file.read_text()
    packages = re.findall(r"^[a-z0-9][^\n\\]*(?:\\\n[^\n\\]*)*", text, re.MULTILINE)
    assert packages
    assert [package for package in packages if "==" not in package or "--hash=sha256:" not in package] == []
    assert "://" not in text
    assert "index-url" not in text


@proves("S-156")
def test_an_altered_file_is_not_installed(tmp_path: Path):
    """pip refuses a package whose hash is not the locked one."""
    (tmp_path / "wheel").mkdir()
    wheel = tmp_path / "wheel/click-99.0-py3-none-any.whl"
    wheel.write_bytes(b"PK\x05\x06" + bytes(18))
    locked = tmp_path / "locked.txt"
    locked.write_text(f"click @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "-r", str(locked)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "HASH" in done.stderr.upper()


def test_the_lock_has_what_the_project_asks_for():
    """A dependency that was added without `make lock` would be missing on a fresh machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["granian"]]
    development = project["dependency-groups"]["dev"]
    for file, names in (("runtime.txt", wanted), ("development.txt", [*wanted, *development])):
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / file).read_text(), re.MULTILINE))
        assert {re.split(r"[\[>=<]", name)[0].lower() for name in names} <= locked
