"""Snapshots of another version: every class that can make one unreadable is in the fingerprint."""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from building.playing import blocks_of
from scenarios.catalogue import ALL

from vittne.appliance.service import shapes
from vittne.appliance.snapshot import Freezer
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline


def classes_in(data: bytes) -> set[str]:
    """Return what a pickle names, as module.name."""
    strings: list[str] = []
    found = set()
    for code, argument, _ in pickletools.genops(data):
        if isinstance(argument, str):
            strings.append(argument)
        if code.name == "STACK_GLOBAL":
            found.add(f"{strings[-2]}.{strings[-1]}")
        elif code.name == "GLOBAL":
            found.add(str(argument).replace(" ", "."))
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_class_of_ours_in_a_snapshot_is_in_the_fingerprint(name: str) -> None:
    known = {shape for shape, _ in shapes.shapes()}

    frames = ALL[name]().frames()
    pipeline = Pipeline()
    for block in blocks_of(frames[: 3 * len(frames) // 4], SECOND):  # calls are up
        pipeline.feed(block)
    named = classes_in(b"".join(Freezer().freeze(pipeline)))

    ours = {one for one in named if one.startswith("vittne.")}
    assert ours
    assert ours <= known


def test_members_that_are_added_or_renamed_change_what_is_compared() -> None:
    @dataclass
    class One:
        a: int
        b: list[int] = field(default_factory=list)

    @dataclass
    class Two:
        a: int
        c: list[int] = field(default_factory=list)

    class Pair(NamedTuple):
        x: int
        y: int

    class Plain:
        def __init__(self) -> None:
            self.one = 1

    class Slotted:
        __slots__ = ("left", "right")

    assert [shapes.members(shape) for shape in (One, Two, Pair, Plain, Slotted)] == [
        ("a", "b"),
        ("a", "c"),
        ("x", "y"),
        ("one",),
        ("left", "right"),
    ]


def test_the_fingerprint_is_the_same_whoever_asks_first() -> None:
    assert len(shapes.fingerprint()) == 8
    shapes.fingerprint.cache_clear()
    assert shapes.fingerprint() == shapes.fingerprint()
