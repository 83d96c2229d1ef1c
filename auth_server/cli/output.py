"""What commands print: JSON of everything, or tables as PhotoPrism draws them."""

import csv
import io
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unicodedata import combining, east_asian_width

import click

Command = Callable[..., Any]
Record = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Record], Any]]
"""Heads of columns, and what stands below: a member of the record, or what a function makes of the record."""

NOT_ASSIGNED = "n/a"
NOT_ASSIGNED = "n/a"
PROVIDERS = {"local": "Local", "application": "Application", "client": "Client", "access_token": "Access Token"}
METHODS = {"default": "", "session": " (Session)", "oauth2": " (OAuth2)", "2fa": " (2FA)"}
WIDTH = 30  # characters after which a cell is wrapped
LIMIT, MOST = 100, 10**9


@dataclass(frozen=True)
class Output:
    """How to print: `json`, `md`, `csv`, `tsv`, or `text` for a table; and how many rows of a list."""

    form: str = "text"
    limit: int = LIMIT

    @property
    def is_json(self) -> bool:
        return self.form == "json"

    def records(self, rows: Sequence[Record], columns: Columns) -> None:
        """Print a list: all members of all records as JSON, else the columns of as many as the limit lets through."""
        if self.is_json:
            return print_json(rows)
        shown = rows[: self.limit]
        self._print(list(columns), [_values(row, columns) for row in shown])
        if len(shown) < len(rows):
            click.echo(f"{len(shown)} of {len(rows)} shown; for more: --limit {len(rows)}", err=True)
        return None

    def record(self, row: Record) -> None:
        """Print one record: as JSON, or as a table of names and values, sorted by name."""
        if self.is_json:
            return print_json(row)
        return self._print(["Name", "Value"], [[_title(name), value] for name, value in sorted(row.items())])

    def deleted(self, number: int) -> None:
        """Say how many records went."""
        self.done({"deleted": number}, f"Deleted {number}.")

    def done(self, answer: Record, sentence: str) -> None:
        """Say what was done, where there is no record to show."""
        if self.is_json:
            return print_json(answer)
        return click.echo(sentence)

    def made(self, row: Record, columns: Columns, secrets: Mapping[str, Columns]) -> None:
        """Print what was added or changed, and this once the member of *secrets* that it has, with its columns."""
        if self.is_json:
            return print_json(row)
        self.records([row], columns)
        for member in secrets.keys() & row.keys():
            what = _title(member).upper()
            click.echo(f"\nPLEASE COPY THE {what} AND KEEP IT IN A SAFE PLACE; IT IS NOT SHOWN AGAIN:\n")
            self._print(list(secrets[member]), [_values(row, secrets[member])], centred=False)
        return None

    def _print(self, head: Sequence[str], rows: Sequence[Sequence[Any]], *, centred: bool = True) -> None:
        cells = [[_cell(value) for value in row] for row in rows]
        if self.form in ("csv", "tsv"):
            click.echo(_separated(head, cells, ";" if self.form == "csv" else "\t"), nl=False)
        elif self.form == "md":
            click.echo("\n".join(_markdown(head, cells)))
        else:
            click.echo("\n".join(_table(head, cells, centred=centred)))


def print_json(value: object) -> None:
    """Print JSON; times are RFC 3339 already."""
    click.echo(json.dumps(value, indent=2))


def json_option(command: Command) -> Command:
    """`--json`, for commands that print one thing; the command gets it as `output`."""
    return _form_options(command, ("--json", "Print JSON."))


def show_options(command: Command) -> Command:
    """`--md --csv --tsv --json`; the command gets them together as `output`."""
    return _form_options(
        command,
        ("--md", "-m", "Print a Markdown table."),
        ("--csv", "-c", "Print values separated by semicolons."),
        ("--tsv", "-t", "Print values separated by tabs."),
        ("--json", "Print JSON."),
    )


def list_options(command: Command) -> Command:
    """The options of `show`, and `--limit`."""
    number, text = click.IntRange(1, MOST), f"How many rows at most ({LIMIT}); JSON has all."
    limit = click.option("--limit", "-n", type=number, metavar="LIMIT", default=LIMIT, help=text)
    return limit(show_options(command))


def authentication(provider: str, method: str) -> str:
    """Provider and method as PhotoPrism names them: `Application (Session)`."""
    return PROVIDERS.get(provider, provider.title()) + METHODS.get(method, f" ({method})")


def switched(on: bool) -> str:
    """What can be switched off, as PhotoPrism names it."""
    return "Enabled" if on else "Disabled"


def _form_options(command: Command, *options: tuple[str, ...]) -> Command:
    @wraps(command)
    def formed(*, limit: int = LIMIT, **given: Any) -> Any:
        asked = [flag for flag, *_ in options if given.pop(flag.removeprefix("--"))]
        if len(asked) > 1:
            raise click.UsageError(f"choose one of {' and '.join(asked)}")
        form = asked[0].removeprefix("--") if asked else "text"
        return command(output=Output(form, limit), **given)

    for *flags, text in reversed(options):
        formed = click.option(*flags, is_flag=True, help=text)(formed)
    return formed


def _values(row: Record, columns: Columns) -> list[Any]:
    return [row[source] if isinstance(source, str) else source(row) for source in columns.values()]


def _title(name: str) -> str:
    small = {"id": "ID", "uid": "UID", "uri": "URI", "uris": "URIs", "jwks": "JWKS", "url": "URL"}
    return " ".join(small.get(word, word.capitalize()) for word in name.split("_"))


def _cell(value: Any) -> str:
    """A value for a table: dates in UTC, Yes and No, nothing for null; nothing that moves a terminal's cursor."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return printable(" ".join(value))
    if isinstance(value, dict | list | tuple):
        return printable(json.dumps(value))
    text = str(value)
    if len(text) == 20 and text[4:5] == "-" and text[10:11] == "T" and text.endswith("Z"):
        return text[:10] + " " + text[11:19]
    return printable(text)


def printable(text: str) -> str:
    """Return a text that moves no terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _separated(head: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows([head, *rows])
    return buffer.getvalue()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, centred: bool) -> Iterator[str]:
    wrapped = [
        [textwrap.wrap(cell, WIDTH, break_long_words=False, break_on_hyphens=False) for cell in row] for row in rows
    ]
    widths = [
        max([_width(name), *(_width(line) for row in wrapped for line in row[column])])
        for column, name in enumerate(head)
    ]
    rule = "|" + "|".join("-" * (size + 2) for size in widths) + "|"
    yield rule
    blanks = [(size - _width(name)) // 2 if centred else 0 for name, size in zip(head, widths, strict=True)]
    yield _line([" " * blank + name for name, blank in zip(head, blanks, strict=True)], widths)
    yield rule
    for row in wrapped:
        for number in range(max([1, *map(len, row)])):
            yield _line([cell[number] if number < len(cell) else "" for cell in row], widths)
    if rows:
        yield rule


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (size - _width(cell)) for cell, size in zip(cells, widths, strict=True)]
    return "|" + "|".join(f" {cell} " for cell in padded) + "|"


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in ("W", "F") else 1 for c in text)
