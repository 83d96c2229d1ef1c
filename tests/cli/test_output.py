"""Tables as PhotoPrism draws them, and the other forms."""

import csv
import io
import re

from auth_server.domain.users import Changes
from tests.cli.shell import PASSWORD, Shell


def test_a_table_has_photoprisms_frame(shell: Shell) -> None:
    shell.json("users", "add", "jane", "--password", PASSWORD)
    rule, head, _, row, end = shell.run("users", "ls").out.splitlines()
    assert rule == end
    assert re.fullmatch(r"\|(-+\|)+", rule)
    assert len({len(line) for line in (rule, head, row)}) == 1
    assert re.fullmatch(r"\| +UID +\| Username \| Role \| Email \| Super Admin \| Web Login \| .*", head)
    assert re.fullmatch(r"\| u\w{15} \| jane     \| user \|       \| No          \| Yes       \| .*", row)
    assert re.search(r"\| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \|$", row)


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
