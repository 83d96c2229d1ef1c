"""What the verbs of every noun do alike: a command gets the opened server and what is its own, and returns a result.

Each frame adds the options of its verb, and prints the result.
"""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import click

from auth_server.cli.context import confirm, opened
from auth_server.cli.output import Columns, Command, Output, json_option, list_options, show_options
from auth_server.store.state import Page

EVERYTHING = Page(limit=1 << 31)
Frame = Callable[[Command], Command]
Ask = Callable[[str], None]
"""Asks before something is deleted; returns if the answer is yes."""


def lists(columns: Columns) -> Frame:
    """`ls`, which returns records."""
    return _frame(list_options, lambda output, rows: output.records(rows, columns))


def shows(command: Command) -> Command:
    """`show`, which returns a record."""
    return _frame(show_options, Output.record)(command)


def makes(columns: Columns, secrets: Mapping[str, Columns]) -> Frame:
    """`add`, `mod` and their like, which return a record, with a member of *secrets* if it has just got that."""
    return _frame(json_option, lambda output, row: output.made(row, columns, secrets))


def removes(command: Command) -> Command:
    """`rm` and `reset`, which get an `Ask` too, and return how many records went."""
    return _frame(lambda framed: json_option(yes_option(framed)), Output.deleted)(command)


def yes_option(command: Command) -> Command:
    """`--yes`; the command gets an `ask` that asks unless it is given."""
    names = ("--yes", "-y", "--force", "-f")

    def ask(_context: click.Context, _option: click.Parameter, yes: bool) -> Ask:
        return partial(confirm, yes=yes)

    return click.option("ask", *names, is_flag=True, callback=ask, help="Do not ask.")(command)


def _frame(options: Frame, show: Callable[[Output, Any], None]) -> Frame:
    def frame(command: Command) -> Command:
        @wraps(command)
        def framed(output: Output, **given: Any) -> None:
            with opened() as server:
                result = command(server, **given)
            show(output, result)

        return options(framed)

    return frame
