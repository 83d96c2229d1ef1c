"""What the documents name is there, and what is made from the code is up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("tool", ["settings_file", "security_table"])
def test_made_files_are_up_to_date(tool: str):
    """The settings file follows from settings.py, the table of attacks from the tests."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
