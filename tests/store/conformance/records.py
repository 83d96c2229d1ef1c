"""What every Records does."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from auth_server.errors import Conflict, LastOne, NotFound
from auth_server.store.records import AuditEvent, Client, ClientSecret, Records, StoredKey, StoredToken, User
from auth_server.store.state import Page

NOW = 1_000_000_000
EVERYTHING = Page(limit=10_000)
TEXT = "Jörg 🔑 'quoted' \"%_\\"


def a_user(uid: str, **members: Any) -> User:
    """A user who is named like the uid unless told otherwise."""
    return replace(User(uid, f"name-{uid}", "user", NOW, NOW), **members)


def a_client(client_id: str, **members: Any) -> Client:
    """A client with nothing special."""
    return replace(Client(client_id, NOW, NOW), **members)


def a_key(kid: str, **members: Any) -> StoredKey:
    """A key that waits for its time."""
    plain = StoredKey(kid, "RS256", "next", {"kty": "RSA", "kid": kid}, b"sealed", NOW, NOW)
    return replace(plain, **members)


def a_token(**members: Any) -> StoredToken:
    """A token that never expires."""
    return replace(StoredToken(os.urandom(32), None, b"data"), **members)


FULL_USER = User(
    uid="usfull",
    name=TEXT,
    role="admin",
    created_at=NOW,
    updated_at=NOW + 1,
    email="jörg@example.org",
    email_verified=True,
    display_name=TEXT,
    claims={"address": {"country": "DE"}, "list": [1, "two", None, True, 1.5], TEXT: TEXT},
    enabled=False,
    super_admin=True,
    password_hash="$argon2id$v=19$m=19456,t=2,p=1$salt$hash",
    password_version=7,
    token_version=3,
    must_change_password=True,
    auth_method="2fa",
    login_at=2**33,
)
FULL_CLIENT = Client(
    client_id="https://client.example/~a:b",
    created_at=NOW,
    updated_at=NOW + 1,
    client_name=TEXT,
    enabled=False,
    owner_uid="usfull",
    role="admin",
    secrets=(ClientSecret("ab" * 32, "sealed", NOW), ClientSecret("cd" * 32)),
    token_endpoint_auth_method="private_key_jwt",
    strict_auth_method=True,
    grant_types=("authorization_code", "refresh_token"),
    response_types=("code",),
    redirect_uris=("https://client.example/cb?a=b", "http://127.0.0.1/cb"),
    post_logout_redirect_uris=("https://client.example/out",),
    scope="openid photos:view *",
    audience=("https://api.example",),
    resource=("https://api.example/a", "https://api.example/b"),
    token_format="jwt",
    access_token_ttl=60,
    token_limit=-1,
    jwks={"keys": [{"kty": "EC", "crv": "P-256"}]},
    jwks_uri="https://client.example/jwks",
    require_par=True,
    require_dpop=True,
    first_party=True,
    profile="fapi2",
    metadata={"logo_uri": "https://client.example/logo", "client_name#de": TEXT, "contacts": ["a@b.example"]},
    token_version=4,
)


class TestUsers:
    """records.users."""

    @pytest.mark.parametrize("user", [a_user("usbare"), FULL_USER], ids=["bare", "full"])
    def test_user_comes_back_as_it_was_added(self, records: Records, user: User) -> None:
        """With a number of its own, by uid and by name."""
        added = records.users.add(user)
        assert added == replace(user, number=added.number)
        assert added.number > 0
        assert records.users.get(user.uid) == added
        assert records.users.by_name(user.name) == added
        assert records.users.page("", EVERYTHING) == [added]

    def test_unknown_user_is_nothing(self, records: Records) -> None:
        """Names are no uids, parts are not the whole, and no text upsets the store."""
        records.users.add(a_user("u1", name="jens"))
        for text in ("jen", "jens ", "u2", "jens%", "%", "", "je\u0000ns", "x" * 5000):
            assert records.users.get(text) is None
            assert records.users.by_name(text) is None
        assert records.users.get("jens") is None
        assert records.users.by_name("u1") is None
        assert records.users.by_name("je\ud800ns") is None

    def test_many_users_are_read_at_once(self, records: Records) -> None:
        """Those that exist, whether they were read before or not."""
        users = {uid: records.users.add(a_user(uid, claims={"a": [1]})) for uid in ("u1", "u2", "u3")}
        assert records.users.get("u1") == users["u1"]
        for _ in range(2):
            assert records.users.many(["u1", "u3", "u4", "%"]) == {"u1": users["u1"], "u3": users["u3"]}
        assert records.users.many([]) == {}
        assert len(records.users.many([*users, *(f"n{number}" for number in range(1000))])) == 3
        changed = records.users.change("u3", lambda user: replace(user, enabled=False))
        assert records.users.many({"u3"}) == {"u3": changed}

    def test_numbers_are_unique(self, records: Records) -> None:
        """Each user has another number."""
        numbers = [records.users.add(a_user(f"u{number}")).number for number in range(5)]
        assert len(set(numbers)) == 5

    @pytest.mark.parametrize("members", [{"uid": "u2"}, {"name": "name-u2"}])
    def test_uid_and_name_are_unique(self, records: Records, members: dict[str, Any]) -> None:
        """The second user with one of them is refused, and the first stays."""
        first = records.users.add(a_user("u2"))
        with pytest.raises(Conflict):
            records.users.add(replace(a_user("u3"), **members))
        assert records.users.page("", EVERYTHING) == [first]

    def test_name_is_no_clients_id(self, records: Records) -> None:
        """A client's id must never pass for a person, also not by a later change (S-049)."""
        records.clients.add(a_client("c1"))
        for user in (a_user("c1"), a_user("u1", name="c1")):
            with pytest.raises(Conflict):
                records.users.add(user)
        records.users.add(a_user("u1"))
        with pytest.raises(Conflict):
            records.users.change("u1", lambda user: replace(user, name="c1"))

    def test_change_replaces_the_record(self, records: Records) -> None:
        """The function gets what stands there; its result is stored and returned."""
        before = records.users.add(a_user("u1"))
        after = replace(FULL_USER, uid="u1", number=before.number)
        seen = []

        def change(user: User) -> User:
            seen.append(user)
            return after

        assert records.users.change("u1", change) == after
        assert seen == [before]
        assert records.users.get("u1") == after
        assert records.users.by_name(after.name) == after
        assert records.users.by_name(before.name) is None

    def test_change_of_nobody_is_not_found(self, records: Records) -> None:
        """The function is not called."""
        with pytest.raises(NotFound):
            records.users.change("u1", lambda user: pytest.fail("called"))

    def test_change_to_a_taken_name_is_refused(self, records: Records) -> None:
        """Nothing has changed then."""
        records.users.add(a_user("u1"))
        second = records.users.add(a_user("u2"))
        with pytest.raises(Conflict):
            records.users.change("u2", lambda user: replace(user, name="name-u1"))
        assert records.users.get("u2") == second

    def test_change_that_fails_changes_nothing(self, records: Records) -> None:
        """The function's error comes through, and the store goes on."""
        user = records.users.add(a_user("u1"))

        def fail(_: User) -> User:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            records.users.change("u1", fail)
        assert records.users.get("u1") == user
        records.users.change("u1", lambda user: replace(user, role="admin"))

    @pytest.mark.parametrize("members", [{"enabled": False}, {"role": "user"}])
    def test_one_of_a_role_is_kept(self, records: Records, members: dict[str, Any]) -> None:
        """Where it is asked for: neither changed nor removed, unless another one of that role is enabled."""
        last = records.users.add(a_user("u1", role="admin"))
        records.users.add(a_user("u2", role="admin", enabled=False))
        records.users.add(a_user("u3"))
        generation = records.generation()
        with pytest.raises(LastOne):
            records.users.change("u1", lambda user: replace(user, **members), keep_one="admin")
        with pytest.raises(LastOne):
            records.users.remove("u1", keep_one="admin")
        assert records.users.get("u1") == last
        assert records.generation() == generation
        records.users.change("u1", lambda user: replace(user, email="j@example.org"), keep_one="admin")
        records.users.change("u3", lambda user: replace(user, enabled=False), keep_one="admin")
        records.users.change("u2", lambda user: replace(user, enabled=True))
        records.users.change("u1", lambda user: replace(user, **members), keep_one="admin")
        with pytest.raises(LastOne):
            records.users.remove("u2", keep_one="admin")
        assert records.users.remove("u1", keep_one="admin")
        assert not records.users.remove("u1", keep_one="admin")
        assert records.users.remove("u2")

    def test_login_is_noted(self, records: Records) -> None:
        """The time, and nothing else; caches need not be dropped for it."""
        added = records.users.add(a_user("u1", password_version=2))
        before = records.generation()
        assert records.users.note_login("u1", NOW + 5, 2)
        assert records.users.by_name("name-u1") == replace(added, login_at=NOW + 5)
        assert records.generation() == before

    @pytest.mark.parametrize(
        ("uid", "members"), [("u1", {"enabled": False}), ("u1", {"password_version": 3}), ("u2", {})]
    )
    def test_login_that_counts_no_more_is_not_noted(self, records: Records, uid: str, members: dict[str, Any]) -> None:
        """The account was disabled, got another password or was removed while the password was checked."""
        added = records.users.add(replace(a_user("u1", password_version=2), **members))
        assert not records.users.note_login(uid, NOW + 5, 2)
        assert records.users.get("u1") == added

    def test_removed_user_is_gone(self, records: Records) -> None:
        """Once; and the name is free again."""
        records.users.add(a_user("u1"))
        assert records.users.remove("u1")
        assert not records.users.remove("u1")
        assert records.users.get("u1") is None
        records.users.add(a_user("u2", name="name-u1"))

    def test_removed_users_clients_are_gone(self, records: Records) -> None:
        """A client acts as its owner, and there is none."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1", owner_uid="u1"))
        records.clients.add(a_client("c2"))
        records.users.remove("u1")
        assert [client.client_id for client in records.clients.page("", EVERYTHING)] == ["c2"]

    def test_users_are_listed_by_name(self, records: Records) -> None:
        """Page by page, and by the beginning of uid, name or email."""
        users = {name: records.users.add(a_user(f"u-{name}", name=name)) for name in ("cc", "aa", "ab", "b%")}
        changed = records.users.change("u-cc", lambda user: replace(user, email="mail@example.org"))
        assert records.users.page("", EVERYTHING) == [users["aa"], users["ab"], users["b%"], changed]
        assert records.users.page("", Page(limit=2, offset=1)) == [users["ab"], users["b%"]]
        assert records.users.page("a", EVERYTHING) == [users["aa"], users["ab"]]
        assert records.users.page("u-ab", EVERYTHING) == [users["ab"]]
        assert records.users.page("mail@", EVERYTHING) == [changed]
        assert records.users.page("%", EVERYTHING) == []
        assert records.users.page("b%", EVERYTHING) == [users["b%"]]
        assert records.users.page("b_", EVERYTHING) == []

    def test_search_heeds_no_case(self, records: Records) -> None:
        """On every database alike."""
        user = records.users.add(a_user("u1", name="jens"))
        assert records.users.page("JE", EVERYTHING) == [user]


class TestClients:
    """records.clients."""

    @pytest.mark.parametrize("client", [a_client("c1"), FULL_CLIENT], ids=["bare", "full"])
    def test_client_comes_back_as_it_was_added(self, records: Records, client: Client) -> None:
        """Tuples are tuples, secrets are secrets."""
        if client.owner_uid:
            records.users.add(FULL_USER)
        assert records.clients.add(client) == client
        assert records.clients.get(client.client_id) == client
        assert records.clients.page("", EVERYTHING) == [client]

    def test_unknown_client_is_nothing(self, records: Records) -> None:
        """No text upsets the store."""
        records.clients.add(a_client("c1"))
        for text in ("c", "c1 ", "C1", "%", "", "c\u00001", "x" * 5000):
            assert records.clients.get(text) is None

    def test_many_clients_are_read_at_once(self, records: Records) -> None:
        """Those that exist."""
        clients = {name: records.clients.add(a_client(name, audience=("a",))) for name in ("c1", "c2", "c3")}
        assert records.clients.get("c1") == clients["c1"]
        for _ in range(2):
            assert records.clients.many(["c1", "c3", "c4"]) == {"c1": clients["c1"], "c3": clients["c3"]}
        assert records.clients.many([]) == {}

    def test_client_id_is_unique(self, records: Records) -> None:
        """Among clients, and among the uids and names of users (S-049)."""
        records.clients.add(a_client("c1"))
        records.users.add(a_user("u1", name="jens"))
        for taken in ("c1", "u1", "jens"):
            with pytest.raises(Conflict):
                records.clients.add(a_client(taken))

    def test_change_replaces_the_record(self, records: Records) -> None:
        """The function gets what stands there; its result is stored and returned."""
        records.users.add(FULL_USER)
        before = records.clients.add(a_client(FULL_CLIENT.client_id))
        seen = []

        def change(client: Client) -> Client:
            seen.append(client)
            return FULL_CLIENT

        assert records.clients.change(before.client_id, change) == FULL_CLIENT
        assert seen == [before]
        assert records.clients.get(before.client_id) == FULL_CLIENT

    def test_change_of_nothing_is_not_found(self, records: Records) -> None:
        """The function is not called."""
        with pytest.raises(NotFound):
            records.clients.change("c1", lambda client: pytest.fail("called"))

    def test_removed_client_is_gone(self, records: Records) -> None:
        """Once; its owner stays."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1", owner_uid="u1"))
        assert records.clients.remove("c1")
        assert not records.clients.remove("c1")
        assert records.clients.get("c1") is None
        assert records.users.get("u1") is not None

    def test_clients_are_listed_newest_first(self, records: Records) -> None:
        """Page by page, and by the beginning of id, name or owner's name."""
        records.users.add(a_user("u1", name="owner"))
        first = records.clients.add(a_client("c1", created_at=NOW, client_name="Phone"))
        second = records.clients.add(a_client("c2", created_at=NOW + 1, owner_uid="u1"))
        third = records.clients.add(a_client("d3", created_at=NOW + 2))
        assert records.clients.page("", EVERYTHING) == [third, second, first]
        assert records.clients.page("", Page(limit=1, offset=1)) == [second]
        assert records.clients.page("c", EVERYTHING) == [second, first]
        assert records.clients.page("Pho", EVERYTHING) == [first]
        assert records.clients.page("own", EVERYTHING) == [second]
        assert records.clients.page("u1", EVERYTHING) == [second]
        assert records.clients.page("%", EVERYTHING) == []

    def test_public_clients_are_those_that_do_not_authenticate(self, records: Records) -> None:
        """Not those that are disabled."""
        public = records.clients.add(a_client("c1", token_endpoint_auth_method="none", redirect_uris=("a:b",)))
        records.clients.add(a_client("c2", token_endpoint_auth_method="none", enabled=False))
        records.clients.add(a_client("c3"))
        assert records.clients.public() == [public]

    def test_clients_of_the_same_second_are_paged_exactly(self, records: Records) -> None:
        """No client is lost or doubled between pages."""
        clients = [records.clients.add(a_client(f"c{number}")) for number in range(9)]
        pages = [records.clients.page("", Page(limit=2, offset=offset)) for offset in range(0, 10, 2)]
        listed = [client.client_id for page in pages for client in page]
        assert sorted(listed) == sorted(client.client_id for client in clients)


class TestStoredTokens:
    """records.tokens."""

    @pytest.mark.parametrize(
        "token",
        [a_token(), a_token(expires_at=2**33, data=bytes(range(256)), client_id="c1", subject="u1")],
        ids=["bare", "full"],
    )
    def test_token_comes_back_as_it_was_added(self, records: Records, token: StoredToken) -> None:
        """No member changes; an unknown key is nothing."""
        records.tokens.add(token)
        assert records.tokens.get(token.key) == token
        assert records.tokens.get(os.urandom(32)) is None

    def test_key_is_unique(self, records: Records) -> None:
        """A second token under it is refused."""
        token = a_token()
        records.tokens.add(token)
        with pytest.raises(Conflict):
            records.tokens.add(replace(token, data=b"other"))
        assert records.tokens.get(token.key) == token

    def test_change_needs_the_latest_data(self, records: Records) -> None:
        """Who has not seen the latest change must not undo it, or bring a token back."""
        first = a_token(subject="u1")
        second = replace(first, data=b"second", expires_at=NOW, client_id="c1", subject="u2")
        records.tokens.add(first)
        assert records.tokens.change(first, second)
        assert not records.tokens.change(first, replace(first, data=b"third"))
        assert records.tokens.get(first.key) == second
        records.tokens.remove(key=first.key)
        assert not records.tokens.change(second, first)
        assert records.tokens.get(first.key) is None

    def test_tokens_are_removed_by_key_by_subject_or_all(self, records: Records) -> None:
        """The answer is how many went."""
        tokens = [a_token(subject=subject) for subject in ("u1", "u1", "u2", None)]
        for token in tokens:
            records.tokens.add(token)
        assert records.tokens.remove(subject="u1") == 2
        assert records.tokens.remove(subject="u1") == 0
        assert records.tokens.remove(key=tokens[2].key) == 1
        assert records.tokens.remove(key=tokens[2].key) == 0
        assert records.tokens.find(EVERYTHING, NOW) == [tokens[3]]
        assert records.tokens.clear() == 1
        assert records.tokens.clear() == 0

    def test_removing_nothing_removes_nothing(self, records: Records) -> None:
        """A call without key and subject spares tokens that have no subject."""
        token = a_token()
        records.tokens.add(token)
        assert records.tokens.remove() == 0
        assert records.tokens.get(token.key) == token

    def test_tokens_are_found_newest_first(self, records: Records) -> None:
        """Page by page, by a prefix of the key in hex digits, by subject, or by both."""
        keys = [bytes.fromhex(digits.ljust(64, "0")) for digits in ("ab12", "ab13", "ac00", "ffff")]
        subjects = ("u1", "u2", "u1", None)
        tokens = [a_token(key=key, subject=subject) for key, subject in zip(keys, subjects, strict=True)]
        for token in tokens:
            records.tokens.add(token)
        find = records.tokens.find
        assert find(EVERYTHING, NOW) == tokens[::-1]
        assert find(Page(limit=2, offset=1), NOW) == [tokens[2], tokens[1]]
        assert find(EVERYTHING, NOW, key_prefix="a") == [tokens[2], tokens[1], tokens[0]]
        assert find(EVERYTHING, NOW, key_prefix="ab1") == [tokens[1], tokens[0]]
        assert find(EVERYTHING, NOW, key_prefix=keys[3].hex()) == [tokens[3]]
        assert find(EVERYTHING, NOW, subject="u1") == [tokens[2], tokens[0]]
        assert find(EVERYTHING, NOW, subject="u1", key_prefix="ab") == [tokens[0]]
        assert find(EVERYTHING, NOW, subject="u") == []

    def test_expired_tokens_are_not_found(self, records: Records) -> None:
        """Neither on a page nor one by one, and they take no place on a page."""
        living, for_ever = a_token(expires_at=NOW + 1, subject="u1"), a_token(subject="u1")
        for token in (for_ever, living, a_token(expires_at=NOW, subject="u1")):
            records.tokens.add(token)
        assert records.tokens.find(Page(limit=2), NOW, subject="u1") == [living, for_ever]
        assert list(records.tokens.each(NOW)) == [living, for_ever]
        assert list(records.tokens.each(NOW + 1)) == [for_ever]

    def test_each_token_comes_once_while_others_come_and_go(self, records: Records) -> None:
        """Newest first, over several batches of the store."""
        tokens = [a_token(subject="lasting" if number % 3 else "doomed") for number in range(1500)]
        for token in tokens:
            records.tokens.add(token)
        seen = []
        for number, token in enumerate(records.tokens.each(NOW)):
            seen.append(token)
            if number == 10:
                records.tokens.remove(subject="doomed")
                records.tokens.add(a_token(subject="newcomer"))
        assert [token for token in seen if token.subject == "lasting"] == [
            token for token in tokens[::-1] if token.subject == "lasting"
        ]
        assert len(seen) == len({token.key for token in seen})

    @pytest.mark.parametrize("batch", [1, 2, 3, 1000])
    def test_each_token_of_a_person(self, records: Records, batch: int) -> None:
        """Only theirs, newest first, however many are read at once."""
        tokens = [a_token(subject=subject) for subject in ("u1", "u2", "u1", None, "u1")]
        for token in tokens:
            records.tokens.add(token)
        assert list(records.tokens.each(NOW, subject="u1", batch=batch)) == [tokens[4], tokens[2], tokens[0]]
        assert list(records.tokens.each(NOW, batch=batch)) == tokens[::-1]
        assert list(records.tokens.each(NOW, subject="u", batch=batch)) == []

    def test_purge_removes_what_has_expired(self, records: Records) -> None:
        """In batches, from the second of expiry; what never expires stays."""
        living, for_ever = a_token(expires_at=NOW + 1), a_token()
        for token in (living, for_ever, *(a_token(expires_at=NOW) for _ in range(3))):
            records.tokens.add(token)
        assert [records.tokens.purge(NOW, 2) for _ in range(3)] == [2, 1, 0]
        assert records.tokens.find(EVERYTHING, NOW) == [for_ever, living]


class TestSigningKeys:
    """records.keys."""

    def test_keys_come_back_as_they_were_stored(self, records: Records) -> None:
        """The oldest first; None stays None."""
        first = a_key("k2", public_jwk={"kty": "EC", "x": TEXT, "key_ops": ["verify"]}, sealed=bytes(range(256)))
        second = a_key("k1", created_at=NOW + 1, status="active", activates_at=NOW, retires_at=2**33)
        assert records.keys.all() == []
        assert list(records.keys.edit(lambda keys: [second, first])) == [second, first]
        assert records.keys.all() == [first, second]

    def test_edit_gets_what_stands_there(self, records: Records) -> None:
        """Keys that it leaves out are gone, those that it changes are changed."""
        records.keys.edit(lambda keys: [a_key("k1"), a_key("k2")])
        seen = []

        def retire(keys: object) -> list[StoredKey]:
            seen.append(keys)
            return [a_key("k2", status="retired")]

        records.keys.edit(retire)
        assert seen == [[a_key("k1"), a_key("k2")]]
        assert records.keys.all() == [a_key("k2", status="retired")]

    def test_edit_that_fails_changes_nothing(self, records: Records) -> None:
        """The function's error comes through, and the next editor has its turn."""
        records.keys.edit(lambda keys: [a_key("k1")])
        with pytest.raises(ZeroDivisionError):
            records.keys.edit(lambda keys: [a_key("k2")] * (1 // 0))
        records.keys.edit(lambda keys: [*keys, a_key("k3")])
        assert [key.kid for key in records.keys.all()] == ["k1", "k3"]

    def test_key_cannot_stand_twice(self, records: Records) -> None:
        """Two keys of one kid are a conflict, and the old ones stay."""
        records.keys.edit(lambda keys: [a_key("k1")])
        with pytest.raises(Conflict):
            records.keys.edit(lambda keys: [a_key("k2"), a_key("k2", alg="ES256")])
        assert records.keys.all() == [a_key("k1")]


class TestAudit:
    """records.audit."""

    def test_events_come_back_newest_first(self, records: Records) -> None:
        """Page by page, each with a number that grows."""
        full = AuditEvent(2**33, "login", "failure", TEXT, "c1", "2001:db8::1", {"why": ["wrong", TEXT], "count": 3})
        bare = AuditEvent(NOW, "logout", "success")
        for event in (full, bare):
            records.audit.add(event)
        second, first = records.audit.page(EVERYTHING)
        assert (replace(first, number=0), replace(second, number=0)) == (full, bare)
        assert 0 < first.number < second.number
        assert records.audit.page(Page(limit=1, offset=1)) == [first]

    def test_each_yields_every_event_once_while_others_come(self, records: Records) -> None:
        """Newest first, in batches, and not those that come meanwhile."""
        for at in range(5):
            records.audit.add(AuditEvent(at, "login", "success"))
        seen = []
        for event in records.audit.each(batch=2):
            seen.append(event.at)
            records.audit.add(AuditEvent(9, "login", "success"))
        assert seen == [4, 3, 2, 1, 0]
        assert [event.at for event in records.audit.each(batch=5)] == [9] * 5 + seen

    def test_noted_events_stand_among_the_others(self, records: Records, open_records: Callable[[], Records]) -> None:
        """As they happened, at once, for everybody; syncing may be repeated."""
        other = open_records()
        full = AuditEvent(2**33, "login", "failure", TEXT, "c1", "2001:db8::1", {"why": ["wrong", TEXT], "count": 3})
        for event, write in ((full, records.audit.note), (replace(full, at=1), records.audit.add)):
            write(event)
            assert replace(other.audit.page(Page(1))[0], number=0) == event
        other.audit.note(full)
        for _ in range(2):
            records.sync()
            other.sync()
        assert [event.at for event in records.audit.page(EVERYTHING)] == [2**33, 1, 2**33]
        other.close()


class TestLeases:
    """records.leases."""

    def test_lease_is_one_holders_until_it_ends(self, records: Records) -> None:
        """From the second in which it ends, another may take it."""
        take = records.leases.take
        assert take("purge", "a", NOW, 60)
        assert not take("purge", "b", NOW + 59, 60)
        assert take("purge", "b", NOW + 60, 60)
        assert not take("purge", "a", NOW + 60, 60)

    def test_holder_may_renew(self, records: Records) -> None:
        """It counts anew from then."""
        take = records.leases.take
        take("purge", "a", NOW, 60)
        assert take("purge", "a", NOW + 59, 60)
        assert not take("purge", "b", NOW + 60, 60)
        assert take("purge", "b", NOW + 119, 60)

    def test_leases_are_independent(self, records: Records) -> None:
        """Another work has another holder."""
        assert records.leases.take("purge", "a", NOW, 60)
        assert records.leases.take("rotate", "b", NOW, 60)


CHANGES: dict[str, Callable[[Records], object]] = {
    "user added": lambda records: records.users.add(a_user("new")),
    "user changed": lambda records: records.users.change("u1", lambda user: replace(user, enabled=False)),
    "user removed": lambda records: records.users.remove("u1"),
    "client added": lambda records: records.clients.add(a_client("new")),
    "client changed": lambda records: records.clients.change("c1", lambda client: replace(client, enabled=False)),
    "client removed": lambda records: records.clients.remove("c1"),
    "keys edited": lambda records: records.keys.edit(lambda keys: [*keys, a_key("k1")]),
}
OTHERS: dict[str, Callable[[Records], object]] = {
    "event": lambda records: records.audit.add(AuditEvent(NOW, "login", "success")),
    "noted event": lambda records: records.audit.note(AuditEvent(NOW, "login", "success")),
    "lease": lambda records: records.leases.take("purge", "a", NOW, 60),
    "token": lambda records: records.tokens.add(a_token()),
    "nothing removed": lambda records: records.users.remove("nobody"),
    "nothing read": lambda records: records.users.page("", EVERYTHING),
}


def _rename_everything(records: Records, name: str) -> None:
    records.users.change("u1", lambda user: replace(user, display_name=name))
    records.clients.change("c1", lambda client: replace(client, client_name=name))
    records.keys.edit(lambda _: [a_key(name)])


class TestGeneration:
    """records.generation."""

    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
    def test_generation_moves_with_every_change(
        self, records: Records, open_records: Callable[[], Records], change: Callable[[Records], object]
    ) -> None:
        """For the one who changes and for all others."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1"))
        other = open_records()
        before = records.generation()
        assert other.generation() == before
        change(records)
        after = records.generation()
        assert other.generation() == after != before
        other.close()

    @pytest.mark.parametrize("act", OTHERS.values(), ids=OTHERS.keys())
    def test_generation_stands_still_otherwise(self, records: Records, act: Callable[[Records], object]) -> None:
        """What no copies are kept of does not make copies old."""
        before = records.generation()
        act(records)
        assert records.generation() == before

    def test_refused_change_does_not_move_it(self, records: Records) -> None:
        """Nothing has changed."""
        records.users.add(a_user("u1"))
        before = records.generation()
        with pytest.raises(Conflict):
            records.users.add(a_user("u1"))
        assert records.generation() == before

    def test_every_opening_reads_the_latest(self, records: Records, open_records: Callable[[], Records]) -> None:
        """Also one that has read the record before it changed."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1"))
        other = open_records()
        for name in ("first", "second", "third"):
            _rename_everything(records, name)
            user, client = other.users.get("u1"), other.clients.get("c1")
            assert user is not None
            assert client is not None
            assert (user.display_name, client.client_name) == (name, name)
            assert [key.kid for key in other.keys.all()] == [name]
        other.close()

    def test_store_that_answers_passes_the_check(self, records: Records) -> None:
        """check returns, and may be repeated."""
        records.check()
        records.check()


class TestOneLook:
    """records.one_look."""

    def test_looks_show_the_latest(self, records: Records, open_records: Callable[[], Records]) -> None:
        """What was changed before a look began is seen in it; what was changed in it, after it at the latest."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1"))
        other = open_records()
        for name in ("first", "second"):
            _rename_everything(records, name)
            with other.one_look():
                assert _name(other) == name
                _rename_everything(records, f"{name} again")
            assert _name(other) == f"{name} again"
        other.close()

    def test_look_is_one_threads_own(self, records: Records, open_records: Callable[[], Records]) -> None:
        """Other threads see what changes meanwhile."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1"))
        other = open_records()
        with other.one_look(), ThreadPoolExecutor(1) as thread:
            _rename_everything(records, "new")
            assert thread.submit(_name, other).result() == "new"
        other.close()

    def test_look_that_fails_ends_too(self, records: Records, open_records: Callable[[], Records]) -> None:
        """An error within does not make copies last."""
        records.users.add(a_user("u1"))
        records.clients.add(a_client("c1"))
        other = open_records()
        with pytest.raises(NotFound), other.one_look():
            raise NotFound("nothing")
        _rename_everything(records, "new")
        assert _name(other) == "new"
        other.close()


def _name(records: Records) -> str:
    """The name that everything has."""
    user, client = records.users.get("u1"), records.clients.get("c1")
    assert user is not None
    assert client is not None
    assert [key.kid for key in records.keys.all()] == [user.display_name] == [client.client_name]
    return user.display_name
