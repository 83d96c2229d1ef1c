"""Errors with the codes of the RFCs. How they look on the wire is decided in http/errors.py."""

from auth_server.errors import AuthServerError


class OAuthError(AuthServerError):
    """An error of an OAuth endpoint (RFC 6749 §5.2).

    Args:
        description: for the developer of the client; printable ASCII without quotation mark and backslash.
        headers: further response headers.
    """

    code = "server_error"
    status = 400

    def __init__(self, description: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(description)
        self.description = description
        self.headers = headers


class InvalidRequest(OAuthError):
    code = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed; always told alike (S-001)."""

    code = "invalid_client"
    status = 401

    def __init__(self, description: str = "Client authentication failed") -> None:
        super().__init__(description)


class InvalidGrant(OAuthError):
    """The grant is not good.

    Args:
        status: 401 for PhotoPrism's password and session grants, whose clients test for it.
    """

    code = "invalid_grant"

    def __init__(self, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status


class UnauthorizedClient(OAuthError):
    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    code = "invalid_scope"


class UnsupportedResponseType(OAuthError):
    code = "unsupported_response_type"


class AccessDenied(OAuthError):
    code = "access_denied"


class AuthorizationPending(OAuthError):
    """A device must ask again (RFC 8628 §3.5)."""

    code = "authorization_pending"


class SlowDown(OAuthError):
    code = "slow_down"


class ExpiredToken(OAuthError):
    code = "expired_token"


class LoginRequired(OAuthError):
    """Somebody must sign in, and the request forbids to ask (OIDC Core §3.1.2.6)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    code = "consent_required"


class AccountSelectionRequired(OAuthError):
    code = "account_selection_required"


class InteractionRequired(OAuthError):
    code = "interaction_required"


class UnmetAuthenticationRequirements(OAuthError):
    """The person cannot sign in as the client demands (OIDC Core §5.5.1.1; OpenID's error code of that name)."""

    code = "unmet_authentication_requirements"


class RequestNotSupported(OAuthError):
    code = "request_not_supported"


class InvalidRequestObject(OAuthError):
    """A request object that does not count (OIDC Core §3.1.2.6, RFC 9101 §7)."""

    code = "invalid_request_object"


class InvalidRequestUri(OAuthError):
    """A request_uri that leads to no request object, or may not be asked."""

    code = "invalid_request_uri"


class InvalidDpopProof(OAuthError):
    """A DPoP proof that is missing or does not count (RFC 9449 §5)."""

    code = "invalid_dpop_proof"


class UseDpopNonce(OAuthError):
    """A DPoP proof without a nonce of ours; the answer's DPoP-Nonce header has one (RFC 9449 §8)."""

    code = "use_dpop_nonce"


class RegistrationNotSupported(OAuthError):
    code = "registration_not_supported"


class InvalidToken(OAuthError):
    """The bearer token is missing or does not count (RFC 6750 §3.1)."""

    code = "invalid_token"
    status = 401


class InsufficientScope(OAuthError):
    """The bearer token counts, but does not reach that far (RFC 6750 §3.1)."""

    code = "insufficient_scope"
    status = 403


class InvalidRedirectUri(OAuthError):
    """A redirect URI that cannot be registered (RFC 7591 §3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """Another member that cannot be registered (RFC 7591 §3.2.2)."""

    code = "invalid_client_metadata"


class InvalidSoftwareStatement(OAuthError):
    code = "invalid_software_statement"


class UnapprovedSoftwareStatement(OAuthError):
    code = "unapproved_software_statement"


class Refusal(OAuthError):
    """An authorization request that must not be answered to the client: it is told to the person, on a page."""

    code = "invalid_request"
