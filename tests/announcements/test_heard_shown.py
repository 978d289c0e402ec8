"""What was heard is told with its language, wherever it is told: report, catalogue, manifest, API, command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from announced import RULE, WELCOME, Archive, heard, prompt, rec

from vittne.appliance.audio.timeline import line_of
from vittne.appliance.listing.facts import facts_of
from vittne.appliance.listing.search import FoundCall
from vittne.appliance.listing.shown import recording_of_call
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.seal.signing import load_verifier

Vittne = Callable[..., tuple[int, str, str]]


def test_the_language_of_a_prompt_is_told_wherever_it_was_heard(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)

    row = archive.close(1, heard(prompt(language="en"), prompt(after_s=3.0, language="en", elsewhere=True)))

    shown = recording_of_call(FoundCall(row, row, (), facts_of(row, row), ()), (), ())
    assert [(one.name, one.language, one.reference) for one in shown.heard] == [("welcome-en", "en", WELCOME)] * 2
    assert [(one.kind, one.reason) for one in shown.events if one.kind == "announced"] == [
        ("announced", "welcome-en en")
    ]
    marks = [mark for mark in line_of(row, None).marks if mark.name == "welcome-en"]
    assert [(mark.kind, mark.language) for mark in marks] == [("announcement", "en"), ("prompt", "en")]
    manifest, _ = read_manifest(archive.data / row.folder, load_verifier(archive.data / "keys"))
    assert manifest.announcement["language"] == "en"
    _, out, _ = vittne("show", rec(1), "--data", archive.data)
    assert "welcome-en (en) of the callee at +1.0 s: full" in out
    assert "full, which counts at other sites only" in out
    _, out, _ = vittne("show", rec(1), "--json", "--data", archive.data)
    assert [one["language"] for one in json.loads(out)["details"]["heard"]["announcements"]] == ["en", "en"]
