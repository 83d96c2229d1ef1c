"""`auth-server version`."""

import click

from auth_server import __version__
from auth_server.cli.output import json_option, one


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version.

    \b
    Example:
      auth-server version
    """
    one(as_json).done({"version": __version__}, f"auth-server {__version__}")
