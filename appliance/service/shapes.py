"""Whether a snapshot that one version of this program wrote can be read by another.

A snapshot is a pickle of what the worker knows. It is read only where the classes in it still have the members that
they had: after an upgrade that changed one of them, recording goes on from the rings alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import pkgutil
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Final

_PACKAGE: Final = "vittne.capture"
_MORE: Final = ("vittne.appliance.memory", "vittne.appliance.recorder", "vittne.appliance.registrar")


@cache
def fingerprint() -> bytes:
    """Return 8 bytes that are others as soon as a class that may be in a snapshot has other members."""
    lines = sorted(f"{name}: {', '.join(members)}" for name, members in shapes())
    return hashlib.sha256("\n".join(lines).encode()).digest()[:8]


def shapes() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the classes that a snapshot may hold, each with its members."""
    package = importlib.import_module(_PACKAGE)
    found = [one.name for one in pkgutil.walk_packages(package.__path__, f"{_PACKAGE}.")]
    for name in (*found, *_MORE):
        for one in vars(importlib.import_module(name)).values():
            if isinstance(one, type) and one.__module__ == name:
                yield f"{name}.{one.__qualname__}", members(one)


def members(shape: type) -> tuple[str, ...]:
    """Return the names by which an object of a class holds what it knows; of an enumeration its values."""
    if dataclasses.is_dataclass(shape):
        return tuple(one.name for one in dataclasses.fields(shape))
    if issubclass(shape, Enum):
        return tuple(f"{one.name}={one.value!r}" for one in shape)
    if fields := getattr(shape, "_fields", None):  # a NamedTuple
        return tuple(fields)
    if slots := vars(shape).get("__slots__"):
        return tuple(slots)
    code = getattr(vars(shape).get("__init__"), "__code__", None)
    return () if code is None else tuple(sorted(set(code.co_names)))  # what it sets is among them
