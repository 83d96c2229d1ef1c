"""Scopes: their normal form, and whether one covers a resource with permissions (PhotoPrism's rules, ours on top)."""

import re
from collections.abc import Iterable, Set
from functools import lru_cache

from auth_server.errors import InvalidInput

MAX_LENGTH = 767

READ = frozenset(
    [
        "access_shared",
        "access_library",
        "access_private",
        "access_own",
        "access_all",
        "search",
        "view",
        "download",
        "subscribe",
    ]
)
WRITE = frozenset(
    [
        "access_shared",
        "access_library",
        "access_private",
        "access_own",
        "access_all",
        "upload",
        "create",
        "update",
        "share",
        "delete",
        "rate",
        "react",
        "manage",
        "manage_own",
    ]
)

# Whole words that must be named: `*`, `read` and `write` reach PhotoPrism's resources only (CONTRACT section 5).
NAMED = frozenset(["introspect", "openid", "profile", "email", "address", "phone", "offline_access"])
WHOLE = frozenset(["*", "read", "write"])
ADMIN = ("admin:users", "admin:clients", "admin:sessions", "admin:keys", "admin:audit")

_KEPT = re.compile(r"[^A-Za-z0-9.@\-+_#*:]", re.ASCII)
_LETTER = re.compile(r"[A-Za-z*]", re.ASCII).search
_TRUE = frozenset(("true", "yes", "on", "enable"))
_FALSE = frozenset(("false", "no", "off", "disable"))
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*", re.ASCII).fullmatch


def is_valid(text: str) -> bool:
    """Tell whether *text* is a scope by RFC 6749 §3.3: words of printable ASCII, parted by single spaces."""
    return len(text) <= MAX_LENGTH and _TOKEN(text) is not None


def normal(text: str) -> str:
    """Return the normal form of a scope: lowercase words without odd characters, sorted, `*` last, none twice.

    Args:
        text: words parted by white space or commas, which would else glue words together (photoprism-contract
            section 15); a word may carry `:value`, where `yes` and `no` mean with and without.
    """
    words = set()
    for word in text.lower().replace(",", " ").split():
        name, colon, value = _KEPT.sub("", word).partition(":")
        if not _LETTER(name):
            continue
        if not colon or not value or value in _TRUE:
            words.add(name)
        else:
            words.add(f"{name}:false" if value in _FALSE else f"{name}:{value}")
    return " ".join(sorted(words, key=lambda word: (word == "*", word)))[:MAX_LENGTH]


def chosen(text: str) -> str:
    """Return the normal form of a scope that somebody may choose freely.

    Raises:
        InvalidInput: it is empty or too long, or a word would lose characters.
    """
    odd = [word for word in text.replace(",", " ").split() if _KEPT.search(word) or not _LETTER(word)]
    if odd:
        raise InvalidInput("scope", f"{odd[0][:64]!r} is no word of a scope; write for example: metrics sessions")
    scope = normal(text)
    if not scope or len(text) > MAX_LENGTH:
        raise InvalidInput("scope", f"must have 1 to {MAX_LENGTH} characters, for example: metrics sessions")
    return scope


@lru_cache(4096)
def words(scope: str) -> frozenset[str]:
    """Return the words of a scope."""
    return frozenset(scope.split())


def is_named(word: str) -> bool:
    """Tell whether a word is one that no wildcard reaches."""
    return word in NAMED or word.startswith("admin:")


def has(scope: str, word: str) -> bool:
    """Tell whether a whole word that must be named is in *scope*; `admin:*` stands for every `admin:` word."""
    held = words(scope)
    return word in held or (word.startswith("admin:") and "admin:*" in held)


def covers(scope: str, resource: str, permissions: Iterable[str]) -> bool:
    """Tell whether *scope* covers *resource* with all of *permissions*; the first rule that applies decides.

    Source: photoprism-contract section 10, rules 1 to 7. Words that must be named are never covered here.
    """
    if is_named(resource):
        return False
    needed = permissions if isinstance(permissions, Set) else frozenset(permissions)
    held = words(scope)
    if scope == "*":
        return True
    if scope == "read":
        return needed <= READ
    if f"{resource}:false" in held:
        return False
    if held.isdisjoint((resource, f"{resource}:true", f"{resource}:*", "*")):
        return False
    if not needed:
        return True
    if "read" in held and not needed <= READ:
        return False
    return "write" not in held or needed <= WRITE


def narrows(new: str, old: str) -> bool:
    """Tell whether *new* reaches less than *old* somewhere; where that is hard to say, it does."""
    if old == "read":  # everything, to read; beside another word it means less
        return new not in ("read", "*")
    added = words(new) - words(old)
    restricted = any(word in ("read", "write") or word.endswith(":false") for word in added)
    return restricted or narrowed(old, new) is None


def narrowed(asked: str, allowed: str) -> str | None:
    """Return *asked* in normal form if *allowed* has each of its words, *allowed* itself if nothing is asked.

    `*` in *allowed* allows every word but those that must be named.

    Returns:
        The scope to grant; None if *asked* exceeds *allowed* (RFC 6749 §5.2 invalid_scope).
    """
    if not asked:
        return allowed
    wanted = normal(asked)
    if not wanted:
        return None
    held = words(allowed)
    for word in words(wanted):
        if has(allowed, word) or ("*" in held and not is_named(word) and f"{word}:false" not in held):
            continue
        return None
    return wanted
