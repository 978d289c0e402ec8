"""Every text of the console is there in every language, and says the same things about the same values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.pofile import read_po

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.api import approvals
from vittne.appliance.beside import console_pages
from vittne.appliance.compliance import attention
from vittne.appliance.console.render import HERE
from vittne.appliance.console.texts import FOLDER, chosen, read_texts
from vittne.appliance.doctor import call_checks, card_checks, machine_checks, traffic_checks
from vittne.appliance.events.alarmlist import ALARMS

LANGUAGES = ("de", "es", "sv")
NAVIGATION = {
    text for page in console_pages() if page.item is not None for text in (page.item.label, page.item.group) if text
}
_VALUE = re.compile(r"%\((\w+)\)[sd]")


def wanted() -> set[str]:
    """All texts of the templates, and those that code hands over to be translated."""
    found = extract_from_dir(
        HERE / "templates",
        [("**.html", "jinja2")],
        {"**.html": {"trimmed": "true", "encoding": "utf-8"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2)},
    )
    sources = (str(one.__file__) for one in (attention, call_checks, card_checks, machine_checks, traffic_checks))
    names = {"said": None, "counted": (1, 2)}
    code = [one for path in sources for one in extract_from_file("python", path, keywords=names)]
    texts = set(ALARMS)
    for message in (*(one[2] for one in found), *(one[1] for one in code)):
        texts |= {message} if isinstance(message, str) else {message[0]}
    return texts | set(SCOPES.values()) | NAVIGATION | set(approvals.WORDS.values())


def catalog(language: str) -> Catalog:
    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    known = {}
    for message in catalog(language):
        name = message.id if isinstance(message.id, str) else message.id[0]
        known[name] = message
    missing = sorted(text for text in wanted() if not known.get(text) or not known[text].string)
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_values_of_the_text(language: str) -> None:
    for message in catalog(language):
        if not message.id:
            continue
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        values = set().union(*(_VALUE.findall(one) for one in ids))
        for one in strings:
            assert set(_VALUE.findall(one)) <= values, ids[0]


def test_a_language_nobody_has_is_english(tmp_path: Path) -> None:
    texts = read_texts()
    assert set(texts) == {"en", *LANGUAGES}
    assert texts[chosen("", "fr-FR,fr;q=0.9", texts)].gettext("Log in") == "Log in"
    assert texts[chosen("", "de-AT,de;q=0.9,en;q=0.8", texts)].gettext("Log in") == "Anmelden"
