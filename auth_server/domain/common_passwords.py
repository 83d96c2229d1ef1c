"""The list of common passwords, which are tried first (NIST SP 800-63B-4 §3.1.1.2).

tools/common_passwords.py makes the file beside this one from two packages: Django's list of leaked passwords (Royce
Williams' selection; BSD-3-Clause, © Django Software Foundation) and zxcvbn's frequency lists of passwords, words and
names (MIT, © Daniel Wolf, after Dropbox's). It is read once, when a first password is set: 2 ms and half a megabyte.
"""

import gzip
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("common_passwords.txt.gz")


def has(folded: str) -> bool:
    """Tell whether a password is on the list.

    Args:
        folded: the password, case folded; the list is.
    """
    return folded.isprintable() and f"\n{folded}\n".encode() in _listed()


@cache
def _listed() -> bytes:
    """All of it, one a line: to look through it takes a hundredth of the time of a hash."""
    return b"\n%b\n" % gzip.decompress(FILE.read_bytes())
