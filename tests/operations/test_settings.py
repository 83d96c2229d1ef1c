"""Settings: where values come from, and that every mistake is told at once, by name."""

import base64
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from auth_server.settings import Settings, WrongSettings, load
from tests import proves

PACKAGE = Path(__file__).parents[2] / "auth_server"


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
        ("TRUSTED_PROXIES", "0.0.0.0/1 128.0.0.0/1", "trusts every address"),
        ("TRUSTED_PROXIES", "128.0.0.0/2,::1/128,192.0.0.0/2,64.0.0.0/2,0.0.0.0/3,32.0.0.0/3", "trusts every address"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 ::/1 8000::/1", "trusts every address"),
        ("TRUSTED_PROXIES", "proxy.example", "'proxy.example' is no network"),
        ("TRUSTED_PROXIES", "10.0.0.1 10.0.0.0/33", "'10.0.0.0/33' is no network"),
        ("OUTBOUND_ALLOW", "app.example", "'app.example' is no network"),
        ("OUTBOUND_ALLOW", "0.0.0.0/0", "every address"),
        ("ISSUER", "http://auth.example.org", "must be https"),
        ("ISSUER", "https://auth.example.org/", "no trailing slash"),
        ("ISSUER", "https://auth.example.org?x=1", "query"),
        ("ISSUER", "auth.example.org", "must be"),
        ("HOST", "0.0.0.0", "is required"),
        ("REGISTRATION", "closed", "must be 'off', 'token' or 'open', not 'closed'"),
        ("REGISTRATION_SCOPES", "openid x;y", "must be words of a scope, not 'x;y'"),
        ("REGISTRATION_SCOPES", "Email", "must be words of a scope, not 'Email'"),
        ("DEBUG", "1", "is not a setting"),
        ("SIGNING_ALGS", "none", "is not supported"),
        ("SIGNING_ALGS", "HS256", "is not supported"),
        ("KEY_ENCRYPTION_KEY", "c2hvcnQ=", "32 bytes"),
        ("SIGNING_ALGS", "EdDSA ES256 Ed25519", "two names of one algorithm"),
        ("DATABASE_URL", "oracle://x", "not supported"),
        ("DATABASE_URL", "postgresql+psycopg://u:p@h:bad/x", "host or port is wrong"),
        ("DATABASE_URL", "postgresql://u:p@[::1/x", "host or port is wrong"),
        ("DATABASE_URL", "mysql://u:p@h/x", "postgresql+psycopg://USER@HOST/NAME or mysql+pymysql://"),
        (
            "DATABASE_URL",
            "mysql+mysqldb://u:p@h/x",
            "mysql+mysqldb is not supported; write",
        ),
        ("DATABASE_URL", "mysql+pymysql://u:p@h", "must name a database"),
        ("DATABASE_URL", "postgresql://u:p@h1:1,h2:2/x", "write postgresql+psycopg://USER@/NAME?host=HOST,HOST&port="),
        ("DATABASE_URL", "postgresql://u:p@h1:1,h2/x", "names several hosts with ports"),
        ("DATABASE_URL", "mysql+pymysql://u:p@h1,h2/x", "names several hosts, and the driver takes one"),
        ("DATABASE_URL", "postgresql://u:p@/x?host=a,b&port=one,2", "has a port in its query that is no number"),
        ("DATABASE_URL", "mysql+pymysql://u:p@h/x?isolation_level=none", "has isolation_level=none; write"),
        ("DATABASE_URL", "sqlite://", "needs a file"),
        ("DATABASE_URL", "sqlite:///", "needs a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "needs a file"),
        ("DATABASE_URL", "sqlite:///?timeout=1", "needs a file"),
        ("REDIS_URL", "http://x", "must begin with"),
        ("REDIS_URL", "redis://h:bad/0", "host or port is wrong"),
        ("REDIS_URL", "redis+sentinel://a,b/", "needs the master's name"),
        ("REDIS_URL", "redis+cluster://a,b/1", "database 0 alone"),
        ("REDIS_URL", "rediss://h/0?ssl_cert_reqs=none", "has no option ssl_cert_reqs"),
        ("REDIS_URL", "redis://[::1/0", "host or port is wrong"),
        ("ADMIN_PASSWORD", "short", "8 to 256"),
        ("ADMIN_PASSWORD", "\N{MERPERSON}" * 256 + "x", "8 to 256"),
        ("ADMIN_PASSWORD", "\u1100\u1161\u11a8" * 7, "8 to 256"),
        ("ADMIN_PASSWORD", "\udcff" * 8, "8 to 256"),
        ("ISSUER", "http://[::1", "must be a URL"),
        ("ISSUER", "https://auth.example.org:99999", "must be a URL"),
        ("ISSUER", "https://auth.example.org:http", "must be a URL"),
        ("CORS_ORIGINS", "https://app.example/path", "is no origin"),
        ("CORS_ORIGINS", "https://[x", "is no origin"),
        ("CORS_ORIGINS", "https://app.example:99999", "is no origin"),
        ("KEY_OVERLAP", "60", "at least 2678400"),
        ("KEY_OVERLAP", "2678399", "at least 2678400"),
        ("SESSION_IDLE", "119", "at least 120"),
        ("CONFIG", "/no/such/file.toml", "/no/such/file.toml cannot be read: No such file"),
        ("ADMIN_PASSWORD_FILE", "/no/such/file", "/no/such/file cannot be read: No such file"),
        ("ADMIN_PASSWORD_FILE", "/", "/ cannot be read: Is a directory"),
        ("REDIS_URL_FILE", "/dev/null", "/dev/null is empty"),
        ("CONFIG", "/", "/ cannot be read: Is a directory"),
        ("CONFIG_FILE", "/dev/null", "AUTH_SERVER_CONFIG names the settings file"),
        ("WORKRES_FILE", "/no/such/file", "did you mean WORKERS_FILE?"),
        ("HOME", "", "is required"),
        ("HOST", "", "is no address"),
        ("HOST", "127.0.0.1 ", "is no address"),
        ("HOST", "http://127.0.0.1", "is no address"),
        ("HOST", "127.0.0.1:80", "without port and brackets"),
        ("HOST", "[::1]", "without port and brackets"),
        ("PORT", "seven", "must be a whole number, not 'seven'"),
        ("PORT", "70000", "must be at most 65535, not '70000'"),
        ("PORT", "tcp://10.0.0.1:2342", "enableServiceLinks"),
        ("ACCESS_TOKEN_TTL", "1e3", "must be a whole number"),
        ("ACCESS_TOKEN_TTL", "9" * 5000, "must be"),
        ("SERVER", "apache", "must be 'gunicorn' or 'granian', not 'apache'"),
        ("PHOTOPRISM_GRANTS", "maybe", "must be on or off, not 'maybe'"),
        ("ISSUER", "https://auth example.org", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a b", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a\n", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a//b", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a/../b", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a/.", "must be a URL"),
        ("ISSUER", "https://auth.example.org/a%2Fb", "must be a URL"),
        ("ISSUER", "HTTPS://auth.example.org", "must be a URL"),
        ("ISSUER", "https://auth..example.org", "must be a URL"),
        ("ISSUER", "https://auth.example.org:", "must be a URL"),
        ("ISSUER", "https://auth.example.org:0", "must be a URL"),
        ("ISSUER", "https://", "must be a URL"),
        ("ISSUER", "https://@auth.example.org", "no trailing slash, query, fragment or user"),
        ("ISSUER", "https://me:secret@auth.example.org", "no trailing slash, query, fragment or user"),
        ("DATABASE_URL", "/var/lib/records.db", "must be a URL"),
        ("DATABASE_URL", "sqlite:///file:records.db?uri=true", "plain path"),
        ("REDIS_URL", "redis://127.0.0.1/one", "number of a database"),
        ("REDIS_URL", "unix://", "path of a socket"),
        ("APP_PASSWORD_TTL", "-2", "must be at least -1"),
        ("TLS_CERT", "/", "no file / that can be read"),
    ],
)
def test_a_dangerous_or_wrong_value_stops_the_start(name: str, value: str, why: str) -> None:
    """Nothing falls back to a default; the sentence begins with the name."""
    told = mistakes(**{name: value})
    assert why in told
    assert told.startswith(name.removesuffix("_FILE")) or "ISSUER" in told


@proves("S-158")
@pytest.mark.parametrize("word", ["admin:users", "admin:*", "*", "introspect"])
def test_open_registration_gives_nobody_an_admins_scope(word: str) -> None:
    """Everybody could have it; with an initial access token it is for an admin to say."""
    told = mistakes(REGISTRATION="open", REGISTRATION_SCOPES=f"openid {word}")
    assert told == f"REGISTRATION_SCOPES: {word} would be everybody's with REGISTRATION=open; leave it out"
    given = {"AUTH_SERVER_REGISTRATION": "token", "AUTH_SERVER_REGISTRATION_SCOPES": f"openid {word}"}
    assert load(given).settings.registration_scopes == ["openid", word]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('port = "seven"', "PORT: must be a whole number, not 'seven' (file {file})"),
        ("port = [1]", "PORT: must be a whole number, not [1] (file {file})"),
        ("port = true", "PORT: must be a whole number, not True (file {file})"),
        ("admin_password = 12345678", "ADMIN_PASSWORD: must be text, in quotes (file {file})"),
        ("home = 1", "HOME: must be text, in quotes (file {file})"),
        ("cors_origins = 1", "CORS_ORIGINS: must be a list of texts (file {file})"),
        ("cors_origins = [1]", "CORS_ORIGINS: must be a list of texts (file {file})"),
        (
            "[auth_server]",
            "AUTH_SERVER: is a table, and settings stand in none; write them at the top of the file (file {file})",
        ),
        ("AUTH_SERVER_PORT = 1", "AUTH_SERVER_PORT: is not a setting; did you mean PORT? (file {file})"),
        ("prot = 1", "PROT: is not a setting; did you mean PORT? (file {file})"),
        ("[server]", "SERVER: must be 'gunicorn' or 'granian', not {{}} (file {file})"),
        ("port = 1\nPORT = 2", "PORT: stands twice in {file}, as port and as PORT; take one away"),
        ("port =", "CONFIG: {file} is no TOML: Invalid value (at line 1, column 7)"),
        ("port = 1\nport = 2", "CONFIG: {file} is no TOML: Cannot overwrite a value (at line 2, column 9)"),
        ("port = '\udcff'", "CONFIG: {file} is no UTF-8 text"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_name(tmp_path: Path, text: str, why: str) -> None:
    """For the same name may be right in the environment."""
    file = tmp_path / "settings.toml"
    file.write_bytes(f"{text}\n".encode(errors="surrogateescape"))
    assert mistakes(CONFIG=str(file)) == why.format(file=file)


@pytest.mark.parametrize("other", ["AUTH_SERVER_ADMIN_PASSWORD_FILE", "AUTH_SERVER_admin_password"])
def test_a_setting_is_given_once(tmp_path: Path, other: str) -> None:
    """Which one counts would be a guess; the value itself is not told."""
    (tmp_path / "password").write_text("Blue-whale-42\n")
    given = {"AUTH_SERVER_ADMIN_PASSWORD": "Blue-whale-42-sings", other: str(tmp_path / "password")}
    for order in (given, dict(reversed(given.items()))):
        with pytest.raises(WrongSettings) as caught:
            load(order)
        (told,) = caught.value.mistakes
        assert told.startswith("ADMIN_PASSWORD: is given twice, as AUTH_SERVER_ADMIN_PASSWORD and as ")
        assert other in told
        assert "Blue-whale" not in told


def test_a_wrong_value_of_a_file_names_the_variable(tmp_path: Path) -> None:
    """Trailing line ends are no part of it."""
    (tmp_path / "port").write_text("seven\r\n")
    told = mistakes(PORT_FILE=str(tmp_path / "port"))
    assert told == "PORT: must be a whole number, not 'seven' (environment AUTH_SERVER_PORT_FILE)"
    (tmp_path / "port").write_bytes(b"\xff\xfe")
    assert mistakes(PORT_FILE=str(tmp_path / "port")) == f"PORT_FILE: {tmp_path / 'port'} is no UTF-8 text"


def test_an_account_without_a_home_must_name_one(tmp_path: Path) -> None:
    """As in a container that runs under a number; the package is no checkout there."""
    shutil.copytree(PACKAGE, tmp_path / "auth_server", ignore=shutil.ignore_patterns("__pycache__", "static"))
    code = "import os; os.getuid = lambda: 4242424; from auth_server.settings import load; load({})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert "WrongSettings: HOME: is required; name the folder" in done.stderr


def test_a_replaced_key_verifies_what_it_signed() -> None:
    """No token that a setting lets live for long outlives the key that verifies it."""
    told = mistakes(ACCESS_TOKEN_TTL="3000000", ID_TOKEN_TTL="5000000")
    assert "KEY_OVERLAP: must be at least 5000000" in told
    given = {"AUTH_SERVER_ACCESS_TOKEN_TTL": "3000000", "AUTH_SERVER_KEY_OVERLAP": "3000000"}
    assert load(given).settings.key_overlap == 3000000
    assert load({"AUTH_SERVER_KEY_OVERLAP": "2678400", "AUTH_SERVER_SESSION_IDLE": "120"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:p[a/s:s@127.0.0.1:5432/x"),
        ("DATABASE_URL", "postgresql+psycopg://user@/x?host=/run/postgresql"),
        ("DATABASE_URL", "mysql+pymysql://user:p%40ss@db.example:3306/x?isolation_level=serializable"),
        ("DATABASE_URL", "mysql+pymysql://user@localhost/x?unix_socket=/run/mysqld/mysqld.sock"),
        ("DATABASE_URL", "sqlite:////var/lib/auth-server/records.db"),
        ("DATABASE_URL", "sqlite:///records.db"),
        ("DATABASE_URL", "postgresql://user:p/a?s#s%@db.example/x?application_name=a%40b"),
        ("DATABASE_URL", "postgresql://user@db1.example,db2.example:5433/x?target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://user:p@/x?host=db1.example,db2.example&port=5432,5433"),
        ("DATABASE_URL", "postgresql://user:p@[::1]:5432/x"),
        ("REDIS_URL", "redis://db.example/0?password=p@ss"),
        ("REDIS_URL", "redis://:p@ss@db.example/0"),
        ("REDIS_URL", "unix:///run/user@1000/redis.sock"),
        ("REDIS_URL", "redis://:secret@[::1]:6379/0"),
        ("TRUSTED_PROXIES", "0.0.0.0/1 128.0.0.0/2 10.1.2.3 8000::/1"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("ISSUER", "https://[2001:db8::1]:8443/tenant"),
        ("CORS_ORIGINS", "https://app.example:8443 http://[::1]:3000"),
        ("ADMIN_PASSWORD", "\N{MERPERSON}" * 256),
        ("ADMIN_PASSWORD", ""),
        ("TLS_CERT", ""),
        ("THREADS", ""),
        ("CONFIG", ""),
        ("PHOTOPRISM_GRANTS", "OFF"),
        ("APP_PASSWORD_TTL", "-1"),
        ("ISSUER", "https://auth.example.org/a.b/~c/..d"),
        ("ISSUER", "http://localhost:2342"),
        ("REDIS_URL", "rediss://redis.example:6380/"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis+sentinel://me:secret@10.0.0.1,10.0.0.2:26380/main/0?sentinel_password=other"),
        ("REDIS_URL", "rediss+cluster://[::1]:7000,[::1]:7001?ssl_check_hostname=no"),
        ("SERVER", "Granian"),
    ],
)
def test_an_unusual_value_is_taken(name: str, value: str) -> None:
    """The checks refuse no URL that a driver reads."""
    load({f"AUTH_SERVER_{name}": value})


@proves("S-150")
def test_a_wrong_secret_is_not_repeated() -> None:
    """The sentence about a secret does not hold it."""
    assert "hunter2" not in mistakes(ADMIN_PASSWORD="hunter2")
    assert "hunter2" not in mistakes(KEY_ENCRYPTION_KEY="hunter2")
    assert "hunter2" not in mistakes(DATABASE_URL="hunter2", REDIS_URL="hunter2")
    assert "hunter2" not in mistakes(
        DATABASE_URL="postgresql://u:hunter2@h:bad/x", REDIS_URL="redis://:hunter2@h:bad/0"
    )


@proves("S-150")
@pytest.mark.parametrize("secret", ["se@cr/et:%?#", "se@cr/et", "a/b@cr", "se?cr@et", "se?cr=1@et", "se#c@r"])
def test_password_that_is_not_percent_encoded_is_refused(secret: str) -> None:
    """Else a part of it would be the name of a host, which is told where that is not found."""
    for user in ("user", "", "us/er"):
        told = mistakes(DATABASE_URL=f"postgresql://{user}:{secret}@db.example/x")
        assert "in percent: @ is %40" in told
        told += mistakes(REDIS_URL=f"redis://{user}:{secret}@db.example/0")
        assert "percent-encoded" in told
        assert "cr" not in told


@pytest.mark.parametrize("scheme", ["postgres", "PostgreSQL", "POSTGRES", "postgresql", "postgresql+psycopg"])
def test_all_names_of_postgresql_are_one(scheme: str) -> None:
    """Hosting services write the first; a scheme's case counts nowhere (RFC 3986)."""
    given = {"AUTH_SERVER_DATABASE_URL": f"{scheme}://u:postgres%3A@h/x"}
    assert load(given).settings.database == "postgresql+psycopg://u:postgres%3A@h/x"
    assert load({"AUTH_SERVER_DATABASE_URL": "SQLite:////x/y.db"}).settings.database == "sqlite:////x/y.db"


def test_workers_are_as_many_as_the_cores_that_may_be_used(tmp_path: Path) -> None:
    """Of a container that has one core of a machine's many, for example."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert load({"AUTH_SERVER_HOME": str(tmp_path)}).settings.workers == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert load({"AUTH_SERVER_HOME": str(tmp_path)}).settings.workers == min(len(cores), 4)


def test_one_mistake_is_told_once() -> None:
    """A missing issuer is not also one that is not https."""
    assert mistakes(HOST="0.0.0.0").count("\n") == 0
    assert mistakes(ISSUER="https://").count("\n") == 0


@pytest.mark.parametrize("spoilt", ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"])
def test_certificates_are_read_before_the_start(tmp_path: Path, spoilt: str) -> None:
    """gunicorn would start with any file, and refuse every connection."""
    names = {name: str(tmp_path / name) for name in ("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA")}
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "TLS_KEY").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "auth.example.org")]), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1)).sign(key, SHA256())
    (tmp_path / "TLS_CERT").write_bytes(made.public_bytes(Encoding.PEM))
    shutil.copy(names["TLS_CERT"], names["TLS_CLIENT_CA"])
    assert load({f"AUTH_SERVER_{name}": value for name, value in names.items()}).settings.tls_cert
    Path(names[spoilt]).write_text("no certificate\n")
    told = mistakes(**names)
    assert told.startswith("TLS_CLIENT_CA: " if spoilt == "TLS_CLIENT_CA" else "TLS_CERT: and TLS_KEY must be")
    assert "PEM" in told


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
    assert (loaded.file, loaded.sources["config"]) == (file, "environment AUTH_SERVER_CONFIG")


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


def test_driver_that_is_not_installed_is_named() -> None:
    """MariaDB's is an extra package."""
    code = (
        "import sys; sys.modules['pymysql'] = None; from auth_server.settings import load;"
        "load({'AUTH_SERVER_DATABASE_URL': 'mysql+pymysql://user@localhost/x'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "DATABASE_URL: needs the package PyMySQL; run: pip install 'auth-server[mysql]'" in done.stderr
