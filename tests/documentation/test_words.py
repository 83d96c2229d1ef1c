"""What the pages name in passing is there: commands, options, settings, targets of make."""

import re
import shlex
from pathlib import Path

import click
import pytest

from auth_server.cli.command_line import command_line
from auth_server.settings import PREFIX, Settings
from tests.servers.auth_server import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OTHER = {f"{PREFIX}{name}" for name in ("CONFIG", "NAME", "X")}
"""Names that are no settings: of the file, and of any setting."""


def words_of(page: Path) -> list[str]:
    """Return what stands in back-quotes outside blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.S | re.M))


def wrong_option(line: str) -> str | None:
    """Return what is wrong with a command named in a text; a name in capitals or … stands for any value."""
    command: click.Command = command_line
    parts = shlex.split(line)[1:]
    context = click.Context(command_line)
    while parts and isinstance(command, click.Group):
        name = parts.pop(0)
        if name == "…" or name.isupper():
            return None
        found = command.get_command(context, name)
        if found is None:
            return f"there is no {name}"
        command = found
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [part for part in parts if part.startswith("-") and part not in known | {"-", "--help"}]
    unknown = [part for part in unknown if not part[1:].isdecimal()]
    return f"there is no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_a_text_are_there(page: Path) -> None:
    """With their options; and so are targets of make."""
    wrong = []
    for text in words_of(page):
        if text.startswith("auth-server "):
            wrong += [f"{text}: {why}"] if (why := wrong_option(text)) else []
        elif text.startswith("make "):
            wrong += [text] if text.split()[1] not in TARGETS else []
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_named_in_a_text_are_there(page: Path) -> None:
    """By their names in the environment."""
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text()))
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {
        name for name in named if name.removesuffix("_FILE") not in known | OTHER and not name.endswith("_")
    } == set()
