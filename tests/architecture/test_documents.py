"""What the documents name is there, and what is made from the code is up to date."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import security_table
from tools.docs.build import made_pages

ROOT = Path(__file__).parents[2]
MADE = {ROOT / "docs" / f"{name}.md" for name in (*made_pages(), "changelog")}
"""Pages that the site has, and the source has not."""
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_path_in_a_document_exists(document: Path):
    """Relative links, and paths in back-quotes that begin with a folder of ours."""
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    paths = re.findall(r"`((?:auth_server|docs|tests|config|tools|requirements)/[\w./-]+)`", text)
    named = [document.parent / link for link in links] + [ROOT / path for path in paths]
    there = [path.exists() or Path(os.path.normpath(path)) in MADE or "NAME" in path.name for path in named]
    missing = [str(path) for path, exists in zip(named, there, strict=True) if not exists]
    assert missing == []


def test_the_settings_file_is_up_to_date():
    """It follows from settings.py."""
    assert checked("settings_file") == (0, "")


def test_the_table_of_attacks_is_up_to_date(request: pytest.FixtureRequest, collected: Sequence[pytest.Item]):
    """It follows from the tests; where only some of them run, all are collected for it, which takes ten seconds."""
    files = {path for path in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in path.parts}
    if files == {item.path for item in collected} and not any("::" in name for name in request.config.args):
        assert security_table.render(security_table.proofs(collected)) == security_table.FILE.read_text()
    else:
        assert checked("security_table") == (0, "")


def checked(tool: str) -> tuple[int, str]:
    """Return how a tool ends that is to compare what it makes with what is there, and what it says."""
    command = [sys.executable, ROOT / "tools" / f"{tool}.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr
