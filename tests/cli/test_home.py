"""HOME: nothing makes it but what fills it, and what lies in it is its owner's alone."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import proves
from tests.cli.shell import PASSWORD, Shell

COMMANDS = [
    ("users", "add", "jane", "--password", PASSWORD),
    ("users", "ls"),
    ("users", "show", "jane"),
    ("users", "mod", "jane", "--disable"),
    ("users", "rm", "jane", "--yes"),
    ("users", "passwd", "jane", "--password", PASSWORD),
    ("clients", "add", "--scope", "metrics"),
    ("clients", "ls"),
    ("clients", "secret", "c"),
    ("auth", "add", "--scope", "metrics"),
    ("auth", "ls"),
    ("auth", "reset", "--yes"),
    ("keys", "ls"),
    ("keys", "rotate", "--now"),
    ("keys", "export", "--public"),
    ("db", "check"),
    ("db", "purge"),
    ("db", "backup", "/no/such/backup"),
    ("serve", "--no-migrate"),
]


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Files are made for everybody, unless their maker says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> set[str]:
    """The modes of all files and folders in *folder*."""
    return {f"{stat.S_IMODE(path.stat().st_mode):o}" for path in folder.rglob("*")}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_on_an_empty_store_makes_nothing(empty: Shell, command: tuple[str, ...]) -> None:
    """It says which command fills it."""
    done = empty.process(*command) if "serve" in command else empty.run(*command)
    assert (done.code, done.out) == (1, "")
    assert "auth-server db upgrade" in done.err
    assert not empty.home.exists()


@proves("S-124")
@pytest.mark.usefixtures("open_umask")
def test_new_files_are_their_owners_alone(empty: Shell, tmp_path: Path) -> None:
    """Whatever the umask, and wherever the database is."""
    empty.json("db", "upgrade")
    elsewhere = Shell(tmp_path / "other", DATABASE_URL=f"sqlite:///{tmp_path / 'mine.db'}")
    elsewhere.json("db", "upgrade")
    assert f"{stat.S_IMODE(empty.home.stat().st_mode):o}" == "700"
    assert modes(empty.home) == modes(elsewhere.home) == {"600"}
    assert f"{stat.S_IMODE((tmp_path / 'mine.db').stat().st_mode):o}" == "600"


@proves("S-124")
@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_files_that_others_can_read_are_closed(shell: Shell, command: str) -> None:
    """The databases, and what SQLite keeps beside them while somebody uses them."""
    with closing(sqlite3.connect(shell.home / "records.db")) as user:
        user.execute("SELECT * FROM users").fetchall()
        wide = sorted(shell.home.glob("*.db*"))
        assert {path.name.removeprefix("records.db") for path in wide} >= {"", "-wal", "-shm", "-mark"}
        for path in wide:
            path.chmod(0o644)
        done = shell.process("db", command, "--json")
        assert done.code == 0, done
        assert [path for path in wide if path.exists() and path.stat().st_mode & 0o077] == []
        assert f"{shell.home / 'records.db'} could be read by others (mode 644); its mode is 600 now" in done.err
        assert shell.process("db", command).err == ""


def test_a_folder_that_others_share_is_no_home(empty: Shell) -> None:
    """To take /tmp away from everybody else would break the machine."""
    empty.home.mkdir()
    empty.home.chmod(0o1777)
    (empty.home / "of somebody else").touch()
    done = empty.run("db", "upgrade")
    assert (done.code, done.out) == (1, "")
    assert f"HOME {empty.home} is shared with others" in done.err
    assert stat.S_IMODE(empty.home.stat().st_mode) == 0o1777
    assert [path.name for path in empty.home.iterdir()] == ["of somebody else"]


def test_an_empty_mount_is_a_home(empty: Shell) -> None:
    """A tmpfs is mounted with the mode of /tmp."""
    empty.home.mkdir()
    empty.home.chmod(0o1777)
    assert empty.json("db", "upgrade") == {"upgraded": True}
    assert stat.S_IMODE(empty.home.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_is_told(empty: Shell, tmp_path: Path) -> None:
    """And a database in a folder that is not there."""
    (tmp_path / "file").touch()
    done = empty.run("db", "upgrade", HOME=str(tmp_path / "file"))
    assert (done.code, done.out) == (1, "")
    assert f"HOME {tmp_path / 'file'} cannot be used: File exists" in done.err
    done = empty.run("db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/none/records.db")
    assert (done.code, done.out) == (1, "")
    assert f"there is no folder {tmp_path}/none" in done.err
