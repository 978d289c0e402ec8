"""A short, repeatable run of the SIP fuzzing beside this file."""

from __future__ import annotations

import runpy
from pathlib import Path
from random import Random
from typing import Final

import pytest

FUZZ: Final = runpy.run_path(str(Path(__file__).with_name("fuzz_sip.py")))
ROUNDS: Final = 400


@pytest.mark.parametrize("name", ["message", "sdp", "stream"])
def test_damaged_signalling_gives_values_and_reasons_only(name: str) -> None:
    target, seeds, mutate = FUZZ["TARGETS"][name], FUZZ["SEEDS"][name], FUZZ["mutate"]

    for number, seed in enumerate(seeds):
        target(seed)
        random = Random(number)
        for _ in range(ROUNDS):
            target(mutate(seed, random))
