"""Fixtures: rooms and a cable between them; where this user may have no namespaces, tests say so and are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rig.namespaces import Building, NoRoom, Room, building


@dataclass
class Wire:
    """A cable: what is sent out of `voices` in `phones` comes in at `mirror` in `recorder`."""

    building: Building
    phones: Room
    recorder: Room


@pytest.fixture
def house() -> Iterator[Building]:
    with building() as made:
        try:
            made.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        yield made


@pytest.fixture
def wire(house: Building) -> Wire:
    recorder, phones = house.rooms["recorder"], house.room("phones")
    house.cable(phones, "voices", recorder, "mirror")
    return Wire(house, phones, recorder)
