"""The second factor: verification codes by time (RFC 6238), and a recovery code."""

from auth_server.store.records import User


class SecondFactor:
    """Checks the verification codes of people."""

    def check(self, user: User, code: str, address: str) -> None:
        """Take the code of a person whose password was right; of one without a second factor none is asked.

        What took tries for the password gives them back on `PasscodeRequired`, and keeps them on `PasscodeInvalid`.

        Args:
            code: as typed, empty if none was; a right one is used up by this.
            address: of the peer, for the audit.

        Raises:
            PasscodeRequired: none was given, and the account asks for one.
            PasscodeInvalid: it is wrong, or was used before.
            Throttled: too many wrong ones for this account; the code was not looked at.
        """
