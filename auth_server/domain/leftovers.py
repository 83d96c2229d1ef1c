"""What is done with a record, though the store of short-lived state did not hear of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from auth_server.errors import Unavailable


@contextmanager
def tidying_up(gone: str, advice: str) -> Iterator[None]:
    """Delete the tokens of what is removed, which are dead with its record; if that fails, say what is done.

    Args:
        gone: what is removed.
        advice: what may be done about its tokens.

    Raises:
        Unavailable: the store does not answer.
    """
    try:
        yield
    except Unavailable as error:
        told = f"{gone} is removed, its tokens count no more, but they are not deleted yet: {error}"
        raise Unavailable(told, error.retry_after, advice) from error
