"""The page of settings, from their declarations."""

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from auth_server.settings import PREFIX, Settings
from tools.settings_file import DEPENDS

HEADS = {
    "issuer": "Who it is, and where it keeps things",
    "host": "Serving",
    "session_ttl": "Lifetimes",
    "key_rotation_interval": "Keys",
    "login_burst": "Throttles and switches",
    "registration": "What clients may have",
    "log_level": "Logs and browsers",
}
"""The heading that stands before a setting."""
INTRODUCTION = f"""\
# Settings

Made from the declarations in `auth_server/settings.py`.

A setting is an environment variable, a line in a file, or neither, and the first of these that is there counts:

1. a flag of `auth-server serve`, such as `--port`
2. the environment: `{PREFIX}PORT=8080`
3. a file that the environment names: `{PREFIX}PORT_FILE=/run/secrets/port` holds the value. Good for passwords.
4. `config/auth-server.toml`, or the file that `{PREFIX}CONFIG` names: `port = 8080`
5. the default

Lifetimes are seconds and sizes are bytes. A list is written with commas or spaces in the environment, and as a TOML
list in the file. A wrong or unknown setting stops the start, with all mistakes told at once; `auth-server config check`
tells them without starting, and `auth-server config show` lists each value with the place it comes from.
"""


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for name, info in Settings.model_fields.items():
        if name in HEADS:
            parts.append(f"## {HEADS[name]}\n")
        parts.append("\n".join(_entry(name, info)))
    return "\n".join(parts)


def _entry(name: str, info: FieldInfo) -> Iterator[str]:
    yield f"### {name.upper()}\n"
    description = str(info.description)
    yield f"{description[:1].upper()}{description[1:].rstrip('.')}.\n"
    yield f"- Environment: `{PREFIX}{name.upper()}`"
    yield f"- Default: {_default(name, info)}"
    values = _values(info)
    if values:
        yield f"- Values: {values}"
    yield ""


def _default(name: str, info: FieldInfo) -> str:
    if name in DEPENDS:
        value, _, when = DEPENDS[name].partition("#")
        return f"`{value.strip()}` {when.strip()}"
    value = info.get_default(call_default_factory=True)
    if value in (None, "", [], {}):
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _values(info: FieldInfo) -> str:
    """What may be written: choices, or the least and the most."""
    annotation: Any = info.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if annotation is bool:
        return "`on`, `off`"
    limits = {
        limit: getattr(item, limit)
        for item in info.metadata
        for limit in ("ge", "le", "min_length", "max_length")
        if getattr(item, limit, None) is not None
    }
    if "ge" in limits and "le" in limits:
        return f"{limits['ge']} to {limits['le']}"
    if "min_length" in limits and "max_length" in limits:
        return f"{limits['min_length']} to {limits['max_length']} characters"
    return "a secret: masked wherever settings are shown" if SecretStr in get_args(annotation) else ""
