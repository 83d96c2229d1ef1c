"""Everything that the documentation tells a reader to type does what it says, in the order of the page."""

from collections.abc import Iterator

import pytest

from tests.documentation.reader import Reader
from tests.servers.auth_server import ROOT
from tools.docs.blocks import blocks

WRITTEN = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "examples").rglob("README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [str(path.relative_to(ROOT)) for path in WRITTEN]
# Blocks that no test runs: page and reason. One more needs a line here, so that nobody overlooks it.
EXEMPT = {("docs/api-stability.md", "a part of a declaration; tests/api tries the whole")}


def has_commands(name: str) -> bool:
    """Tell whether a page has something to run."""
    return any(block.language or block.comments for block in blocks((ROOT / name).read_text()))


@pytest.fixture
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody with a fresh folder, whose name is short enough for sockets in it."""
    made = Reader(tmp_path_factory.mktemp("r"))
    yield made
    made.close()


@pytest.mark.parametrize("name", [name for name in NAMES if has_commands(name)])
def test_a_reader_who_follows_a_page_gets_what_it_shows(reader: Reader, name: str) -> None:
    """Each block is run, or is a file, an output or an exemption; nothing is skipped silently."""
    reader.follow((ROOT / name).read_text())


def test_exemptions_are_known_and_give_a_reason() -> None:
    """The comments `not run` in the pages are exactly those listed here."""
    found = {
        (name, block.comments["not run"])
        for name in NAMES
        for block in blocks((ROOT / name).read_text())
        if "not run" in block.comments
    }
    assert found == EXEMPT
    assert all(len(reason) > 10 for _, reason in found)
