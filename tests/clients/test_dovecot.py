"""Dovecot, which lets people read their mail with an app password or an access token that we vouch for."""

import imaplib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from auth_server.store.records import User
from tests import proves
from tests.servers.auth_server import AuthServer, free_port
from tests.servers.packages import find
from tests.servers.visitors import Registered, Visitor

PASSWORD = "Blue-whale-42-sings"


def configure(folder: Path, port: int, server: AuthServer, client: Registered) -> Path:
    """Write what an administrator of Dovecot writes, all of it below *folder*; return the main file.

    Only for the test does nobody wait after a wrong password.
    """
    credentials = f"{quote(client.client_id, safe='')}:{quote(client.secret, safe='')}"
    url = f"{server.issuer.replace('://', f'://{credentials}@')}/api/v1/oauth/introspect"
    oauth2 = {
        "introspection_mode": "post",
        "introspection_url": url,
        "username_attribute": "username",
        "active_attribute": "active",
        "active_value": "true",
    }
    passdb = folder / "oauth2.conf.ext"
    passdb.write_text("".join(f"{name} = {value}\n" for name, value in oauth2.items()))
    main = folder / "dovecot.conf"
    main.write_text(
        f"""
        base_dir = {folder}/run
        state_dir = {folder}/state
        log_path = {folder}/log
        auth_debug = yes
        protocols = imap
        listen = 127.0.0.1
        ssl = no
        disable_plaintext_auth = no
        mail_location = maildir:{folder}/mail/%u
        auth_mechanisms = plain login oauthbearer xoauth2
        auth_failure_delay = 0
        service anvil {{
          unix_listener anvil-auth-penalty {{
            mode = 0
          }}
        }}
        passdb {{
          driver = oauth2
          mechanisms = plain login oauthbearer xoauth2
          args = {passdb}
        }}
        userdb {{
          driver = static
          args = uid=mail gid=mail home={folder}/mail/%u
        }}
        service imap-login {{
          inet_listener imap {{
            port = {port}
          }}
          inet_listener imaps {{
            port = 0
          }}
        }}
        """
    )
    return main


class Dovecot:
    """A running Dovecot."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log

    def greet(self) -> imaplib.IMAP4:
        """Return a connection of somebody who has not signed in yet."""
        return imaplib.IMAP4("127.0.0.1", self.port, timeout=15)

    def signs_in(self, name: str, password: str) -> bool:
        """Tell whether somebody may read mail with a name and a password."""
        with self.greet() as imap:
            try:
                return imap.login(name, password)[0] == "OK"
            except imaplib.IMAP4.error:
                return False

    def takes_token(self, name: str, token: str) -> bool:
        """Tell whether somebody may read mail with a token (XOAUTH2)."""
        offered = f"user={name}\x01auth=Bearer {token}\x01\x01".encode()
        answers = iter([offered])  # after a refusal the client sends nothing more
        with self.greet() as imap:
            try:
                return imap.authenticate("XOAUTH2", lambda _: next(answers, b""))[0] == "OK"
            except imaplib.IMAP4.error:
                return False


@pytest.fixture(scope="module")
def dovecot(live: AuthServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    """Dovecot, whose only passwords and tokens are ours."""
    folder, port = tmp_path_factory.mktemp("dovecot"), free_port()
    folder.chmod(0o755)
    (folder / "mail").mkdir(mode=0o777)
    (folder / "mail").chmod(0o777)
    client = Visitor(live).client("introspect")
    program = find("dovecot")
    main = configure(folder, port, live, client)
    for parent in folder.parents:
        if parent.stat().st_uid == folder.stat().st_uid:
            parent.chmod(parent.stat().st_mode | 0o011)  # its processes have users of their own
    subprocess.run([program, "-c", main], check=True)  # returns when it listens
    try:
        yield Dovecot(port, folder / "log")
    finally:
        subprocess.run([program, "-c", main, "stop"], check=True)


@pytest.fixture
def person(visitor: Visitor) -> User:
    """Somebody with mail."""
    return visitor.user(PASSWORD)


@proves("RFC 7662 §2.2", "S-078")
@pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
def test_an_app_password_opens_the_mailbox_until_it_is_removed(dovecot: Dovecot, visitor: Visitor, person: User):
    """A mail program knows nothing of tokens: it sends the app password where it sends a password."""
    password = visitor.app_password(person, "mail")
    assert dovecot.signs_in(person.name, password), dovecot.log.read_text()
    visitor.server.inside.tokens.revoke(visitor.server.inside.tokens.by_identifier(password))
    assert not dovecot.signs_in(person.name, password)


@proves("S-052")
@pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
def test_nobody_else_gets_in(dovecot: Dovecot, visitor: Visitor, person: User):
    """The account's password, another's app password and invented ones open nothing."""
    stranger = visitor.app_password(visitor.user(PASSWORD), "mail")
    for wrong in (PASSWORD, stranger, "Ab3dEf-Gh1jKl-Mn0pQr-St9uVA", "0" * 48):
        assert not dovecot.signs_in(person.name, wrong)


@proves("RFC 7662 §2.2")
@pytest.mark.parametrize("live", ["gunicorn"], indirect=True)
def test_an_access_token_opens_the_mailbox_of_its_person_alone(dovecot: Dovecot, visitor: Visitor, person: User):
    """A session's token is checked by introspection; its `username` must be the mailbox's."""
    token = visitor.session(person)
    assert dovecot.takes_token(person.name, token), dovecot.log.read_text()
    assert not dovecot.takes_token("somebody-else", token)
    visitor.call("DELETE", "/api/v1/session", bearer=token)
    assert not dovecot.takes_token(person.name, token)
