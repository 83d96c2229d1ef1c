"""Settings: where values come from, and that every mistake is told at once, by name."""

import base64
from pathlib import Path

import pytest

from auth_server.settings import Settings, WrongSettings, load
from tests import proves


def mistakes(**environ: str) -> str:
    """The sentences that stop a start with these variables."""
    with pytest.raises(WrongSettings) as caught:
        load({f"AUTH_SERVER_{name}": value for name, value in environ.items()})
    return str(caught.value)


def test_all_mistakes_are_listed_at_once() -> None:
    """A wrong type, a value out of range, a misspelt name and a wrong combination in one answer."""
    told = mistakes(PORT="seven", ACCESS_TOKEN_TTL="-5", WORKRES="2", TLS_CERT="/no/such/file")
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "PORT",
        "ACCESS_TOKEN_TTL",
        "WORKRES",
        "TLS_CERT",
        "TLS_CERT",
    ]
    assert "did you mean WORKERS?" in told


@proves("S-158")
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("TRUSTED_PROXIES", "0.0.0.0/0", "trusts every address"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::/0", "trusts every address"),
        ("TRUSTED_PROXIES", "proxy.example", "does not appear to be"),
        ("ISSUER", "http://auth.example.org", "must be https"),
        ("ISSUER", "https://auth.example.org/", "no trailing slash"),
        ("ISSUER", "https://auth.example.org?x=1", "query"),
        ("ISSUER", "auth.example.org", "must be"),
        ("HOST", "0.0.0.0", "is required"),
        ("REGISTRATION", "open", "'off'"),
        ("DEBUG", "1", "is not a setting"),
        ("SIGNING_ALGS", "none", "is not supported"),
        ("SIGNING_ALGS", "HS256", "is not supported"),
        ("KEY_ENCRYPTION_KEY", "c2hvcnQ=", "32 bytes"),
        ("DATABASE_URL", "oracle://x", "not supported"),
        ("REDIS_URL", "http://x", "must begin with"),
        ("ADMIN_PASSWORD", "short", "8 to 256"),
        ("CORS_ORIGINS", "https://app.example/path", "is no origin"),
        ("CONFIG", "/no/such/file.toml", "there is no file"),
        ("ADMIN_PASSWORD_FILE", "/no/such/file", "cannot be read"),
    ],
)
def test_a_dangerous_or_wrong_value_stops_the_start(name: str, value: str, why: str) -> None:
    """Nothing falls back to a default; the sentence begins with the name."""
    told = mistakes(**{name: value})
    assert why in told
    assert told.startswith(name.removesuffix("_FILE")) or "ISSUER" in told


@proves("S-150")
def test_a_wrong_secret_is_not_repeated() -> None:
    """The sentence about a secret does not hold it."""
    assert "hunter2" not in mistakes(ADMIN_PASSWORD="hunter2")
    assert "hunter2" not in mistakes(KEY_ENCRYPTION_KEY="hunter2")


def test_the_environment_wins_over_a_file_over_the_defaults(tmp_path: Path) -> None:
    """Three sources, and each value knows its own."""
    file = tmp_path / "settings.toml"
    file.write_text('port = 4000\nworkers = 3\nsigning_algs = ["ES256"]\n')
    loaded = load({"AUTH_SERVER_CONFIG": str(file), "AUTH_SERVER_PORT": "5000"})
    assert (loaded.settings.port, loaded.settings.workers, loaded.settings.host) == (5000, 3, "127.0.0.1")
    assert loaded.settings.signing_algs == ["ES256"]
    assert loaded.sources["port"] == "environment AUTH_SERVER_PORT"
    assert loaded.sources["workers"] == f"file {file}"
    assert loaded.sources["host"] == "default"


def test_a_value_is_read_from_a_file_that_the_environment_names(tmp_path: Path) -> None:
    """AUTH_SERVER_X_FILE, as container secrets need it; without the line's end."""
    secret = base64.b64encode(b"k" * 32).decode()
    (tmp_path / "kek").write_text(secret + "\n")
    key = load({"AUTH_SERVER_KEY_ENCRYPTION_KEY_FILE": str(tmp_path / "kek")}).settings.key_encryption_key
    assert key is not None
    assert key.get_secret_value() == secret


def test_the_issuer_follows_host_and_port_on_loopback() -> None:
    """No setting is needed to try the server on one's own machine."""
    assert load({"AUTH_SERVER_PORT": "4000"}).settings.issuer_url == "http://127.0.0.1:4000"
    assert load({"AUTH_SERVER_HOST": "::1"}).settings.issuer_url == "http://[::1]:2342"


def test_every_setting_says_what_it_means() -> None:
    """The description is what the settings file and the documentation print."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
