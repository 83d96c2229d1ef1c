"""A shell with a migrated store for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME as `db upgrade` leaves it, with signing keys."""
    home = tmp_path_factory.mktemp("template") / "home"
    shell = Shell(home)
    for command in (("db", "upgrade"), ("keys", "rotate")):
        done = shell.run(*command)
        assert done.code == 0, done
    return home


@pytest.fixture
def shell(template: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell on a HOME of this test's own."""
    made = Shell(Path(shutil.copytree(template, tmp_path / "home")))
    yield made
    made.close()


@pytest.fixture
def empty(tmp_path: Path) -> Shell:
    """A shell on a HOME where nothing is yet."""
    return Shell(tmp_path / "home")
