"""Where settings come from: the environment, the files that it names, and the settings file."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def settings_file(environ: Mapping[str, str], default: Path) -> Path:
    """Return the settings file that counts, whether it is there or not."""
    return Path(environ.get(_CONFIG) or default)


def read_file(environ: Mapping[str, str], default: Path) -> Given:
    """Return what the settings file holds; one that nobody names need not be there."""
    file = settings_file(environ, default)
    if not file.is_file():
        return Given({}, [f"CONFIG: there is no file {file}"] if _CONFIG in environ else [])
    try:
        values = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        return Given({}, [f"CONFIG: {file} is not a readable TOML file: {error}"])
    return Given({name.lower(): (value, f"file {file}") for name, value in values.items()}, [])


def read_environment(environ: Mapping[str, str], names: Collection[str]) -> Given:
    """Return what the environment holds, itself or in files that it names.

    Args:
        names: those of all settings; one that ends with `_file` is no file's name.
    """
    given: dict[str, tuple[Any, str]] = {}
    mistakes = []
    for key, text in sorted(environ.items(), key=lambda item: not item[0].endswith("_FILE")):
        if not key.startswith(PREFIX) or key == _CONFIG:
            continue
        name = key.removeprefix(PREFIX).lower()
        if name not in names and name.endswith("_file"):
            name = name.removesuffix("_file")
            try:
                text = Path(text).read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                mistakes.append(f"{name.upper()}_FILE: cannot be read: {getattr(error, 'strerror', error)}")
                continue
        given[name] = text, f"environment {key}"
    return Given(given, mistakes)
