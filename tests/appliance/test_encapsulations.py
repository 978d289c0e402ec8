"""One call is one call, whatever the mirror wraps it in."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pytest
from building.encapsulation import WRAPPERS
from recordings import record
from scenarios import basic

from vittne.appliance.__main__ import run


def audio_hash(wrapper: str, where: Path) -> tuple[str, int]:
    """Record the basic call in a wrapper; return the hash of its audio, and how many packets are stored."""
    found = record(basic.basic_call(), where, wrapper)
    target = where / "call.wav"
    assert run(["export", found.call.id, "--data", str(found.data), "--format", "wav", "-o", str(target)]) == 0
    return hashlib.sha256(target.read_bytes()).hexdigest(), sum(stream.stored for stream in found.call.streams)


@cache
def plain_hash(where: Path) -> tuple[str, int]:
    return audio_hash("plain", where)


@pytest.mark.parametrize("wrapper", [name for name in WRAPPERS if name != "plain"])
def test_a_wrapped_call_has_the_audio_hash_of_the_plain_one(
    wrapper: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "plain-for-hash"
    folder.mkdir(exist_ok=True)

    assert audio_hash(wrapper, tmp_path) == plain_hash(folder)
