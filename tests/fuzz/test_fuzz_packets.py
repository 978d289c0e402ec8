"""A short run of the packet fuzzing beside this file."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ: Final = runpy.run_path(str(Path(__file__).with_name("fuzz_packets.py")))
BEGINNINGS: Final = [b"", *sorted(FUZZ["MAGICS"]), b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0" + b"\xff" * 8]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_as_frames_have_one_fate_each(data: bytes) -> None:
    FUZZ["fuzz_frames"](data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=400))
def test_any_bytes_as_a_capture_file_give_frames_in_bounds(beginning: bytes, data: bytes) -> None:
    FUZZ["fuzz_files"](beginning + data)
