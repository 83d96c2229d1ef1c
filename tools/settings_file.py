"""Write config/auth-server.toml: every setting, commented, with its meaning and its default."""

import json
import sys
import textwrap
from pathlib import Path

from auth_server.settings import Settings

FILE = Path(__file__).resolve().parent.parent / "config/auth-server.toml"
HEAD = """\
# Settings of auth-server. Take the `#` away before a line to set a value.
#
# The environment wins over this file: AUTH_SERVER_PORT=8080, or AUTH_SERVER_PORT_FILE=/run/secrets/port to read it from
# a file. AUTH_SERVER_CONFIG names another file than this one. `auth-server config check` lists all mistakes at once,
# `auth-server config show` every value with its source. Durations are seconds, sizes bytes.
"""
# Defaults that depend on where the server runs.
DEPENDS = {
    "home": '"data"                     # in a checkout; else the platform\'s data folder',
    "workers": "2                         # as many as there are cores, at most 4",
    "keys_dir": '"keys"                     # in a checkout; else HOME/keys',
    "threads": "4                         # gunicorn, 8 with a database server or Redis; Granian chooses by itself",
}


def render() -> str:
    """Return the file's text."""
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = DEPENDS.get(name) or ('""' if default is None else json.dumps(default))
        lines = textwrap.wrap(f"{field.description}", 117)
        parts.append("\n".join([*(f"# {line}" for line in lines), f"#{name} = {shown}"]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text() == render() else f"{FILE} is old; run: make settings-file")
    FILE.write_text(render())
