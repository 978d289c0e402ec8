"""Which gates nothing decides: said loudly, since nothing of their calls would ever be recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from announced import ANOTHER, Archive, configured, enrol

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.openers import undecided
from vittne.appliance.announcements.sounds import sound_path

Vittne = Callable[..., tuple[int, str, str]]
NOTICE = ReferenceHandle("a" * 64, "welcome", "notice")
ASKS = ReferenceHandle("b" * 64, "asks", "consent", agree="1", refuse="2", within_s=10.0)
ELSEWHERE = ReferenceHandle("c" * 64, "welcome", "notice", sites=("berlin",))
ONLY_SEEN = ReferenceHandle("d" * 64, "jingle", "other")
SAID = '[[rules]]\nname = "pbx"\non = "request"\nheader = "X-Said"\nvalue = "1"\nthen = "{}"\nanyone = true\n'


def gate(kind: str, *more: str) -> str:
    return "\n".join(['[[record]]\nname = "hotline"', f'gate = "{kind}"', *more]) + "\n"


@pytest.mark.parametrize(
    ("text", "usable", "is_decided"),
    [
        (gate("after-announcement"), [], False),
        (gate("after-announcement"), [NOTICE], True),
        (gate("after-announcement"), [ASKS], True),
        (gate("after-announcement"), [ONLY_SEEN], False),
        (gate("after-announcement", 'announcements = ["other"]'), [NOTICE], False),
        (gate("after-announcement", 'announcements = ["welcome"]'), [NOTICE], True),
        (gate("after-announcement", 'site = "hamburg"'), [ELSEWHERE], False),
        (gate("after-announcement", 'site = "berlin"'), [ELSEWHERE], True),
        (gate("after-announcement") + SAID.format("announced"), [], True),
        (gate("after-announcement") + "[analysis]\nwindow_s = 0\n", [], True),
        (gate("after-announcement", 'announcements = ["welcome"]') + "[analysis]\nwindow_s = 0\n", [NOTICE], False),
        (gate("after-consent"), [NOTICE], False),
        (gate("after-consent"), [ASKS], True),
        (gate("after-consent", 'consent_key = "1"'), [], True),
        (gate("after-consent") + SAID.format("announced"), [], False),
        (gate("discard-on-objection"), [], True),
        (gate("discard-on-objection", 'announcements = ["asks"]'), [NOTICE], False),
        (gate("discard-on-objection", 'announcements = ["asks"]'), [ASKS], True),
        (gate("from-start"), [], True),
        ("", [], True),
    ],
)
def test_a_gate_is_decided_by_what_is_left(text: str, usable: list[ReferenceHandle], is_decided: bool) -> None:
    config = configured(text)

    found = undecided(config, config.rules, config.analysis.listen_ns > 0, usable)

    assert [one.rule for one in found] == ([] if is_decided else ["hotline"])


def test_the_list_names_gates_that_nothing_opens_and_sounds_that_are_gone(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", gate("after-announcement", 'announcements = ["night"]'))
    options = ["--data", archive.data, "--config", archive.config()]
    none = vittne("announcement", "list", *options)
    registrar = archive.registrar()
    reference = enrol(registrar, "night", "en", ANOTHER)
    registrar.close()
    there = vittne("announcement", "list", *options)
    sound_path(archive.data, reference).write_bytes(b"not it")
    status, out, error = vittne("announcement", "list", *options, "--json")

    assert none[0] == 1
    assert "the gate after-announcement of rule hotline" in none[2]
    assert "its calls are not recorded" in none[2]
    assert (there[0], there[2]) == (0, "")
    listed: list[dict[str, Any]] = json.loads(out)
    problems = {one["name"]: one["problem"] for one in listed}
    assert problems == {"welcome-en": "", "night": "its sound is not what its hash says"}
    assert (status, "rule hotline" in error) == (1, True)
