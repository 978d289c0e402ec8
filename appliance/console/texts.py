"""The console's words in other languages: languages/LANGUAGE.po, as translators know them. English is in templates."""

from __future__ import annotations

import gettext
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from babel.core import negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).parent / "languages"
ENGLISH: Final = "en"


class Texts(gettext.NullTranslations):
    """One language. What is not translated stays English."""

    def __init__(self, language: str, catalog: Catalog | None = None) -> None:
        super().__init__()
        self.language = language
        self._one: dict[str, str] = {}
        self._several: dict[str, list[str]] = {}
        self._form = gettext.c2py(catalog.plural_expr) if catalog is not None else lambda n: int(n != 1)
        for message in catalog or ():
            if isinstance(message.id, (tuple, list)):
                forms = message.string if isinstance(message.string, (tuple, list)) else ()
                if forms and all(forms):
                    self._several[message.id[0]] = list(forms)
            elif message.id and message.string:
                self._one[message.id] = str(message.string)

    def gettext(self, message: str) -> str:
        """Return a text in this language."""
        return self._one.get(message, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return the text for so many."""
        forms = self._several.get(msgid1)
        if forms is None:
            return msgid1 if n == 1 else msgid2
        return forms[min(self._form(n), len(forms) - 1)]


def read_texts(folder: Path = FOLDER) -> dict[str, Texts]:
    """Return all languages by their tags."""
    found = {ENGLISH: Texts(ENGLISH)}
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            found[path.stem] = Texts(path.stem, read_po(file, locale=path.stem))
    return found


def chosen(wanted: str, accepted: str, known: Iterable[str]) -> str:
    """Return the language for somebody: what they chose, else what their browser asks for, else English.

    >>> known = ["en", "de", "sv"]
    >>> chosen("", "sv-SE,sv;q=0.9,en;q=0.8", known), chosen("de", "sv", known), chosen("", "fr", known)
    ('sv', 'de', 'en')
    """
    tags = [tag.partition(";")[0].strip().replace("-", "_") for tag in accepted.split(",")[:16]]
    asked = [wanted, *tags] if wanted else tags
    return negotiate_locale([tag for tag in asked if tag.replace("_", "").isalnum()], list(known)) or ENGLISH
