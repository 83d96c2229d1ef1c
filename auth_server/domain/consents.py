"""What people have allowed clients: remembered, asked for again only when a client wants more, and withdrawn."""

from collections.abc import Sequence

from auth_server.clock import Clock
from auth_server.domain import scopes
from auth_server.domain.audit import Actor, Audit
from auth_server.domain.refresh_tokens import RefreshTokens
from auth_server.domain.sign_outs import SignOuts
from auth_server.domain.tokens import Tokens
from auth_server.store.records import Consent, Records
from auth_server.store.state import Page


class Consents:
    """All consents."""

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        refresh_tokens: RefreshTokens,
        sign_outs: SignOuts,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._records, self._tokens, self._refresh_tokens = records, tokens, refresh_tokens
        self._sign_outs, self._audit, self._clock = sign_outs, audit, clock

    def covers(self, uid: str, client_id: str, scope: str, claims: Sequence[str] = ()) -> bool:
        """Tell whether a person has allowed a client all of *scope* and *claims* before."""
        given = self._records.consents.get(uid, client_id)
        if given is None:
            return False
        return scopes.words(scope) <= scopes.words(given.scope) and set(claims) <= set(given.claims)

    def remember(self, uid: str, client_id: str, scope: str, claims: Sequence[str], by: Actor) -> None:
        """Add to what a person has allowed a client.

        Raises:
            NotFound: the person or the client is gone.
        """
        now = self._clock()
        before = self._records.consents.get(uid, client_id)
        words = scopes.words(scope) | (scopes.words(before.scope) if before else frozenset())
        every = sorted({*claims, *(before.claims if before else ())})
        self._records.consents.put(Consent(uid, client_id, " ".join(sorted(words)), now, now, tuple(every)))
        self._audit.change("consent.give", by, client_id=client_id, uid=uid, scope=scope)

    def withdraw(self, uid: str, client_id: str, by: Actor) -> None:
        """Take back what a person has allowed a client: all it holds for them is dead on return (S-042).

        It is told to sign them out, too.
        """
        self._records.consents.remove(uid=uid, client_id=client_id)
        self._sign_outs.dismiss(uid, client_id)
        self._refresh_tokens.withdraw(uid, client_id)
        self._tokens.revoke_of(uid, client_id)
        self._audit.change("consent.withdraw", by, client_id=client_id, uid=uid)

    def page(self, uid: str, page: Page) -> Sequence[Consent]:
        """Return what a person has allowed, the newest first."""
        return self._records.consents.page(uid, page)
