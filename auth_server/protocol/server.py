"""What an endpoint may use. Made by assembly.py; everything is injected, nothing is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auth_server.clock import Clock, Random
from auth_server.domain.audit import Audit
from auth_server.domain.browsers import Browsers
from auth_server.domain.client_keys import ClientKeys
from auth_server.domain.clients import Clients
from auth_server.domain.consents import Consents
from auth_server.domain.initial_tokens import InitialTokens
from auth_server.domain.keys import Keyring
from auth_server.domain.login import Login
from auth_server.domain.outbox import Outbox
from auth_server.domain.passwords import Passwords
from auth_server.domain.refresh_tokens import RefreshTokens
from auth_server.domain.sealing import Sealing
from auth_server.domain.second_factor import SecondFactor
from auth_server.domain.sign_outs import SignOuts
from auth_server.domain.throttles import Throttles
from auth_server.domain.token_lists import TokenLists
from auth_server.domain.tokens import Tokens
from auth_server.domain.users import Users
from auth_server.logs import AccessLog
from auth_server.metrics import Metrics
from auth_server.outbound import Outbound
from auth_server.settings import Settings
from auth_server.store.records import Records
from auth_server.store.state import State

if TYPE_CHECKING:
    from auth_server.protocol.feature import Authenticate, Feature, Grant


@dataclass(frozen=True, slots=True)
class Server:
    """Settings, stores, rules and the features that are switched on."""

    settings: Settings
    issuer: str
    clock: Clock
    random: Random
    records: Records
    state: State
    keyring: Keyring
    tokens: Tokens
    token_lists: TokenLists
    users: Users
    clients: Clients
    initial_tokens: InitialTokens
    client_keys: ClientKeys
    passwords: Passwords
    login: Login
    second_factor: SecondFactor
    browsers: Browsers
    sign_outs: SignOuts
    outbox: Outbox
    consents: Consents
    refresh_tokens: RefreshTokens
    outbound: Outbound
    sealing: Sealing
    pairwise_key: bytes
    dpop_nonce_key: bytes
    throttles: Throttles
    audit: Audit
    metrics: Metrics
    access_log: AccessLog
    features: "tuple[Feature, ...]"
    grants: "Mapping[str, Grant]"
    assertions: "Mapping[str, Authenticate]"  # by client_assertion_type
    auth_methods: tuple[str, ...]

    def url(self, path: str) -> str:
        """Return the absolute URL of one of our paths."""
        return self.issuer + path

    def flush(self) -> None:
        """Write what waits: figures, access lines, and the state to disk."""
        self.metrics.flush()
        self.access_log.flush()
        self.state.sync()
        self.records.sync()

    def close(self) -> None:
        """Let go of all connections to the stores; they are opened again when they are needed."""
        self.records.close()
        self.state.close()
