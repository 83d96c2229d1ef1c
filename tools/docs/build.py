"""Gather all pages in a temporary folder, the written and the made ones, and let Sphinx make the site of them."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sphinx.cmd.build import build_main

from tools.docs import api_pages, commands_page, errors_page, settings_page
from tools.docs.blocks import without_comments
from tools.docs.navigation import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#)[^)\s#]+)(?P<anchor>#[^)]*)?\)")


def build(site: Path) -> int:
    """Make the site in the folder *site*; a broken link or any other warning is an error.

    Returns:
        An exit code.
    """
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        pages, trees = Path(folder, "pages"), Path(folder, "trees")
        gather(pages)
        shutil.rmtree(site, ignore_errors=True)
        return build_main(["-q", "-W", "--keep-going", "-b", "html", "-d", str(trees), str(pages), str(site)])


def gather(pages: Path) -> None:
    """Write all pages into the folder *pages*."""
    shutil.copytree(ROOT / "docs", pages)
    shutil.copy(ROOT / "CHANGELOG.md", pages / "changelog.md")
    shutil.copy(ROOT / "auth_server/static/pages/mark.svg", pages / "_static")  # the server's pages have the same
    for file in pages.rglob("*.md"):
        file.write_text(_outward(without_comments(file.read_text()), file.relative_to(pages)))
    for name, text in made_pages().items():
        file = pages / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with (pages / "index.md").open("a") as index:
        index.write(_tables_of_contents())


def made_pages() -> Mapping[str, str]:
    """Return the pages that follow from the code: name to text."""
    return {
        "reference/settings": settings_page.page(),
        "reference/commands": commands_page.page(),
        "reference/errors": errors_page.page(),
        "decisions/index": _decisions(),
        **api_pages.pages(),
    }


def _decisions() -> str:
    names = sorted(path.stem for path in (ROOT / "docs/decisions").glob("*.md"))
    return "\n".join(
        [
            "# Decisions\n",
            "Why things are as they are: what was chosen, what it costs, and when to look at it again.\n",
            "```{toctree}",
            ":maxdepth: 1\n",
            *names,
            "```\n",
        ]
    )


def _tables_of_contents() -> str:
    parts = [
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {head}", "", *names, "```", ""])
        for head, names in SECTIONS.items()
    ]
    return "\n".join(parts)


def _outward(text: str, name: Path) -> str:
    """Turn links to files of the source that are not part of the site into their names."""

    def shown(found: re.Match[str]) -> str:
        inside = os.path.normpath(Path("docs") / name.parent / found["target"])
        if not inside.startswith("docs/") and (ROOT / inside).exists():
            return f"`{inside}`"
        return found[0]

    return _LINK.sub(shown, text)
