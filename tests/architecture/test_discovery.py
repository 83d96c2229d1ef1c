"""What discovery says and what the server does are one thing; the catalogue has every feature."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from auth_server import protocol
from auth_server.domain.keys import generate
from auth_server.errors import InvalidInput
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.extensions.client_assertion import ASSERTION_TYPE
from auth_server.protocol.feature import Feature
from auth_server.settings_values import ALGORITHMS
from tests import proves
from tests.sites import ISSUER, Site, site

OAUTH, OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
BASIC = "client_secret_basic"
PEM_KINDS = {"ES": ECKey, "RS": RSAKey, "PS": RSAKey, "Ed": OKPKey}
# Paths under /api/v1/oauth that no member of the documents names.
UNNAMED: frozenset[str] = frozenset()


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path)


@pytest.fixture(params=[OAUTH, OPENID])
def metadata(here: Site, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of the two documents."""
    return here.http.get(request.param).json


def named_paths(metadata: dict[str, Any]) -> dict[str, str]:
    """Members that are endpoints or documents, with their paths."""
    return {
        name: urlsplit(value).path
        for name, value in metadata.items()
        if name.endswith(("_endpoint", "jwks_uri", "check_session_iframe"))
    }


def ask(here: Site, grant_type: str, **form: str) -> dict[str, Any]:
    return here.http.post("/api/v1/oauth/token", data={"grant_type": grant_type, **form}).json


@proves("S-159", "RFC 8414 §2")
def test_named_endpoints_are_there(here: Site, metadata: dict[str, Any]):
    """Each URL that discovery names is below the issuer and answers one method at least."""
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    for name, path in named_paths(metadata).items():
        assert metadata[name] == ISSUER + path
        assert path in paths, name
        for method in paths[path]:
            assert here.http.open(path, method=method.upper()).status_code not in (404, 405, 500), name


@proves("S-159", "RFC 8414 §2")
def test_every_oauth_endpoint_is_named(here: Site, metadata: dict[str, Any]):
    """Whatever is served below /api/v1/oauth is found by discovery."""
    paths = here.http.get("/api/v1/openapi.json").json["paths"]
    served = {path for path in paths if path.startswith("/api/v1/oauth/") and "{" not in path}
    assert served - UNNAMED <= set(named_paths(metadata).values())


@proves("S-159", "RFC 8414 §2")
def test_grants_are_those_that_are_served(here: Site, metadata: dict[str, Any]):
    """A grant that is named is known to the token endpoint; one that is not named is not."""
    named = set(metadata["grant_types_supported"])
    known = {
        "authorization_code",
        "client_credentials",
        "implicit",
        "password",
        "refresh_token",
        "session",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
    }
    assert "implicit" in named  # served by the authorization endpoint alone
    for grant_type in (known | named) - {"implicit"}:
        refused = ask(here, grant_type)["error"] == "unsupported_grant_type"
        assert refused == (grant_type not in named), grant_type


@proves("S-159", "RFC 8414 §2")
def test_client_authentication_methods_are_those_that_are_served(here: Site, metadata: dict[str, Any]):
    """A client can be registered for exactly the named methods, plus those that the other endpoints name."""
    named = set(metadata["token_endpoint_auth_methods_supported"])
    every = {
        "none",
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
    }
    assert named <= every
    for method in every:
        assert registers(here, method) == (method in named), method
    assert set(metadata["introspection_endpoint_auth_methods_supported"]) == named - {"none"}
    assert set(metadata["revocation_endpoint_auth_methods_supported"]) == named


def registers(here: Site, method: str) -> bool:
    values: dict[str, Any] = {"client_name": "x", "scope": "metrics", "token_endpoint_auth_method": method}
    if method == "private_key_jwt":
        values["jwks"] = json.loads(here.server.keyring.jwks())
    if method == "none":
        values |= {"redirect_uris": ("https://app.example.org/cb",), "grant_types": ()}
    try:
        here.server.clients.add(values)
    except InvalidInput as error:
        assert error.field in ("token_endpoint_auth_method", "auth-method"), error  # noqa: PT017
        return False
    return True


@proves("S-159", "RFC 8414 §2")
def test_confidential_methods_authenticate_as_named(here: Site, metadata: dict[str, Any]):
    """Secrets in the header and in the body are taken, and both are named."""
    made = here.server.clients.add({"client_name": "x", "scope": "metrics"})
    client_id, secret = made.client.client_id, made.secret or ""
    assert "access_token" in ask(here, "client_credentials", client_id=client_id, client_secret=secret)
    basic = here.http.post(
        "/api/v1/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret)
    ).json
    assert "access_token" in basic
    assert {BASIC, "client_secret_post"} <= set(metadata["token_endpoint_auth_methods_supported"])


@proves("S-159", "RFC 8414 §2")
@pytest.mark.parametrize("alg", [*ALGORITHMS, "HS256", "HS384", "HS512"])
def test_assertions_are_taken_with_the_named_algorithms(here: Site, metadata: dict[str, Any], alg: str):
    """An assertion counts if and only if its algorithm is named, at each endpoint where clients authenticate."""
    assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed_assertion(here, alg)}
    taken = "access_token" in ask(here, "client_credentials", **assertion)
    for endpoint in ("token", "introspection", "revocation"):
        named = alg in metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert taken == named, endpoint


def signed_assertion(here: Site, alg: str) -> str:
    """An assertion of a new client that is right in everything, whether or not *alg* is taken."""
    values: dict[str, Any] = {"client_name": "x", "scope": "metrics"}
    secret = "s" * 64
    if alg.startswith("HS"):
        key: Key = OctKey.import_key(secret)
        values["token_endpoint_auth_method"] = "client_secret_jwt"
    else:
        key = PEM_KINDS[alg[:2]].import_key(generate(alg))
        public = {**key.as_dict(private=False), "use": "sig"}
        values |= {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]}}
    made = here.server.clients.add(values, secret if alg.startswith("HS") else None)
    now, client_id = here.clock.now, made.client.client_id
    claims = {"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": alg}
    return jwt.encode({"alg": alg}, claims, key, algorithms=[alg])


@proves("S-159")
def test_scopes_are_granted_as_named(here: Site, metadata: dict[str, Any]):
    """A client registered for a named scope is granted it."""
    for scope in metadata["scopes_supported"]:
        made = here.server.clients.add({"client_name": "x", "scope": scope})
        answer = ask(here, "client_credentials", client_id=made.client.client_id, client_secret=made.secret or "")
        assert answer["scope"] == scope


@proves("S-159", "RFC 8414 §2")
def test_there_are_no_empty_members_and_no_promises(metadata: dict[str, Any]):
    """Lists have elements, none twice; nothing speaks of an authorization endpoint before there is one."""
    for name, value in metadata.items():
        assert value not in ("", [], None), name
        if isinstance(value, list):
            assert value == sorted(set(value)), name
    if "authorization_endpoint" not in metadata:
        absent = {
            "userinfo_endpoint",
            "response_types_supported",
            "response_modes_supported",
            "code_challenge_methods_supported",
        }
        assert not absent & metadata.keys()
    assert metadata["issuer"] == ISSUER


@proves("S-159", "OIDC Discovery §3")
def test_the_two_documents_agree(here: Site):
    """A member that is in both says the same."""
    oauth, openid = here.http.get(OAUTH).json, here.http.get(OPENID).json
    assert oauth.items() <= openid.items()


def test_documents_are_found_below_an_issuer_with_a_path(tmp_path: Path):
    """RFC 8414 §3.1 puts the path behind, OpenID Connect Discovery §4.1 before; both are served."""
    below = site(tmp_path, issuer=f"{ISSUER}/tenant")
    for path in (f"{OAUTH}/tenant", f"/tenant{OAUTH}", f"{OPENID}/tenant", f"/tenant{OPENID}"):
        metadata = below.http.get(path).json
        assert metadata["issuer"] == f"{ISSUER}/tenant"
        assert all(value.startswith("/tenant/") for value in named_paths(metadata).values())


@proves("S-148")
def test_any_page_may_read_discovery_and_none_the_rest(here: Site):
    """Every origin at discovery and JWKS, without credentials; none at introspection, admin and documentation."""
    foreign = {"Origin": "https://elsewhere.example"}
    for path in (OAUTH, OPENID, "/.well-known/jwks.json"):
        answer = here.http.get(path, headers=foreign)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for method, path in (
        ("POST", "/api/v1/oauth/introspect"),
        ("GET", "/api/v1/docs/"),
        ("GET", "/api/v1/openapi.json"),
    ):
        assert "Access-Control-Allow-Origin" not in here.http.open(path, method=method, headers=foreign).headers


@proves("S-123", "RFC 7517 §9.3", "RFC 7517 §4.5")
def test_jwks_shows_public_members_only(tmp_path: Path):
    """With every algorithm switched on: no private member, no symmetric key, no kid twice."""
    offered = [alg for alg in ALGORITHMS if alg != "Ed25519"]  # EdDSA's other name
    here = site(tmp_path, signing_algs=offered)
    here.http.post(
        "/api/v1/admin/keys/rotate",
        json={"now": True},
        headers={"Authorization": f"Bearer {here.token('admin:keys')}"},
    )
    keys = here.http.get("/.well-known/jwks.json").json["keys"]
    assert len(keys) == 3 * len(offered)  # retiring, active, next
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert key["kty"] in ("EC", "RSA", "OKP")
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert key["use"] == "sig"


def features_declared() -> Iterator[tuple[str, Feature]]:
    for module in pkgutil.walk_packages(protocol.__path__, f"{protocol.__name__}."):
        declared = getattr(importlib.import_module(module.name), "FEATURE", None)
        if isinstance(declared, Feature):
            yield module.name, declared


def test_catalogue_has_every_feature():
    """A protocol module that declares a feature is in the table of contents, once."""
    assert len(FEATURES) == len({feature.name for feature in FEATURES})
    missing = [name for name, feature in features_declared() if feature not in FEATURES]
    assert missing == []


def test_modules_that_have_a_place_declare_a_feature():
    """What stands in endpoints, grants and extensions is a feature; each names its specification and says so first."""
    declared = dict(features_declared())
    for kind in ("endpoints", "grants", "extensions"):
        package = importlib.import_module(f"{protocol.__name__}.{kind}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            assert module.name in declared, module.name
            assert declared[module.name].specs, module.name
    for feature in FEATURES:
        assert re.fullmatch(r"[a-z0-9_]+", feature.name)
