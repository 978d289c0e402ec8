"""A short, repeatable run of the fuzzing of the pipeline beside this file."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from random import Random
from typing import Final

import pytest

FUZZ: Final = runpy.run_path(str(Path(__file__).with_name("fuzz_pipeline.py")))
ROUNDS: Final = int(os.environ.get("FUZZ_ROUNDS", "6"))


@pytest.mark.parametrize("name", FUZZ["STORIES"])
def test_damaged_calls_break_nothing(name: str) -> None:
    random = Random(name)
    frames = FUZZ["thinned"](FUZZ["STORIES"][name](), random)

    FUZZ["fuzz_pipeline"](FUZZ["packed"](frames))
    for _ in range(ROUNDS):
        FUZZ["fuzz_pipeline"](FUZZ["packed"](FUZZ["mutated"](frames, random)))


def test_bytes_of_any_kind_break_nothing() -> None:
    random = Random(1)

    for _ in range(ROUNDS):
        FUZZ["fuzz_pipeline"](random.randbytes(3000))
