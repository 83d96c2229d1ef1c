"""`auth-server`, also `python -m auth_server`: the command line."""

import os

from auth_server.cli.command_line import command_line


def main() -> None:
    """Run the command that the arguments name; files that it makes are its owner's alone."""
    os.umask(0o077)
    command_line(prog_name="auth-server")


if __name__ == "__main__":
    main()
