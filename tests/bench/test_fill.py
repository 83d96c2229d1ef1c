"""What fills a store past the interface is what the server would have written itself."""

import os
from pathlib import Path

import pytest

from auth_server.store.state import Page
from bench import site
from bench.scale.fill import Size, fill
from bench.stores import Place
from tests.servers.postgresql import PostgreSQL

SIZE = Size(users=6, clients=8, tokens=3, sessions=2)


@pytest.fixture(params=("sqlite", "postgresql"))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path / "home")
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    return Place(tmp_path / "home", {"AUTH_SERVER_DATABASE_URL": server.create(f"fill{os.urandom(6).hex()}")})


def test_tokens_clients_and_people_of_a_filled_store_count(place: Place):
    filled = fill(place, SIZE)
    server, stores = site.assembled(place)
    assert server.clients.secret_matches(server.clients.find(filled.limited[0].client_id), filled.limited[0].secret)
    for client, token in zip(filled.unlimited, filled.tokens, strict=True):
        living = server.tokens.find(token)
        assert living is not None
        assert living.client is not None
        assert living.client.client_id == client.client_id
        assert living.client.token_limit == -1
    for session in filled.sessions:
        living = server.tokens.find(session)
        assert living is not None
        assert living.is_person
    assert len(server.users.page("", Page())) == SIZE.users + 1
    assert len(list(server.token_lists.all())) >= SIZE.all_tokens
    server.close()
    stores.close()
