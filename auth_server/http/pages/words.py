"""What scopes and claims mean, in words for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext, lazy_gettext

Text = Any  # a text, or one that is looked up in the language of the page when it is shown


@dataclass(frozen=True, slots=True)
class Wish:
    """What a word of a scope lets a client do."""

    title: Text
    more: Text = ""


# The order is that of the page: first who somebody is, then what is done in their name.
_SCOPES = {
    "openid": Wish(
        lazy_gettext("Know that it is you"),
        lazy_gettext("It learns a number that stands for your account."),
    ),
    "profile": Wish(
        lazy_gettext("See your profile"), lazy_gettext("Your names, and what else you say of yourself, like a picture.")
    ),
    "email": Wish(lazy_gettext("See your email address")),
    "address": Wish(lazy_gettext("See your postal address")),
    "phone": Wish(lazy_gettext("See your phone number")),
    "read": Wish(lazy_gettext("Look at what is yours, and change nothing")),
    "write": Wish(lazy_gettext("Change and add things")),
    "*": Wish(lazy_gettext("Do everything with your data that you can do yourself")),
    "metrics": Wish(lazy_gettext("Read figures about how this server works")),
    "introspect": Wish(lazy_gettext("Ask whether tokens of others are valid")),
    "admin:users": Wish(lazy_gettext("Manage the accounts of this server")),
    "admin:clients": Wish(lazy_gettext("Manage the applications of this server")),
    "admin:sessions": Wish(lazy_gettext("Manage who is signed in at this server")),
    "admin:keys": Wish(lazy_gettext("Manage the keys of this server")),
    "admin:audit": Wish(lazy_gettext("Read what has happened at this server")),
    "admin:*": Wish(lazy_gettext("Manage all of this server")),
    "offline_access": Wish(
        lazy_gettext("Stay connected while you are away"), lazy_gettext("Until you remove its access.")
    ),
}
_CLAIMS = {
    "name": lazy_gettext("full name"),
    "family_name": lazy_gettext("family name"),
    "given_name": lazy_gettext("given name"),
    "middle_name": lazy_gettext("middle name"),
    "nickname": lazy_gettext("nickname"),
    "preferred_username": lazy_gettext("user name"),
    "profile": lazy_gettext("profile page"),
    "picture": lazy_gettext("picture"),
    "website": lazy_gettext("website"),
    "gender": lazy_gettext("gender"),
    "birthdate": lazy_gettext("date of birth"),
    "zoneinfo": lazy_gettext("time zone"),
    "locale": lazy_gettext("language"),
    "updated_at": lazy_gettext("date of the last change to your account"),
    "email": lazy_gettext("email address"),
    "email_verified": lazy_gettext("confirmation of your email address"),
    "address": lazy_gettext("postal address"),
    "phone_number": lazy_gettext("phone number"),
    "phone_number_verified": lazy_gettext("confirmation of your phone number"),
}
_ORDER = {word: place for place, word in enumerate(_SCOPES)}


def in_order(words: frozenset[str]) -> list[str]:
    """Return the words of a scope as people should read them: what is best known first, lasting access last."""
    last = _ORDER["offline_access"]
    return sorted(words, key=lambda word: (_ORDER.get(word, last - 0.5), word))


def scope_text(word: str, own: Mapping[str, Sequence[str]]) -> Wish:
    """Return what a word of a scope means; of one that nobody has explained, the word itself.

    Args:
        own: scopes that stand for claims by a setting.
    """
    known = _SCOPES.get(word)
    if known is not None:
        return known
    if word in own:
        return Wish(
            gettext("See what “%(name)s” stands for", name=word), ", ".join(str(claim_text(one)) for one in own[word])
        )
    name, _, value = word.partition(":")
    if value == "false":
        return Wish(gettext("But nothing with “%(name)s”", name=name))
    if value == "read":
        return Wish(gettext("Look at “%(name)s”", name=name))
    return Wish(gettext("Use “%(name)s”", name=word))


def claim_text(name: str) -> Text:
    """Return what a claim is; of one that nobody has explained, its name."""
    return _CLAIMS.get(name, name.replace("_", " "))
