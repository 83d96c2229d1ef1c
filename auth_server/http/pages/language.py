"""Which language a page is in: what the client wishes for its person, else what their browser says."""

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

LANGUAGES = ("en", "de")  # the first where nothing fits; the texts in the code are in it
LONGEST = 255  # characters of a list of languages that are looked at


def choose(wanted: str, accepted: str) -> str:
    """Return the language of a page; what cannot be read is passed over, never refused.

    Args:
        wanted: ui_locales, the best first, parted by spaces (OIDC Core §3.1.2.1).
        accepted: the header Accept-Language.
    """
    liked = parse_accept_header(accepted[:LONGEST], LanguageAccept)  # the best first
    tags = (*wanted[:LONGEST].split(), *(tag for tag, quality in liked if quality > 0))
    languages = (tag.replace("_", "-").partition("-")[0].lower() for tag in tags)
    return next((language for language in languages if language in LANGUAGES), LANGUAGES[0])
