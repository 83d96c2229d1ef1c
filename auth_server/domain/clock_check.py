"""Whether this machine's clock is right enough to change what all replicas share (S-137)."""

import logging

from auth_server.clock import Clock
from auth_server.store.records import Records

TOLERANCE = 60  # seconds between our clock and the store's
log = logging.getLogger("auth_server.clock")


def is_right(records: Records, clock: Clock) -> bool:
    """Tell whether the clock agrees with the store's, as far as that has one of its own.

    A replica whose clock is wrong would rotate keys, and delete for all what only it takes for expired. So it leaves
    periodic work to the others, and says so.
    """
    theirs, ours = records.time(), clock()
    if theirs is None or abs(theirs - ours) <= TOLERANCE:
        return True
    log.warning(
        "this machine's clock is %+d s off the database's; it does no periodic work until that is put right",
        ours - theirs,
    )
    return False
