"""Where settings come from: the environment, the files that it names, and the settings file."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth_server.settings_mistakes import nearest

PREFIX = "AUTH_SERVER_"
_CONFIG = f"{PREFIX}CONFIG"


@dataclass(frozen=True)
class Given:
    """What a source holds.

    Args:
        values: by the setting's name, each with the source that people are told.
        mistakes: one sentence each, beginning with the setting's name.
    """

    values: Mapping[str, tuple[Any, str]]
    mistakes: list[str]


def settings_file(environ: Mapping[str, str], default: Path) -> tuple[Path | None, str]:
    """Return the settings file and who named it; None for a default one that is not there."""
    if environ.get(_CONFIG):
        return Path(environ[_CONFIG]), f"environment {_CONFIG}"
    return (default, "default") if default.exists() else (None, f"no file {default}")


def read_file(file: Path) -> Given:
    """Return what a settings file holds."""
    try:
        found = tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        return Given({}, [f"CONFIG: {file} is no TOML: {error}"])
    except _Unreadable as error:
        return Given({}, [f"CONFIG: {error}"])
    values: dict[str, tuple[Any, str]] = {}
    mistakes = []
    for key, value in found.items():
        name = key.lower()
        if name in values:
            first = next(other for other in found if other.lower() == name)
            mistakes.append(f"{key.upper()}: stands twice in {file}, as {first} and as {key}; take one away")
        values[name] = value, f"file {file}"
    return Given(values, mistakes)


def read_environment(environ: Mapping[str, str], names: Collection[str]) -> Given:
    """Return what the environment holds, itself or in files that it names.

    Args:
        names: those of all settings; one that ends with `_file` is no file's name.
    """
    given: dict[str, tuple[Any, str]] = {}
    mistakes = []
    for key in sorted(key for key in environ if key.startswith(PREFIX) and key != _CONFIG):
        name, text = key.removeprefix(PREFIX).lower(), environ[key]
        if name not in names and name.endswith("_file"):
            name = name.removesuffix("_file")
            try:
                text = _value_of(name, text, names)
            except _Unreadable as error:
                mistakes.append(f"{name.upper()}_FILE: {error}")
                continue
        if name in given:
            first = given[name][1].removeprefix("environment ")
            mistakes.append(f"{name.upper()}: is given twice, as {first} and as {key}; take one away")
        given.setdefault(name, (text, f"environment {key}"))
    return Given(given, mistakes)


class _Unreadable(Exception):
    """A file does not give a value; the text says why."""


def _value_of(name: str, file: str, names: Collection[str]) -> str:
    """Return the content of a file that the environment names, without the line's end."""
    if name == "config":
        raise _Unreadable(f"is not a setting; {_CONFIG} names the settings file")
    if name not in names:
        raise _Unreadable(f"is not a setting{nearest(name, names, '_FILE')}")
    text = _text(Path(file)).rstrip("\r\n")
    if not text:  # a secret that is not there yet must not count as none
        raise _Unreadable(f"{file} is empty")
    return text


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _Unreadable(f"{file} is no UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise _Unreadable(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from None
