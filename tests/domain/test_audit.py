"""Changes are written down where they are made, whoever asks for them: command line, API or the server itself."""

from pathlib import Path

import pytest

from auth_server.domain.audit import Actor
from auth_server.domain.users import Changes
from auth_server.errors import Conflict, InvalidInput
from auth_server.protocol.feature import Authorization
from auth_server.protocol.tokens.access_token import issue
from auth_server.store.records import AuditEvent
from auth_server.store.state import Page
from tests import proves
from tests.people import PASSWORD, app_password, join, signed_in
from tests.sites import Site, site

ADMIN = Actor("uadmin", "console", "192.0.2.7")


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path, signing_algs=["ES256"])


def events(here: Site, *kinds: str) -> list[AuditEvent]:
    """What the audit has of users, clients and tokens; oldest first."""
    found = reversed(here.server.records.audit.page(Page(1000)))
    return [event for event in found if event.event.startswith(kinds)]


@proves("S-155")
def test_changes_of_users_name_who_made_them(here: Site):
    """And through which client, and from where; never the password."""
    users = here.server.users
    user = users.add("jane", PASSWORD, Changes(), by=ADMIN)
    users.change(user.uid, Changes(password=f"{PASSWORD}-2", enabled=False), ADMIN)
    users.remove(user.uid, ADMIN)
    found = events(here, "user.")
    assert [event.event for event in found] == ["user.add", "user.change", "user.remove"]
    assert {(e.actor, e.client_id, e.address) for e in found} == {("uadmin", "console", "192.0.2.7")}
    assert [event.details["uid"] for event in found] == [user.uid] * 3
    assert found[1].details["changed"] == ["enabled", "password"]
    assert PASSWORD not in str(found)


@proves("S-155")
def test_changes_of_clients_name_who_made_them(here: Site):
    """And which client it is; never the secret."""
    clients = here.server.clients
    made = clients.add({"scope": "metrics"}, by=ADMIN)
    client_id = made.client.client_id
    clients.change(client_id, {"scope": "config"}, ADMIN)
    new = clients.new_secret(client_id, overlap=60, values={"enabled": False}, by=ADMIN)
    clients.remove(client_id, ADMIN)
    found = events(here, "client.")
    assert [event.event for event in found] == ["client.add", "client.change", "client.secret", "client.remove"]
    assert {(e.actor, e.client_id, e.address) for e in found} == {("uadmin", client_id, "192.0.2.7")}
    assert (found[1].details["changed"], found[2].details["changed"]) == (["scope"], ["enabled"])
    assert made.secret not in str(found)
    assert new.secret not in str(found)


def test_what_is_refused_is_no_change(here: Site):
    """Nothing is written of it."""
    user = join(here)
    client_id = here.server.clients.add({"scope": "metrics"}).client.client_id
    before = events(here, "user.", "client.")
    with pytest.raises(InvalidInput):
        here.server.users.change(user.uid, Changes(role="emperor"))
    with pytest.raises(InvalidInput):
        here.server.clients.change(client_id, {"role": "emperor"})
    assert events(here, "user.", "client.") == before


@proves("S-155")
def test_an_app_password_is_noted_once_it_is_there(here: Site):
    """By its person, with the ref id of the token that was made."""
    user = join(here)
    made = app_password(here, signed_in(here)).json
    (event,) = events(here, "token.add")
    assert (event.actor, event.details["uid"], event.details["name"]) == (user.uid, user.uid, "Phone")
    assert event.details["ref_id"] == here.server.tokens.by_identifier(made["session_id"]).ref_id
    assert made["access_token"] not in str(event)


def test_an_app_password_that_was_not_kept_is_not_noted(here: Site):
    """The store refuses it: here, because the same one is there already."""
    allowed = Authorization("application", "default", "cli", "sessions", None, user=join(here), form="app_password")
    issued = issue(allowed, here.server)
    with pytest.raises(Conflict):
        here.server.tokens.issue(issued.token)
    assert len(events(here, "token.add")) == 1


@proves("S-155")
def test_the_end_of_a_token_names_who_ended_it(here: Site):
    """Whose it was, and by what right; of the end of all, how many they were."""
    user = join(here)
    token = here.server.tokens.by_identifier(signed_in(here))
    here.server.tokens.revoke(token, ADMIN, "admin")
    signed_in(here)
    assert here.server.tokens.revoke_all(ADMIN) == 1
    one, every = events(here, "token.")
    assert (one.event, one.actor, one.address) == ("token.revoke", "uadmin", "192.0.2.7")
    assert one.details == {"uid": user.uid, "ref_id": token.ref_id, "why": "admin"}
    assert (every.event, every.actor, every.details) == ("token.reset", "uadmin", {"number": 1})
