"""Client authentication: one method a request, failures told alike."""

import base64

import pytest

from tests import proves
from tests.servers.visitors import INTROSPECT, REVOKE, TOKEN, Answer, Registered, Visitor, basic_header
from tests.signing import EcKey

GRANT = {"grant_type": "client_credentials"}
WRONG = "x" * 43
ASSERTION = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": "x"}


def by_post(visitor: Visitor, client_id: str, secret: str) -> Answer:
    return visitor.post(TOKEN, {**GRANT, "client_id": client_id, "client_secret": secret})


@proves("RFC 6749 §2.3.1")
def test_basic_and_post_are_taken(visitor: Visitor):
    """A client without a registered method may use either, as PhotoPrism's clients do."""
    client = visitor.client()
    assert visitor.ask_token(client).status == 200
    assert by_post(visitor, client.client_id, client.secret).status == 200
    assert visitor.post(TOKEN, {**GRANT, "client_id": client.client_id}, basic=client.basic).status == 200


@proves("RFC 6749 §2.3.1")
def test_ids_and_secrets_are_form_encoded_in_basic(visitor: Visitor):
    """So that an id with a colon, and a secret with any character, work."""
    secret = "%+:&=" + "s" * 40
    client = visitor.client(client_id=f"https://app.example/{visitor.address}:1", secret=secret)
    assert visitor.ask_token(client).status == 200
    assert by_post(visitor, client.client_id, secret).status == 200


@proves("S-001", "RFC 6749 §5.2")
def test_failures_are_told_alike(visitor: Visitor):
    """Wrong secret, unknown client, another client's secret, disabled client: one status, one body, no write."""
    client, other, disabled = visitor.client(), visitor.client(), visitor.client()
    visitor.server.inside.clients.change(disabled.client_id, {"enabled": False})
    stored = visitor.server.stored()
    tries = [
        (client.client_id, WRONG),
        (client.client_id, ""),
        ("c" + "0" * 15, WRONG),
        ("no such\n client", WRONG),
        (client.client_id, other.secret),
        disabled.basic,
    ]
    answers = [visitor.ask_token(Registered(*pair)) for pair in tries]
    answers += [by_post(visitor, *pair) for pair in tries if pair[1]]
    assert {(answer.told, answer.body) for answer in answers} == {((401, "invalid_client"), answers[0].body)}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Basic realm="auth-server"'}
    assert answers[0].json["code"] == 40
    assert answers[0].json["message"] == "Invalid credentials"
    assert visitor.server.stored() == stored


@proves("S-002", "RFC 6749 §2.3")
def test_two_methods_at_once_are_refused(visitor: Visitor):
    """400 `invalid_request` even where both are right; nothing is written."""
    client = visitor.client("introspect")
    stored = visitor.server.stored()
    secret = {"client_id": client.client_id, "client_secret": client.secret}
    for path in (TOKEN, INTROSPECT, REVOKE):
        form = {**GRANT, "token": "0" * 48}
        for members, basic in ((secret, client.basic), (ASSERTION, client.basic), ({**secret, **ASSERTION}, None)):
            assert visitor.post(path, {**form, **members}, basic=basic).told == (400, "invalid_request")
    assert visitor.server.stored() == stored


def test_another_client_id_in_the_body_is_refused(visitor: Visitor):
    """It must be the one of the Authorization header."""
    client, other = visitor.client(), visitor.client()
    answer = visitor.post(TOKEN, {**GRANT, "client_id": other.client_id}, basic=client.basic)
    assert answer.told == (400, "invalid_request")


@proves("S-003", "OIDC Core §9")
def test_only_the_registered_method_counts(visitor: Visitor):
    """A client that signs has no secret to send; a dummy assertion beside a good secret is 400, alone 401."""
    signing = visitor.client(token_endpoint_auth_method="private_key_jwt", jwks=EcKey().jwks)
    assert visitor.ask_token(Registered(signing.client_id, WRONG)).told == (401, "invalid_client")
    assert by_post(visitor, signing.client_id, WRONG).told == (401, "invalid_client")
    client = visitor.client()
    assert visitor.post(TOKEN, {**GRANT, **ASSERTION}, basic=client.basic).told == (400, "invalid_request")
    assert visitor.post(TOKEN, {**GRANT, **ASSERTION, "client_id": client.client_id}).told == (401, "invalid_client")


@proves("S-003")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_strict_client_is_held_to_its_method(visitor: Visitor, method: str):
    """One that registered itself for one of the two ways may not use the other."""
    client = visitor.client(token_endpoint_auth_method=method, strict_auth_method=True)
    statuses = (visitor.ask_token(client).status, by_post(visitor, client.client_id, client.secret).status)
    assert statuses == ((200, 401) if method == "client_secret_basic" else (401, 200))


@proves("S-004", "RFC 6749 §3.2.1")
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, REVOKE])
def test_a_confidential_client_never_passes_as_public(visitor: Visitor, path: str):
    """Its client_id alone is 401 `invalid_client` everywhere; nothing is written."""
    client = visitor.client("introspect")
    token = visitor.token(client)
    stored = visitor.server.stored()
    answer = visitor.post(path, {**GRANT, "token": token, "client_id": client.client_id})
    assert answer.told == (401, "invalid_client")
    assert visitor.server.stored() == stored


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic ", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(), "basic ////", "Basic a b"],
)
def test_an_unreadable_header_is_no_authentication(visitor: Visitor, header: str):
    """401 in JSON, whatever stands there."""
    answer = visitor.post(TOKEN, GRANT, headers={"Authorization": header})
    assert answer.told == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_the_scheme_is_taken_in_any_case(visitor: Visitor):
    """RFC 9110 §11.1: schemes are compared without regard to case."""
    header = basic_header(*visitor.client().basic)
    assert visitor.post(TOKEN, GRANT, headers={"Authorization": header.replace("Basic", "bASIC")}).status == 200


@proves("CONTRACT §5")
def test_wrong_secrets_are_throttled_for_client_and_address(visitor: Visitor):
    """After ten wrong ones 429 before a secret is looked at; other addresses and other clients go on."""
    client, other = visitor.client(), visitor.client()
    assert [visitor.ask_token(Registered(client.client_id, WRONG)).status for _ in range(10)] == [401] * 10
    answer = visitor.ask_token(client)
    assert (answer.status, answer.json) == (429, {"error": "rate limit exceeded", "code": 429})
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert visitor.ask_token(other).status == 200
    elsewhere = Visitor(visitor.server)
    assert elsewhere.ask_token(client).status == 200
    visitor.server.clock.advance(int(answer.headers["Retry-After"]))
    assert visitor.ask_token(client).status == 200


def test_right_secrets_cost_nothing(visitor: Visitor):
    """A program may ask as often as it likes."""
    client = visitor.client()
    assert {visitor.ask_token(client).status for _ in range(30)} == {200}


def test_a_replaced_secret_counts_as_long_as_the_overlap(visitor: Visitor):
    """And without one it ends at once, on both workers."""
    client, clients = visitor.client(), visitor.server.inside.clients
    renewed = Registered(client.client_id, clients.new_secret(client.client_id, overlap=60).secret or "")
    assert [visitor.ask_token(each).status for each in (client, renewed)] == [200, 200]
    visitor.server.clock.advance(60)
    assert [visitor.ask_token(each).status for each in (client, renewed)] == [401, 200]
    newest = Registered(client.client_id, clients.new_secret(client.client_id).secret or "")
    answers = visitor.everywhere(lambda: visitor.ask_token(renewed))
    assert {answer.status for answer in answers} == {401}
    assert visitor.ask_token(newest).status == 200
