"""Real traffic, when it is there: a folder of captures beside this checkout, with the truth about each.

The captures are other people's data and are not in this repository. The tool that holds a recorder against
them lies beside them; its check() is used here on calls that are recorded in this process.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.capture.pipeline import Settings

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"
TOOL = FOLDER.parent / "tools" / "check_captures.py"
TRUTH: dict[str, Any] = json.loads((FOLDER / "TRUTH.json").read_text()) if (FOLDER / "TRUTH.json").exists() else {}


def tool() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("check_captures", str(TOOL))
    spec = importlib.util.spec_from_loader("check_captures", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def recorded(capture: Path, data: Path) -> list[dict[str, Any]]:
    registrar = Registrar(data)
    try:
        summary = FileRun(registrar, Settings(), slab_bytes=32 << 20).run([str(capture)], "test")
    finally:
        registrar.close()
    assert not summary.faults
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [row.as_json() for row in catalogue.list_calls(Search(unanswered=True))]


def is_wrong(truth: dict[str, Any], kind: str, note: str) -> bool:
    """Whether the truth itself cannot be: a stream that began after the BYE of the call it is given to (its port
    was used again by the next call), or a caller's seat for the first offer where the callee made it (RFC 3264:
    the INVITE had none)."""
    for call in truth["calls"]:
        if not note.startswith(call["call_id"]):
            continue
        if kind == "seat":
            first = next((media for media in call["media"] if media[0] == "audio"), None)
            return first is not None and first[1] == call["dst"]
        for stream in call.get("rtp", []):
            if f"SSRC {stream['ssrc']}" in note and call.get("end_t"):
                return bool(stream["start"] > call["end_t"])
    return False


def test_the_folder_of_captures_is_there_or_it_is_said() -> None:
    if not TRUTH:
        warnings.warn(f"no captures in {FOLDER}: nothing was held against real traffic", stacklevel=1)


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_capture_is_recorded_as_the_truth_says(name: str, tmp_path: Path) -> None:
    calls = recorded(FOLDER / name, tmp_path)

    missed = [(kind, note) for kind, held, note in tool().check(TRUTH[name], calls) if not held]

    assert [miss for miss in missed if not is_wrong(TRUTH[name], *miss)] == []
