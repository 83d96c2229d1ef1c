"""`auth-server keys`: signing keys."""

import json as json_text
from pathlib import Path

import click

from auth_server.cli.context import CLI, opened, read_file
from auth_server.cli.output import Columns, Output, Record, json_option, print_json
from auth_server.cli.verbs import Ask, lists, makes, removes
from auth_server.domain.foreign_keys import read_private_key
from auth_server.domain.keys import described
from auth_server.errors import NotFound
from auth_server.protocol.server import Server

COLUMNS: Columns = {
    "Key ID": "kid",
    "Algorithm": "alg",
    "Status": "status",
    "Created At": "created_at",
    "Activates At": "activates_at",
    "Retires At": "retires_at",
}


@click.group()
def keys() -> None:
    """Signing keys: an active and a next one for each algorithm of SIGNING_ALGS.

    \b
    Examples:
      auth-server keys ls
      auth-server keys rotate --alg ES256
    """


@keys.command()
@lists(COLUMNS)
def ls(server: Server) -> list[Record]:
    """List the keys with their states.

    \b
    Example:
      auth-server keys ls --json
    """
    return [described(key) for key in server.keyring.all()]


@keys.command()
@click.option("--alg", help="One algorithm; all without.")
@click.option("--now", is_flag=True, help="Do not wait until every cache knows the next key.")
@json_option
def rotate(alg: str | None, now: bool, output: Output) -> None:
    """Let the next key take over as soon as every cache knows it; tell which key signs, or will sign and when.

    \b
    Examples:
      auth-server keys rotate
      auth-server keys rotate --alg ES256 --now
    """
    with opened() as server:
        rotated = server.keyring.rotate(alg, now=now, by=CLI)
    rows = [described(key) for key in rotated]
    if alg:
        output.made(rows[0], COLUMNS, {})
    else:
        output.records(rows, COLUMNS)


@keys.command()
@click.argument("kid")
@removes
def rm(server: Server, ask: Ask, kid: str) -> int:
    """Take a key out at once: what it signed is inactive, the next one takes an active one's place. It asks first.

    \b
    Example:
      auth-server keys rm R7lcGX2gYSV5oISZtAfbeZ-wX6OeI3Yo3EQ0ALTbi5w
    """
    key = next((key for key in server.keyring.all() if key.kid == kid), None)
    if key is None:
        raise NotFound(f"there is no key {kid!r}; see: auth-server keys ls")
    living = sum(found.token.kid == kid for found in server.token_lists.all())
    question = f"Remove the {key.status} {key.alg} key {kid}?"
    if key.status == "active" or living:
        active = "It is ACTIVE, and the next key takes over at once. " if key.status == "active" else ""
        question = f"WARNING: {active}{living} LIVING TOKENS signed with it END AT ONCE.\n{question}"
    ask(question)
    server.keyring.remove(kid, CLI)
    return 1


@keys.command()
@click.option("--public", is_flag=True, help="The public keys; private ones never leave.")
@click.option("--json", is_flag=True, help="What it prints is JSON anyway.")
def export(public: bool, json: bool) -> None:
    """Print the public keys as a JWKS, as /.well-known/jwks.json shows them.

    \b
    Example:
      auth-server keys export --public > jwks.json
    """
    if not public:
        raise click.UsageError("private keys never leave the store; say --public for the public ones")
    with opened() as server:
        jwks = json_text.loads(server.keyring.jwks())
    print_json(jwks)


@keys.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--alg", help="Its algorithm, where it fits several.")
@makes(COLUMNS, {})
def import_(server: Server, file: Path, alg: str | None) -> Record:
    """Add a private key, an unencrypted PEM or a JWK, as its algorithm's next one. Weak keys are refused.

    \b
    Example:
      auth-server keys import signing.pem && auth-server keys rotate --alg ES256
    """
    algorithm, pem = read_private_key(read_file(file), alg, server.settings.signing_algs)
    return described(server.keyring.import_key(algorithm, pem, CLI))
