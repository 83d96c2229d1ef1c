"""`users`: accounts, their passwords, and what ends when rights are taken away."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import proves
from tests.cli.shell import PASSWORD, Shell
from tests.servers.redis import running


def test_added_with_everything_and_shown(shell: Shell) -> None:
    flags = ("--email", "jane@example.org", "--email-verified", "--display-name", "Jane", "--role", "admin")
    claims = ("--claim", "department=sales", "--claim", 'groups=["a", "b"]', "--claim", "staff=true", "--claim", "n=1")
    made = shell.json("users", "add", " Jane ", "--password", PASSWORD, *flags, *claims)
    assert re.fullmatch(r"u[0-9a-z]{15}", made["uid"])
    assert (made["name"], made["email"], made["email_verified"]) == ("jane", "jane@example.org", True)
    assert (made["role"], made["display_name"], made["super_admin"]) == ("admin", "Jane", False)
    assert made["claims"] == {"department": "sales", "groups": ["a", "b"], "staff": True, "n": "1"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["created_at"])
    assert made["login_at"] is None
    assert "password" not in made
    assert shell.json("users", "show", "jane") == shell.json("users", "show", made["uid"]) == made
    assert shell.json("users", "ls") == [made]


def test_defaults(shell: Shell) -> None:
    made = shell.json("users", "add", "bob", "--password", PASSWORD)
    assert (made["role"], made["email"], made["email_verified"], made["claims"]) == ("user", None, False, {})


def test_without_a_password_one_is_made_and_shown_once(shell: Shell) -> None:
    made = shell.json("users", "add", "jane")
    assert made["must_change_password"] is True
    assert shell.login("jane", made["password"])["status"] == "success"
    assert made["password"] not in json.dumps([shell.json("users", "ls"), shell.json("users", "show", "jane")])
    other = shell.run("users", "add", "bob")
    password = re.search(r"\| bob +\| (\S+)", other.out.partition("PLEASE COPY")[2])
    assert password
    assert shell.login("bob", password[1])["status"] == "success"


@proves("S-150")
def test_a_password_comes_from_standard_input(shell: Shell) -> None:
    done = shell.run("users", "add", "jane", "--password", "-", stdin=f"{PASSWORD}\nnot this\n")
    assert done.code == 0
    assert PASSWORD not in done.out + done.err
    assert shell.login("jane")["status"] == "success"
    assert shell.run("users", "add", "bob", "--password", "-", stdin="").code == 2
    assert PASSWORD not in str(shell.events())


def test_at_a_terminal_what_is_missing_is_asked_for_and_no_password_echoed(shell: Shell) -> None:
    """Name, address, and the password twice, until both are the same."""
    answers = [
        ("Username: ", "Jane"),
        ("Email: ", "jane@example.org"),
        ("Password: ", PASSWORD),
        ("Retype Password: ", "Blue-whale-43-sings"),
        ("Password: ", PASSWORD),
        ("Retype Password: ", PASSWORD),
    ]
    done = shell.terminal("users", "add", "--json", answers=answers)
    assert done.code == 0, done
    assert PASSWORD not in done.out + done.err
    made = json.loads(done.out)
    assert (made["name"], made["email"], made["must_change_password"]) == ("jane", "jane@example.org", False)
    assert "password" not in made
    assert shell.login("jane")["status"] == "success"


def test_at_a_terminal_nothing_is_asked_for_that_is_given(shell: Shell) -> None:
    """Nor an address beside a name and a password; an address may be left empty."""
    done = shell.terminal("users", "add", "jane", "--password", PASSWORD)
    assert done.code == 0, done
    assert done.err == ""
    answers = [("Email: ", ""), ("Password: ", PASSWORD), ("Retype Password: ", PASSWORD)]
    asked = shell.terminal("users", "add", "bob", "--json", answers=answers)
    assert json.loads(asked.out)["email"] is None


def test_a_taken_name_is_told_before_anything_is_asked(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    done = shell.terminal("users", "add", answers=[("Username: ", "JANE")])
    assert (done.code, done.out) == (1, "")
    assert "there is a user 'jane' already" in done.err


def test_whoever_gives_up_at_a_question_changes_nothing(shell: Shell) -> None:
    done = shell.terminal("users", "add", answers=[("Username: ", "jane"), ("Email: ", "\x04")])
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == "auth-server: stopped"
    assert shell.json("users", "ls") == []


@pytest.mark.parametrize("command", [("users", "passwd"), ("passwd",)], ids=" ".join)
def test_at_a_terminal_a_new_password_is_asked_for(shell: Shell, command: tuple[str, ...]) -> None:
    shell.json("users", "add", "jane", "--password", f"{PASSWORD}-1")
    answers = [("New Password: ", PASSWORD), ("Retype Password: ", PASSWORD)]
    done = shell.terminal(*command, "jane", answers=answers)
    assert done.code == 0, done
    assert PASSWORD not in done.out + done.err
    assert shell.login("jane")["status"] == "success"


def test_only_what_is_given_changes(shell: Shell) -> None:
    before = shell.json("users", "add", "jane", "--password", PASSWORD, "--email", "j@example.org", "--claim", "a=b")
    after = shell.json("users", "mod", "jane", "--display-name", "Jane")
    assert after == {**before, "display_name": "Jane", "updated_at": after["updated_at"]}
    assert shell.json("users", "mod", "jane", "--claim", "c=d")["claims"] == {"c": "d"}
    assert shell.json("users", "mod", "jane", "--claim", "")["claims"] == {}
    assert shell.json("users", "mod", "jane", "--email-verified")["email_verified"] is True
    assert shell.json("users", "mod", "jane", "--email", "new@example.org")["email_verified"] is False
    assert shell.json("users", "mod", "jane", "--email", "")["email"] is None


@pytest.mark.parametrize(
    "claim",
    [
        'a={"b": NaN}',
        "a=[1e999]",
        "a=[123456789012345678901234567890]",
        r'a={"b": "\ud800"}',
        "a=\udcff",
        "\udcff=a",
        "a=" + "[" * 300 + "]" * 300,
        "a=" + "x" * 17000,
    ],
    ids=lambda claim: claim[:24],
)
def test_a_claim_that_not_every_program_reads_is_refused(shell: Shell, claim: str) -> None:
    before = shell.json("users", "add", "jane", "--password", PASSWORD)
    for command in (("mod", "jane"), ("add", "bob", "--password", PASSWORD)):
        done = shell.run("users", *command, "--claim", claim)
        assert (done.code, done.out) == (2, "")
    assert shell.json("users", "ls") == [before]
    assert shell.login("jane")["status"] == "success"


def test_disabling_ends_sessions_and_app_passwords_in_a_running_server(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    session = shell.login("jane")["access_token"]
    app = shell.json("auth", "add", "jane")["app_password"]
    assert shell.alive(session)
    assert shell.alive(app)
    assert shell.json("users", "mod", "jane", "--disable")["enabled"] is False
    assert not shell.alive(session)
    assert not shell.alive(app)
    assert shell.login("jane") == {"error": "Invalid credentials"}
    assert shell.json("users", "mod", "jane", "--enable")["enabled"] is True
    assert not shell.alive(session)
    assert not shell.alive(app)
    assert shell.login("jane")["status"] == "success"


def test_a_new_password_ends_sessions_and_leaves_app_passwords(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    app = shell.json("auth", "add", "jane")["app_password"]
    for command in ("passwd", "mod"):
        session = shell.login("jane")["access_token"]
        done = shell.run("users", command, "jane", "--password", "-", stdin=f"{PASSWORD}\n")
        assert done.code == 0, done
        assert not shell.alive(session)
        assert shell.alive(app)
    made = shell.json("users", "passwd", "jane")
    assert made["must_change_password"] is True
    assert shell.login("jane") == {"error": "Invalid credentials"}
    assert shell.login("jane", made["password"])["status"] == "success"


@proves("S-130")
def test_a_name_given_again_is_another_account(shell: Shell) -> None:
    old = shell.json("users", "add", "jane", "--password", PASSWORD)
    session = shell.login("jane")["access_token"]
    app = shell.json("auth", "add", "jane")["app_password"]
    client = shell.json("clients", "add", "--scope", "metrics", "jane")
    token = shell.token(client["client_id"], client["client_secret"])["access_token"]
    assert shell.json("users", "rm", "jane", "--yes") == {"deleted": 1}
    new = shell.json("users", "add", "jane", "--password", PASSWORD)
    assert new["uid"] != old["uid"]
    for dead in (session, app, token):
        assert not shell.alive(dead)
    assert shell.json("auth", "ls") == []
    assert shell.json("clients", "ls") == []
    assert "error" in shell.token(client["client_id"], client["client_secret"])


@proves("S-136")
def test_of_two_who_make_the_same_name_at_once_one_succeeds(shell: Shell) -> None:
    def add(_: int) -> int:
        return shell.process("users", "add", "jane", "--password", PASSWORD).code

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(add, range(4)))
    assert codes == [0, 1, 1, 1]
    assert [user["name"] for user in shell.json("users", "ls")] == ["jane"]


def test_the_last_admin_stays(shell: Shell) -> None:
    """One who can sign in: a disabled admin, or somebody else, is no substitute."""
    boss = shell.json("users", "add", "boss", "--password", PASSWORD, "--role", "admin")
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.json("users", "add", "idle", "--password", PASSWORD, "--role", "admin")
    shell.json("users", "mod", "idle", "--disable")
    session, before = shell.login("boss")["access_token"], len(shell.events())
    boss["login_at"] = shell.json("users", "show", "boss")["login_at"]
    for args in (("rm", "boss", "--yes"), ("mod", "boss", "--disable"), ("mod", "boss", "--role", "user")):
        done = shell.run("users", *args)
        assert (done.code, done.out) == (1, "")
        assert "boss is the last admin" in done.err
        assert "auth-server users add NAME --role admin" in done.err
    assert shell.json("users", "show", "boss") == boss
    assert shell.alive(session)
    assert len(shell.events()) == before
    assert shell.json("users", "mod", "boss", "--display-name", "Boss", "--role", "admin", "--enable")["enabled"]
    assert shell.json("users", "rm", "idle", "--yes") == {"deleted": 1}


def test_of_two_admins_each_may_go_but_not_both(shell: Shell) -> None:
    for first, args in enumerate((("rm", "--yes"), ("mod", "--disable"), ("mod", "--role", "guest"))):
        for name in ("one", "two"):
            shell.json("users", "add", f"{name}-{first}", "--password", PASSWORD, "--role", "admin")
        verb, *flags = args
        assert shell.run("users", verb, f"one-{first}", *flags).code == 0
        if first:
            assert shell.run("users", verb, f"two-{first - 1}", *flags).code == 0
        assert shell.run("users", verb, f"two-{first}", *flags).code == 1


def test_a_taken_name_is_a_conflict(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    done = shell.run("users", "add", "JANE", "--password", PASSWORD)
    assert (done.code, done.out) == (1, "")
    assert "auth-server users mod jane" in done.err


def test_search_is_a_prefix(shell: Shell) -> None:
    for name in ("jane", "janet", "bob"):
        shell.json("users", "add", name, "--password", PASSWORD, "--email", f"{name}@example.org")
    assert [user["name"] for user in shell.json("users", "ls", "jan")] == ["jane", "janet"]
    assert [user["name"] for user in shell.json("users", "ls", "bob@")] == ["bob"]
    assert shell.json("users", "ls", "%") == []


@pytest.mark.parametrize("flag", ["--reset-mfa", "--disable-2fa"])
def test_who_has_lost_the_second_factor_gets_it_reset(shell: Shell, flag: str) -> None:
    """With other changes at once; nothing changes where there is none."""
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.set_up_second_factor("jane")
    assert shell.login("jane")["code"] == 32
    assert "Local (2FA)" in shell.run("users", "ls").out
    done = shell.json("users", "mod", "jane", flag, "--display-name", "Jane")
    assert (done["auth_method"], done["display_name"]) == ("default", "Jane")
    assert shell.login("jane")["status"] == "success"
    again = shell.run("users", "mod", "jane", flag, "--display-name", "Other")
    assert (again.code, again.out) == (1, "")
    assert "no second factor" in again.err
    assert shell.json("users", "show", "jane")["display_name"] == "Jane"


def test_super_admins_are_admins(shell: Shell) -> None:
    boss = shell.json("users", "add", "boss", "--password", PASSWORD, "--superadmin")
    assert (boss["role"], boss["super_admin"]) == ("admin", True)
    jane = shell.json("users", "add", "jane", "--password", PASSWORD)
    session = shell.login("jane")["access_token"]
    assert shell.run("users", "mod", "jane", "--superadmin", "--role", "guest").code == 2
    assert shell.alive(session)
    made = shell.json("users", "mod", "jane", "-s")
    assert (made["uid"], made["role"], made["super_admin"]) == (jane["uid"], "admin", True)
    assert not shell.alive(session)
    for flags, role in ((("--no-superadmin",), "admin"), (("--role", "user"), "user")):
        shell.json("users", "mod", "jane", "--superadmin")
        session = shell.login("jane")["access_token"]
        changed = shell.json("users", "mod", "jane", *flags)
        assert (changed["role"], changed["super_admin"]) == (role, False)
        assert not shell.alive(session)


def test_an_account_may_begin_disabled(shell: Shell) -> None:
    assert shell.json("users", "add", "jane", "--password", PASSWORD, "--no-login")["enabled"] is False
    assert shell.login("jane") == {"error": "Invalid credentials"}
    assert shell.json("users", "mod", "jane", "--enable")["enabled"] is True
    assert shell.json("users", "mod", "jane", "-l")["enabled"] is False


def test_nothing_is_written_where_nothing_is_to_change(shell: Shell) -> None:
    made = shell.json("users", "add", "jane", "--password", PASSWORD)
    before = len(shell.events())
    assert shell.json("users", "mod", "jane") == made
    assert len(shell.events()) == before


def test_reset_takes_every_account_and_leaves_clients_that_act_for_nobody(shell: Shell) -> None:
    shell.json("users", "add", "boss", "--password", PASSWORD, "--role", "admin")
    shell.json("users", "add", "jane", "--password", PASSWORD)
    session = shell.login("jane")["access_token"]
    app = shell.json("auth", "add", "boss")["app_password"]
    hers = shell.json("clients", "add", "--scope", "metrics", "jane")
    client = shell.json("clients", "add", "--scope", "metrics")
    token = shell.token(client["client_id"], client["client_secret"])["access_token"]
    assert shell.json("users", "reset", "--yes") == {"deleted": 2}
    assert shell.json("users", "ls") == []
    assert not shell.alive(session)
    assert not shell.alive(app)
    assert shell.alive(token)
    assert "error" in shell.token(hers["client_id"], hers["client_secret"])
    assert [row["client_id"] for row in shell.json("clients", "ls")] == [client["client_id"]]


def test_a_removal_that_redis_did_not_hear_of_counts(template: Path, tmp_path: Path) -> None:
    """The sentence says so, and the audit has it."""
    home = Path(shutil.copytree(template, tmp_path / "home"))
    with running(tmp_path / "redis") as redis:
        shell = Shell(home, REDIS_URL=redis.url)
        shell.json("users", "add", "jane", "--password", PASSWORD)
        token = shell.login("jane")["access_token"]
        redis.ask("SAVE")
        redis.stop()
        done = shell.run("users", "rm", "jane", "--yes")
        assert (done.code, done.out) == (1, "")
        assert "the user 'jane' is removed, its tokens count no more, but they are not deleted yet" in done.err
        redis.start()
        assert not shell.alive(token)
        assert "there is no user" in shell.run("users", "show", "jane").err
        assert [event.event for event in shell.events()].count("user.remove") == 1
        shell.close()


@proves("S-155")
def test_every_change_is_audited_without_secrets(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.json("users", "mod", "jane", "--display-name", "Jane")
    shell.json("users", "passwd", "jane", "--password", f"{PASSWORD}-2")
    shell.json("users", "rm", "jane", "--yes")
    events = [event for event in shell.events() if event.actor != "server"]
    assert [event.event for event in events] == ["user.add", "user.change", "user.change", "user.remove"]
    assert {(event.actor, event.outcome) for event in events} == {("cli", "ok")}
    assert PASSWORD not in str(events)
