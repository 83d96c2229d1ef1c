"""Parameters of OAuth endpoints: what counts as absent."""

from pathlib import Path

import pytest

from tests import proves
from tests.sites import site

TOKEN = "/api/v1/oauth/token"


@proves("RFC 6749 §3.2")
@pytest.mark.parametrize("kind", ["form", "json"])
def test_parameters_without_a_value_are_absent(tmp_path: Path, kind: str):
    """A form whose other fields are empty is as good as one without them, beside Basic credentials too."""
    here = site(tmp_path)
    made = here.server.clients.add({"client_name": "x", "scope": "metrics"})
    empty = dict.fromkeys(("scope", "client_id", "client_secret", "client_assertion", "username", "resource"), "")
    body = {"grant_type": "client_credentials", **empty}
    sent = {"data": body} if kind == "form" else {"json": body}
    answer = here.http.post(TOKEN, auth=(made.client.client_id, made.secret or ""), **sent)
    assert answer.status_code == 200
    assert answer.json["scope"] == "metrics"


@proves("RFC 6749 §3.2", "S-011")
def test_an_empty_parameter_may_not_be_repeated(tmp_path: Path):
    """Twice is twice, with a value or without."""
    body = "grant_type=client_credentials&scope=&scope=metrics"
    answer = site(tmp_path).http.post(TOKEN, data=body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
