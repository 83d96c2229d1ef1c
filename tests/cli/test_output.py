"""Tables as PhotoPrism draws them, and the other forms."""

import csv
import io
import re

import pytest

from auth_server.domain.users import Changes
from tests.cli.shell import PASSWORD, Shell


def test_a_table_has_photoprisms_frame(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    rule, head, _, row, end = shell.run("users", "ls").out.splitlines()
    assert rule == end
    assert re.fullmatch(r"\|(-+\|)+", rule)
    assert len({len(line) for line in (rule, head, row)}) == 1
    heads = r"\| +UID +\| Username \| Role \| Authentication \| Super Admin \| Web Login \|  WebDAV  \|"
    assert re.fullmatch(heads, head)
    assert re.fullmatch(r"\| u\w{15} \| jane     \| User \| Local +\| No          \| Enabled   \| Disabled \|", row)


def test_times_and_absent_values_are_written_as_photoprism_does(shell: Shell) -> None:
    """In UTC, nothing where there is no time, n/a where nobody is assigned; more columns where a flag asks."""
    uid = shell.json("users", "add", "jane", "--password", PASSWORD)["uid"]
    row = shell.run("users", "ls", "--login", "--created", "--tsv").out.splitlines()[1]
    assert re.fullmatch(rf"{uid}\tjane\tUser\tLocal\tNo\tEnabled\tDisabled\t\t\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", row)
    assert shell.run("users", "ls", "-l", "-c").out.splitlines()[0].endswith(";WebDAV;Last Login")
    assert shell.run("users", "ls", "-a", "-m").out.splitlines()[0].endswith("| WebDAV | Created At |")
    shell.json("clients", "add", "--name", "Monitoring", "--scope", "metrics")
    head, cells = shell.run("clients", "ls", "-c").out.splitlines()
    assert head == "Client ID;Name;Authentication Method;User;Role;Scope;Enabled;Access Token Lifetime;Created At"
    assert ";Monitoring;Client (OAuth2);n/a;client;metrics;Yes;24h0m0s; up to 10 tokens;" in cells.replace('"', "")
    shell.json("auth", "add", "--name", "Prometheus", "--scope", "metrics", "--expires", "-1")
    head, cells = shell.run("auth", "ls", "-t").out.splitlines()
    assert head.split("\t") == [
        *("Session ID", "User", "Authentication Method", "Client", "Scope", "Login IP", "Current IP"),
        *("Last Active", "Created At", "Expires At"),
    ]
    assert cells.split("\t")[1:7] == ["n/a", "Access Token (OAuth2)", "Prometheus", "metrics", "", ""]
    assert cells.endswith("\t")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--tokens", "1"), "24h0m0s; up to 1 token"),
        (("--tokens", "-1", "--expires", "3661"), "1h1m1s"),
    ],
)
def test_lifetimes_of_clients_tokens(shell: Shell, flags: tuple[str, ...], told: str) -> None:
    shell.json("clients", "add", "--scope", "metrics", *flags)
    cells = shell.run("clients", "ls", "--tsv").out.splitlines()[1].split("\t")
    assert cells[7] == told


def test_the_kinds_of_sessions_have_photoprisms_names(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    app = shell.json("auth", "add", "jane")["app_password"]
    shell.login("jane")
    assert shell.http.post("/api/v1/session", headers={"X-Auth-Token": app}, json={}).status_code == 200
    client = shell.json("clients", "add", "--scope", "metrics")
    shell.token(client["client_id"], client["client_secret"])
    rows = [line.split("\t") for line in shell.run("auth", "ls", "--tsv").out.splitlines()[1:]]
    kinds = sorted(row[2] for row in rows)
    assert kinds == ["Application", "Application (Session)", "Client (OAuth2)", "Local"]


def test_long_cells_are_wrapped_at_spaces(shell: Shell) -> None:
    shell.json("clients", "add", "--name", "one two three four five six seven eight", "--scope", "metrics")
    rows = shell.run("clients", "ls").out.splitlines()[3:-1]
    assert [line.split("|")[2].strip() for line in rows] == ["one two three four five six", "seven eight"]


def test_an_empty_list_has_its_head(shell: Shell) -> None:
    assert len(shell.run("clients", "ls").out.splitlines()) == 3
    assert shell.run("clients", "ls", "--csv").out.startswith("Client ID;Name;")
    assert shell.json("clients", "ls") == []


def test_separated_values_survive_their_separators(shell: Shell) -> None:
    shell.json("clients", "add", "--name", 'a;b "c" | d', "--scope", "metrics")
    for flag, delimiter in (("--csv", ";"), ("--tsv", "\t")):
        rows = list(csv.reader(io.StringIO(shell.run("clients", "ls", flag).out), delimiter=delimiter))
        assert [len(row) for row in rows] == [9, 9]
        assert rows[1][1] == 'a;b "c" | d'
    markdown = shell.run("clients", "ls", "--md").out.splitlines()
    assert markdown[1] == "|" + " --- |" * 9
    assert r'a;b "c" \| d' in markdown[2]


def test_a_record_is_a_table_of_names_and_values(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    rows = list(csv.reader(io.StringIO(shell.run("users", "show", "jane", "--csv").out), delimiter=";"))
    assert rows[0] == ["Name", "Value"]
    assert [row[0] for row in rows[1:]] == sorted(row[0] for row in rows[1:])
    assert ["Display Name", ""] in rows
    assert ["Enabled", "Yes"] in rows


def test_nothing_that_is_stored_moves_the_cursor_of_a_terminal(shell: Shell) -> None:
    shell.server.users.add("jane", PASSWORD, Changes(display_name="\x9b31mred\u202e"))
    for form in ((), ("--csv",), ("--md",), ("--json",)):
        done = shell.run("users", "show", "jane", *form)
        assert done.code == 0
        assert all(c.isprintable() or c in "\n" for c in done.out)
