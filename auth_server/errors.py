"""Everything that may go wrong on purpose. Anything else that is raised is a bug."""


class AuthServerError(Exception):
    """The root of all errors that the server raises knowingly; its text is fit for the person who caused it."""


class InvalidInput(AuthServerError):
    """A value that someone sent or typed is not acceptable.

    Args:
        field: the name of the field, flag or setting.
        reason: what is wrong and what to write instead; never holds a secret.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Refused(InvalidInput):
    """A value of the right form that is refused for what it is: a weak key, a scope that its holder never has."""


class NotAuthenticated(AuthServerError):
    """Nobody, or nobody whom we know, stands behind the request."""


class LoginFailed(NotAuthenticated):
    """A name and a secret that do not go together; told alike whatever the reason (S-068)."""


class PasscodeRequired(NotAuthenticated):
    """The password is right, and the account asks for a verification code too."""

    def __init__(self, text: str = "Enter verification code") -> None:
        super().__init__(text)


class PasscodeInvalid(NotAuthenticated):
    """A verification code that is wrong, was used before, or is older than one that was."""

    def __init__(self, text: str = "Invalid verification code, please try again") -> None:
        super().__init__(text)


class Forbidden(AuthServerError):
    """We know who asks, and they may not do this."""


class NotFound(AuthServerError):
    """What was named does not exist, or not for the one who asks."""


class Conflict(AuthServerError):
    """The name or identifier is taken, or the record changed meanwhile."""


class LastOne(Conflict):
    """Nobody would be left who may do what only this record's holder may."""


class Throttled(AuthServerError):
    """Too many tries.

    Args:
        retry_after: seconds until one more try is allowed.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"rate limit exceeded; try again in {retry_after} s")
        self.retry_after = retry_after


class Unavailable(AuthServerError):
    """A store did not answer: nothing is known, nothing was acknowledged.

    Args:
        retry_after: seconds after which a new try makes sense.
        advice: what whoever runs the server can do about it, for the command line; never holds a secret.
    """

    def __init__(self, reason: str = "the store does not answer", retry_after: int = 1, advice: str = "") -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.advice = advice
