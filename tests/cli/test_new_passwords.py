"""New passwords on the command line and at the first start: what is refused, and what is said."""

import pytest

from tests import proves
from tests.cli.shell import PASSWORD, Shell
from tests.servers.auth_server import free_port

COMMON = "auth-server: password: is on the list of common passwords and words"
NAMED = "auth-server: password: must not be the user name"


@proves("S-074")
@pytest.mark.parametrize(
    ("password", "code", "told"),
    [
        ("seven-7", 2, "auth-server: password: must have at least 8 characters"),
        ("Password123", 1, COMMON),
        ("Emma.Woodhouse", 1, NAMED),
        ("emma@hartfield.example", 1, NAMED),
        ("WOODHOUSE", 1, NAMED),
        ("Auth-Server", 1, NAMED),
    ],
)
def test_a_weak_password_is_refused_on_every_road(shell: Shell, password: str, code: int, told: str) -> None:
    about = ("--email", "emma@hartfield.example", "--display-name", "Miss Woodhouse")
    add = shell.run("users", "add", "emma.woodhouse", *about, "--password", password)
    assert (add.code, add.out) == (code, "")
    assert add.err.startswith(told)
    assert password not in add.err
    assert shell.json("users", "ls") == []
    shell.json("users", "add", "emma.woodhouse", "--password", PASSWORD)
    before = shell.json("users", "mod", "emma.woodhouse", *about)
    for command in (("passwd", "emma.woodhouse"), ("mod", "emma.woodhouse")):
        done = shell.run("users", *command, "--password", "-", stdin=f"{password}\n")
        assert (done.code, done.out) == (code, "")
        assert done.err.startswith(told)
    assert shell.json("users", "show", "emma.woodhouse") == before
    assert shell.login("emma.woodhouse")["status"] == "success"


@proves("S-074")
@pytest.mark.parametrize("password", ["Password123", "Emma.Woodhouse"])
def test_the_first_start_refuses_a_weak_password(empty: Shell, password: str) -> None:
    """With a sentence that names the setting; the next start makes the admin."""
    settings = {"ADMIN_USER": "emma.woodhouse", "ADMIN_PASSWORD": password, "PORT": str(free_port())}
    done = empty.process("serve", "--quickstart", **settings)
    assert done.code == 1
    assert "auth-server: ADMIN_PASSWORD: " in done.err
    assert "take another one" in done.err
    assert "Traceback" not in done.err
    assert password not in done.err + done.out
    assert empty.json("users", "ls") == []


def test_a_generated_password_is_taken(shell: Shell) -> None:
    made = shell.json("users", "add", "emma")
    assert shell.login("emma", made["password"])["status"] == "success"
