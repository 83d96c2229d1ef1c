"""The page of commands, from the tree of commands itself."""

import inspect
import re
from collections.abc import Iterator

import click

from auth_server.cli.command_line import ALIASES, NOUNS, command_line

VALUES = {"integer": "NUMBER", "integer range": "NUMBER", "path": "FILE"}
"""What stands for a value of a type."""
INTRODUCTION = """\
# Commands

Made from the commands themselves: `--help` tells the same, each with examples.

Every command works while the server runs, on the same store, and its changes count at once. It takes its settings from
the environment and the file, as the server does: with another `AUTH_SERVER_HOME` it looks at another server.

- `--json` prints an object for one thing and an array for a list: all of it, nothing else, times in UTC. For scripts.
- A secret is shown once, when it is made, and never again. `-` in place of a password or secret reads a line from
  standard input, so that it stands in no list of processes.
- What deletes asks first; `--yes` answers. Without a terminal and without `--yes` nothing is done.
- The command ends with 0 when it is done, 2 where the command line or a value in it is wrong, and 1 for all else, with
  a sentence that says what to do.
"""


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its name in full: `auth-server users add`."""
    with click.Context(command_line, info_name="auth-server") as root:
        for noun in NOUNS:
            command = command_line.get_command(root, noun)
            assert command is not None
            yield f"auth-server {noun}", command
            if isinstance(command, click.Group):
                with click.Context(command, info_name=noun, parent=root) as context:
                    for name in command.list_commands(context):
                        below = command.get_command(context, name)
                        assert below is not None
                        yield f"auth-server {noun} {name}", below


def text_and_examples(command: click.Command) -> tuple[str, list[str]]:
    """Return what the help of a command says, and the commands in its examples."""
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    lines = [line.strip() for line in examples.splitlines()[1:]]
    return text.strip(), [line for line in lines if line]


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *(line for name, command in every_command() for line in _entry(name, command))])


def _entry(name: str, command: click.Command) -> Iterator[str]:
    text, examples = text_and_examples(command)
    words = name.split()
    if isinstance(command, click.Group):
        yield f"## {words[-1]}\n"
        also = [f"`{alias}`" for alias, noun in ALIASES.items() if noun == words[-1]]
        yield f"{_markdown(text)}{f' Also named {also[0]}.' if also else ''}\n"
        return
    yield f"{'###' if len(words) > 2 else '##'} {' '.join(words[1:])}\n"
    with click.Context(command, info_name=name, **command_line.context_settings) as context:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    yield f"{_markdown(text)}\n"
    options = [
        parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    if options:
        yield "| option | |\n| --- | --- |"
        yield from (_option(option) for option in options)
        yield ""
    if examples:
        yield "\n".join(["```sh", *examples, "```\n"])


def _option(option: click.Option) -> str:
    names = ", ".join([f"`{name}`" for name in [*option.opts, *option.secondary_opts]])
    value = ""
    if not option.is_flag:
        choices = getattr(option.type, "choices", None)
        value = (
            " " + " or ".join(f"`{choice}`" for choice in choices)
            if choices
            else f" {option.metavar or VALUES.get(option.type.name, option.type.name.upper())}"
        )
    notes = [option.help or ""]
    if option.multiple and "repeats" not in notes[0]:
        notes.append("Repeats.")
    if option.show_default and option.default is not None:
        notes.append(f"Default: {option.default}.")
    return f"| {names}{value} | {_markdown(' '.join(notes))} |"


def _markdown(text: str) -> str:
    """Options and words in capitals as code; what Markdown would take for markup, as text."""
    text = text.replace("|", r"\|").replace("*", r"\*").replace("<", r"\<")
    return re.sub(r"(?<![\w`/-])(--[a-z][\w-]*)", r"`\1`", text)
