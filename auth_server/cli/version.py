"""`auth-server version`."""

import click

from auth_server import __version__
from auth_server.cli.output import Output, json_option


@click.command()
@json_option
def version(output: Output) -> None:
    """Print the version.

    \b
    Example:
      auth-server version
    """
    output.done({"version": __version__}, f"auth-server {__version__}")
