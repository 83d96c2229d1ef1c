"""Write auth_server/domain/common_passwords.txt.gz from the lists that Django and zxcvbn bring along.

What the file holds are facts: words that many people take for a password, case folded, sorted, one a line; those that
are too short for a new password anyway are left out. `--check` tells whether the file is what this would write.
"""

import gzip
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from django.contrib.auth.password_validation import CommonPasswordValidator
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth_server.domain.passwords import MIN_CHARACTERS

FILE = Path(__file__).resolve().parent.parent / "auth_server/domain/common_passwords.txt.gz"


def words() -> Iterator[str]:
    """Yield what the two packages list: leaked passwords by frequency, frequent words, names of people."""
    yield from CommonPasswordValidator().passwords
    for listed in FREQUENCY_LISTS.values():
        yield from listed


def render() -> bytes:
    """Return the file's text."""
    folded = {unicodedata.normalize("NFC", word).casefold() for word in words()}
    kept = (word for word in folded if len(word) >= MIN_CHARACTERS and word.isprintable())
    return "\n".join(sorted(kept)).encode()


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if gzip.decompress(FILE.read_bytes()) == render() else f"{FILE} is old; run: make common-passwords")
    FILE.write_bytes(gzip.compress(render(), mtime=0))
