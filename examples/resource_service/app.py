"""A resource service that asks the authorization server about tokens, in three ways.

    python examples/resource_service/app.py

- `/introspected` asks the server about each token (RFC 7662): works for every kind of token, and knows at once when
  one is revoked.
- `/jwt` checks a JWT access token by itself (RFC 9068): no request to the server but for its keys, and a revoked
  token counts until it expires.
- `/session` forwards the token to PhotoPrism's session API: for sessions and app passwords of people.

Settings: ISSUER, CLIENT_ID, CLIENT_SECRET, AUDIENCE (what JWTs must be meant for; the issuer itself if empty), PORT.
"""

import json
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64decode
from typing import Any
from urllib.parse import quote_plus, urlencode

from flask import Flask, Response, jsonify, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:2342")
AUDIENCE = os.environ.get("AUDIENCE") or ISSUER
SCOPE = "photos"  # what a token must allow
TIMEOUT = 5  # seconds
KEYS_MAX_AGE = 300  # seconds that keys are kept; the server publishes a new one that long before it signs
KEYS_MIN_AGE = 5  # seconds before an unknown kid may make us ask again

app = Flask(__name__)


class Refused(Exception):
    """The token does not count here."""


def ask(url: str, headers: dict[str, str], form: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON that the authorization server answers; an error that it tells is a refusal."""
    body = urlencode(form).encode() if form is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=TIMEOUT) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        raise Refused(f"the server answered {error.code}") from None


def presented() -> str:
    """Return the token of the request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused("a bearer token is needed")
    return token


# ---- 1: introspection
def introspected(token: str) -> dict[str, Any]:
    """Ask the server what the token is."""
    client = os.environ.get("CLIENT_ID", ""), os.environ.get("CLIENT_SECRET", "")
    basic = b64encode(":".join(map(quote_plus, client)).encode()).decode()
    told = ask(f"{ISSUER}/api/v1/oauth/introspect", {"Authorization": f"Basic {basic}"}, {"token": token})
    if told["active"] is not True:
        raise Refused("the token does not count")
    return told


# ---- 2: JWT
class Keys:
    """The server's public keys, asked for again when they are old or a new one has signed."""

    def __init__(self) -> None:
        self._keys, self._kids, self._asked = KeySet([]), set[str](), float("-inf")

    def for_kid(self, kid: str) -> KeySet:
        """Return the keys, with the one that is named if the server has it."""
        age = time.monotonic() - self._asked
        if age > KEYS_MAX_AGE or (kid not in self._kids and age > KEYS_MIN_AGE):
            self._asked = time.monotonic()
            published = ask(f"{ISSUER}/.well-known/jwks.json", {})
            self._keys = KeySet.import_key_set(published)  # type: ignore[arg-type]
            self._kids = {key["kid"] for key in published["keys"]}
        return self._keys


keys = Keys()


def verified(token: str) -> dict[str, Any]:
    """Check signature, type, issuer, audience and time."""
    claims_must = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}, exp={"essential": True}
    )
    try:
        kid = json.loads(_decoded(token.split(".")[0])).get("kid", "")
        checked = jwt.decode(token, keys.for_kid(str(kid)), algorithms=["ES256", "RS256", "EdDSA"])
        if checked.header.get("typ") != "at+jwt":  # RFC 9068 §4: no ID token passes for an access token
            raise Refused("the token is of another type")
        claims_must.validate(checked.claims)
    except (JoseError, ValueError, AttributeError):
        raise Refused("the token does not count") from None
    return checked.claims


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


# ---- 3: PhotoPrism's session API
def in_session(token: str) -> dict[str, Any]:
    """Let the server open the session; it tells who the person is."""
    user = ask(f"{ISSUER}/api/v1/session", {"X-Auth-Token": token})["user"]
    return {"sub": user["UID"], "username": user["Name"], "scope": SCOPE}


# ---- the service itself
@app.get("/introspected")
def by_introspection() -> Response:
    return photos(introspected(presented()))


@app.get("/jwt")
def by_jwt() -> Response:
    return photos(verified(presented()))


@app.get("/session")
def by_session() -> Response:
    return photos(in_session(presented()))


def photos(who: dict[str, Any]) -> Response:
    """Answer to somebody whose token counts and reaches this far."""
    if "cnf" in who:  # RFC 9449 §7.2: as a bearer token it would let in whoever stole it
        raise Refused("the token is bound to a key, and this service checks no proofs")
    if SCOPE not in who["scope"].split():
        refusal = jsonify(error="insufficient_scope")
        refusal.status_code = 403
        refusal.headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{SCOPE}"'
        return refusal
    return jsonify(photos=["beach.jpg"], sub=who["sub"])


@app.errorhandler(Refused)
def refuse(error: Refused) -> Response:
    answer = jsonify(error="invalid_token", error_description=str(error))
    answer.status_code = 401
    answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return answer


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "5000")), threaded=True)
