"""Puts the server together: the only file that knows every part."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import Engine, select

from auth_server.clock import Clock, Random, system_clock, system_random
from auth_server.domain.audit import Audit
from auth_server.domain.browsers import Browsers
from auth_server.domain.client_keys import ClientKeys
from auth_server.domain.client_rules import Capabilities
from auth_server.domain.clients import Clients
from auth_server.domain.consents import Consents
from auth_server.domain.initial_tokens import InitialTokens
from auth_server.domain.keys import Keyring, Policy
from auth_server.domain.login import Login
from auth_server.domain.outbox import Outbox
from auth_server.domain.passwords import Passwords
from auth_server.domain.refresh_tokens import RefreshTokens
from auth_server.domain.sealing import Sealing, read_key
from auth_server.domain.second_factor import SecondFactor
from auth_server.domain.sign_outs import SignOuts
from auth_server.domain.throttles import Throttles
from auth_server.domain.token_lists import TokenLists
from auth_server.domain.tokens import Tokens
from auth_server.domain.users import Users
from auth_server.errors import AuthServerError
from auth_server.logs import AccessLog
from auth_server.metrics import Metrics
from auth_server.outbound import Outbound
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.feature import Feature
from auth_server.protocol.profiles import PROFILES
from auth_server.protocol.server import Server
from auth_server.settings import MAX_TOKEN_TTL, Settings
from auth_server.store import database_files, schema, tables
from auth_server.store import engine as engines
from auth_server.store.cached_records import CachedRecords
from auth_server.store.guess import Guess
from auth_server.store.optimistic_state import OptimisticState
from auth_server.store.records import Records
from auth_server.store.server_database import server_database
from auth_server.store.sql_records import SqlRecords
from auth_server.store.sql_state import SqliteState
from auth_server.store.state import Rate, State

if TYPE_CHECKING:
    from auth_server.http.lane import Lane

STATE_FILE = "state.db"


class OldStore(AuthServerError):
    """The store is empty, or has the schema of another version."""


@dataclass(frozen=True)
class Stores:
    """Engines of what holds data.

    Args:
        state: the embedded one; None where the server database of the records has the state. With Redis, it is what
            Redis must not lose.
    """

    home: Path
    records: Engine
    state: Engine | None

    def histories(self) -> list[tuple[Engine, schema.History]]:
        """Return each line of migrations with the database that it is for."""
        pairs = [(self.records, schema.RECORDS)]
        if self.records.dialect.name != "sqlite":
            pairs.append((self.records, schema.SHARED_STATE))
        return pairs if self.state is None else [*pairs, (self.state, schema.STATE)]

    def are_embedded(self) -> bool:
        """Tell whether any of the data is in files of HOME."""
        return self.state is not None or self.records.dialect.name == "sqlite"

    def are_current(self) -> bool:
        """Tell whether every database has the schema of this version."""
        return all(schema.is_current(engine, history) for engine, history in self.histories())

    def check_current(self) -> None:
        """Make sure that every database has the schema of this version; nothing is made for the question.

        Raises:
            OldStore: one has another, or none.
        """
        if not self.are_current():
            raise OldStore("the store is empty or of another version; run: auth-server db upgrade")

    def were_with_redis(self) -> bool:
        """Tell whether anybody has used these records together with a Redis, this server or another."""
        query = select(tables.reconciled_redis.c.identity)
        return any(row.identity for row in engines.rows(self.records, query))

    def make_home(self) -> None:
        """Make HOME; it and the databases become their owner's alone.

        Raises:
            AuthServerError: it cannot be made, or is shared with others.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.home.stat().st_mode & stat.S_ISVTX and any(self.home.iterdir()):  # /tmp, not a new tmpfs
                raise AuthServerError(f"HOME {self.home} is shared with others; set AUTH_SERVER_HOME to another folder")
            self.home.chmod(0o700)
        except OSError as error:
            raise AuthServerError(
                f"HOME {self.home} cannot be used: {error.strerror}; set AUTH_SERVER_HOME to a folder of your own"
            ) from None
        self.shut_out_others()

    def shut_out_others(self) -> None:
        """Take embedded databases away from everybody but their owner."""
        for engine, _ in self.histories():
            database_files.shut_out_others(engine)

    def close(self) -> None:
        """Let go of all connections; before a fork there must be none (SQLite's locks do not cross it)."""
        for engine, _ in self.histories():
            engine.dispose()

    def upgrade(self) -> bool:
        """Run the migrations that are missing, and make what they need; tell whether there were any."""
        self.make_home()
        return any([schema.upgrade(engine, history) for engine, history in self.histories()])


def stores(settings: Settings) -> Stores:
    """Return the stores that the settings name; nothing is made or opened yet."""
    records = engines.create(settings.database)
    embedded = records.dialect.name == "sqlite"
    return Stores(
        settings.home, records, engines.create(f"sqlite:///{settings.home / STATE_FILE}") if embedded else None
    )


def assemble(
    settings: Settings,
    at: Stores,
    clock: Clock = system_clock,
    random: Random = system_random,
    passwords: Passwords | None = None,
) -> Server:
    """Return the server, with everything injected.

    Args:
        at: stores with the schema of this version.
        passwords: the pool that hashes; the default has the parameters that people's passwords need.

    Raises:
        OldStore: they have another one.
        AuthServerError: the key-encryption key is missing, open to others or the wrong one.
    """
    at.check_current()
    records, state = _opened(settings, at, clock)
    sealing = _sealing(settings, records, random)
    policy = Policy(settings.signing_algs, settings.key_rotation_interval, settings.key_overlap, settings.jwks_max_age)
    audit, metrics = Audit(records, clock), Metrics()
    keyring = Keyring(records, sealing, policy, audit, clock)
    features = tuple(feature for feature in FEATURES if feature.enabled(settings))
    grants = {grant.grant_type: grant for feature in features for grant in feature.grants}
    methods = [method for feature in features for method in feature.client_auth]
    tokens = Tokens(records, state, keyring, audit, clock, random)
    passwords = passwords or Passwords(threads=settings.threads, processes=settings.workers)
    refresh_tokens = RefreshTokens(
        records,
        state,
        sealing.derive("refresh tokens"),
        clock,
        settings.refresh_token_ttl,
        settings.refresh_token_idle,
        settings.refresh_token_grace,
    )
    outbound = Outbound(settings.outbound_networks)
    outbox = Outbox(records, audit, clock)
    sign_outs = SignOuts(records, state, tokens, refresh_tokens, outbox, clock)
    users = Users(records, tokens, passwords, sign_outs, audit, clock, random, _own_names(settings.issuer_url))
    throttles = Throttles(
        state,
        audit,
        clock,
        Rate(settings.login_burst, settings.login_refill),
        Rate(settings.auth_burst, settings.auth_refill),
    )
    second_factor = SecondFactor(records, tokens, sealing, passwords, throttles, sign_outs, audit, clock, random)
    auth_methods = tuple(method.method for method in methods)
    registrable = (
        *(grant.grant_type for grant in grants.values() if grant.registrable),
        *(name for feature in features for name in feature.grant_types),
    )
    return Server(
        settings=settings,
        issuer=settings.issuer_url,
        clock=clock,
        random=random,
        records=records,
        state=state,
        keyring=keyring,
        tokens=tokens,
        token_lists=TokenLists(tokens, records, state, clock),
        users=users,
        clients=Clients(
            records,
            tokens,
            sealing,
            Capabilities(
                registrable,
                auth_methods,
                _response_types(features),
                tuple(settings.signing_algs),
                {member.name: member for feature in features for member in feature.client_metadata},
                outbound,
                {name: profile.apply for name, profile in PROFILES.items()},
            ),
            audit,
            clock,
            random,
        ),
        client_keys=ClientKeys(outbound, state, clock),
        initial_tokens=InitialTokens(records, audit, clock, random),
        passwords=passwords,
        login=Login(records, users, tokens, passwords, second_factor, throttles, audit, metrics, clock),
        second_factor=second_factor,
        sign_outs=sign_outs,
        outbox=outbox,
        browsers=Browsers(records, state, sign_outs, clock, random, settings.session_ttl, settings.session_idle),
        consents=Consents(records, tokens, refresh_tokens, sign_outs, audit, clock),
        refresh_tokens=refresh_tokens,
        outbound=outbound,
        sealing=sealing,
        pairwise_key=sealing.derive("pairwise subjects"),
        dpop_nonce_key=sealing.derive("DPoP nonces"),
        throttles=throttles,
        audit=audit,
        metrics=metrics,
        access_log=AccessLog(json=settings.logs_json, enabled=settings.log_level in ("debug", "info")),
        features=features,
        grants=grants,
        assertions={m.assertion_type: m.authenticate for m in methods if m.assertion_type and m.authenticate},
        auth_methods=auth_methods,
    )


def _response_types(features: tuple[Feature, ...]) -> tuple[str, ...]:
    return tuple(name for feature in features for name in feature.response_types)


def _own_names(issuer: str) -> tuple[str, ...]:
    """What people call this server."""
    host = urlsplit(issuer).hostname or ""
    return ("auth-server", "authserver", "photoprism", issuer, host, *host.split("."))


def _sealing(settings: Settings, records: Records, random: Random) -> Sealing:
    """Seals with the key-encryption key; where nothing is sealed yet, a new one may be made."""
    given = settings.key_encryption_key.get_secret_value() if settings.key_encryption_key else None
    return Sealing(read_key(given, settings.keys_path, random, may_create=not records.keys.all()), random)


def _opened(settings: Settings, at: Stores, clock: Clock) -> tuple[Records, State]:
    """Return the records, and the state: beside them in a server database, else in a file; with Redis, in both."""
    direct = server_database(at.records)
    records = CachedRecords(SqlRecords(at.records, direct))
    guess = direct.generation.guess if direct else Guess()
    if settings.redis_url is None:
        return records, OptimisticState(direct.state(), guess) if direct else SqliteState(settings.home / STATE_FILE)
    from auth_server.store.redis_with_journal import RedisWithJournal  # loaded only where it is used
    from auth_server.store.revocation_journal import RevocationJournal

    longest = max(MAX_TOKEN_TTL, settings.access_token_ttl, settings.session_ttl)
    url, journal = settings.redis_url.get_secret_value(), RevocationJournal(at.records)
    lasting = direct.lasting_state() if direct else SqliteState(settings.home / STATE_FILE)
    generation = direct.generation if direct else None
    state = RedisWithJournal(url, lasting, journal, clock, longest, generation=generation)
    return records, OptimisticState(state, guess)


def application(server: Server, at: Stores, *, lane: bool = True) -> "Lane":
    """Return the WSGI application of a server."""
    from auth_server.http.app import create_app  # Flask is a third of a command's start

    return create_app(server, at.records, lane=lane)
