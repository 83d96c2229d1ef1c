"""`audit`: who signed in or tried to, and everything else that was written down."""

import csv
import io
import json

from tests.cli.shell import ADDRESS, PASSWORD, Shell


def test_logins_are_told_by_address_name_and_kind_of_secret(shell: Shell) -> None:
    """The last one first; with the times of the last success and of the last failure."""
    shell.json("users", "add", "jane", "--password", PASSWORD)
    app = shell.json("auth", "add", "jane", "--scope", "sessions")["app_password"]
    for password in ("wrong-password", PASSWORD, app):
        shell.login("jane", password)
    shell.login("nobody", "wrong-password")
    rows = shell.json("audit", "logins")
    assert [(row["client_ip"], row["username"], row["realm"], row["status"]) for row in rows] == [
        (ADDRESS, "nobody", "password", "failed"),
        (ADDRESS, "jane", "app_password", "ok"),
        (ADDRESS, "jane", "password", "ok"),
    ]
    nobody, by_app, by_password = rows
    assert nobody["last_login"] is None
    assert nobody["failed_at"]
    assert by_app["failed_at"] is None
    assert by_password["last_login"]
    assert by_password["failed_at"]
    assert shell.json("audit", "logins", "jan") == [by_app, by_password]
    assert shell.json("audit", "logins", "192.0.2.") == rows
    assert shell.json("audit", "logins", "198.") == []


def test_a_wrong_code_is_a_login_that_failed(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.set_up_second_factor("jane")
    assert "error" in shell.login("jane", code="000000")
    row = shell.json("audit", "logins", "jane")[0]
    assert (row["client_ip"], row["realm"], row["status"]) == (ADDRESS, "passcode", "failed")


def test_logins_have_photoprisms_columns(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.login("jane")
    head, row = csv.reader(io.StringIO(shell.run("audit", "logins", "--csv").out), delimiter=";")
    assert head == ["Client IP", "Username", "Realm", "Status", "Last Login", "Failed At"]
    assert row[:4] == [ADDRESS, "jane", "password", "OK"]
    assert row[5] == ""


def test_what_happened_is_listed_newest_first(shell: Shell) -> None:
    uid = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    shell.login("jane")
    shell.json("users", "rm", "jane", "--yes")
    rows = shell.json("audit", "ls")
    assert [row["event"] for row in rows[:3]] == ["user.remove", "login.password", "user.add"]
    assert rows[0].keys() == {"at", "event", "outcome", "actor", "client_id", "address", "details"}
    assert rows[1]["actor"] == uid
    assert (rows[2]["actor"], rows[2]["details"]["name"]) == ("cli", "jane")
    assert [row["event"] for row in shell.json("audit", "ls", "user.")] == ["user.remove", "user.add"]
    assert [row["event"] for row in shell.json("audit", "ls", uid)] == ["login.password"]
    assert PASSWORD not in json.dumps(rows)


def test_a_table_shows_as_many_as_the_limit_says(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    shell.json("users", "rm", "jane", "--yes")
    done = shell.run("audit", "ls", "-n", "1", "-t")
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["Event", "user.remove"]
    assert "--limit" in done.err
    assert len(shell.json("audit", "ls", "-n", "1")) > 2


def test_a_name_that_somebody_tried_moves_no_cursor(shell: Shell) -> None:
    shell.login("\x1b[31mred", "wrong-password")
    for command in (("audit", "ls"), ("audit", "logins")):
        done = shell.run(*command)
        assert done.code == 0
        assert all(c.isprintable() or c in "\n" for c in done.out)
