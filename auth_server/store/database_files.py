"""The files of embedded databases are their owner's alone (S-124)."""

import logging
import os
import stat
from pathlib import Path

from sqlalchemy import Engine

from auth_server.errors import AuthServerError

log = logging.getLogger("auth_server.store")
_BESIDE = ("", "-wal", "-shm", "-journal", "-mark", "-untouched")  # SQLite makes its own with the mode of the database


def make(engine: Engine) -> None:
    """Make the file of an embedded database, whatever the umask; one that is there stays as it is.

    Raises:
        AuthServerError: it cannot be made.
    """
    if engine.dialect.name != "sqlite":
        return
    path = Path(engine.url.database or "")
    if not path.parent.is_dir():
        raise AuthServerError(f"there is no folder {path.parent} for the database; make it, or set another one")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise AuthServerError(f"the database {path} cannot be made: {error.strerror}") from None
    os.fchmod(file, 0o600)
    os.close(file)


def shut_out_others(engine: Engine) -> None:
    """Take the files of an embedded database away from everybody but their owner, and say so.

    Raises:
        AuthServerError: others can read them, and that cannot be changed.
    """
    if engine.dialect.name != "sqlite":
        return
    for path in [Path(f"{engine.url.database}{ending}") for ending in _BESIDE]:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                path.chmod(0o600)
                log.warning("%s could be read by others (mode %o); its mode is 600 now", path, mode)
        except FileNotFoundError:
            continue
        except OSError:
            raise AuthServerError(f"{path} can be read by others; run as its owner: chmod 600 {path}") from None
