"""Catalogues of the pages' texts: found in code and templates, translated by people, compiled for the server.

`python tools/translations.py` brings them up to date and says what is not translated yet; `--check` only says.
"""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "auth_server"
FOLDER = PACKAGE / "translations"
LANGUAGES = ("de",)  # beside that of the code
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false", "encoding": "utf-8"}}
NEVER = datetime(2000, 1, 1, tzinfo=UTC)  # the same texts make the same file
NOISE = tuple(
    f'"{name}:'
    for name in (
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)
# Errors that people read on a page are translated by their text (http/pages/error.py).
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "Refusal": None,
    "Forbidden": None,
}


def found() -> Catalog:
    """Return all texts that there are."""
    catalog = Catalog(project="auth-server", charset="utf-8", fuzzy=False)
    for _, _, message, comments, context in extract_from_dir(PACKAGE, METHODS, OPTIONS, KEYWORDS):
        catalog.add(message, None, auto_comments=comments, context=context)
    return catalog


def translated(language: str) -> Catalog:
    """Return a catalogue as it is kept."""
    file = FOLDER / language / "LC_MESSAGES" / "messages.po"
    if not file.exists():
        return Catalog(locale=language)
    with file.open("rb") as opened:
        catalog = read_po(opened, locale=language)
    catalog.creation_date = catalog.revision_date = NEVER
    return catalog


def compiled(catalog: Catalog) -> bytes:
    """Return what the server reads."""
    written = io.BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def mistakes(language: str) -> list[str]:
    """Return what is missing, unsure or left over in a catalogue, and whether its compiled form is of another."""
    catalog, texts = translated(language), found()
    told = []
    for message in texts:
        if not message.id:
            continue
        known = catalog.get(message.id, message.context)
        strings = (known.string,) if known is not None and isinstance(known.string, str) else known and known.string
        if not strings or not all(strings):
            told.append(f"{language}: not translated: {message.id!r}")
        elif known is not None and (known.fuzzy or list(known.check(catalog))):
            told.append(f"{language}: unsure, or with other placeholders: {message.id!r}")
    told += [f"{language}: left over: {one.id!r}" for one in catalog if one.id and texts.get(one.id) is None]
    file = FOLDER / language / "LC_MESSAGES" / "messages.mo"
    if not file.exists() or file.read_bytes() != compiled(catalog):
        told.append(f"{file.relative_to(ROOT)} is of another catalogue; run: python tools/translations.py")
    return told


def renew(language: str) -> None:
    """Add new texts, drop old ones, compile."""
    catalog = translated(language)
    catalog.update(found(), no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    catalog.header_comment = f"# {catalog.locale and catalog.locale.english_name} texts of the pages."
    folder = FOLDER / language / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    write_po(written, catalog, width=110, no_location=True, sort_output=True)
    lines = [line for line in written.getvalue().decode().splitlines(keepends=True) if not line.startswith(NOISE)]
    (folder / "messages.po").write_text("".join(lines))
    (folder / "messages.mo").write_bytes(compiled(translated(language)))


def main(arguments: list[str]) -> int:
    """Return 0 if nothing is missing."""
    for language in LANGUAGES if "--check" not in arguments else ():
        renew(language)
    told = [mistake for language in LANGUAGES for mistake in mistakes(language)]
    print("\n".join(told) or "All texts are translated.")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
