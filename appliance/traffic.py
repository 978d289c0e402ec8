"""What the interfaces of this machine receive now: to find the one that the switch mirrors to.

Counters are the kernel's (/sys/class/net/NAME/statistics); a rate is the difference of two looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SYSTEM: Final = Path("/sys/class/net")
_AGAIN_S: Final = 0.5  # looks that are closer together than this tell nothing
_NAMES: Final = {"packets": "rx_packets", "size_bytes": "rx_bytes", "drops": "rx_dropped"}


@dataclass(frozen=True, slots=True)
class Counters:
    """Of one interface since it came up. speed_mbit: None where the driver does not say."""

    packets: int
    size_bytes: int
    drops: int
    state: str
    speed_mbit: int | None


def read_counters(system: Path = SYSTEM) -> dict[str, Counters]:
    """Return the counters of all interfaces, by name."""
    found = {}
    for folder in sorted(system.iterdir()):
        try:
            counts = {name: int((folder / "statistics" / file).read_text()) for name, file in _NAMES.items()}
            state = (folder / "operstate").read_text().strip()
        except (OSError, ValueError):
            continue  # it went away while we looked, or is none (bonding_masters)
        found[folder.name] = Counters(**counts, state=state, speed_mbit=_speed(folder))
    return found


def _speed(folder: Path) -> int | None:
    try:
        speed = int((folder / "speed").read_text())
    except (OSError, ValueError):
        return None
    return speed if speed > 0 else None


class Traffic:
    """Rates between one look and the one before. Several who look share them."""

    def __init__(self, system: Path = SYSTEM) -> None:
        self._system = system
        self._before: tuple[float, dict[str, Counters]] | None = None
        self._rates: dict[str, tuple[float, float]] = {}

    def look(self, now_s: float) -> list[dict[str, Any]]:
        """Return each interface with packets and bits a second; null at the first look. now_s: monotonic."""
        counters = read_counters(self._system)
        before = self._before
        if before is None or now_s - before[0] >= _AGAIN_S:
            if before is not None:
                self._rates = _rates(before[1], counters, now_s - before[0])
            self._before = (now_s, counters)
        return [_shown(name, one, self._rates.get(name)) for name, one in counters.items()]


def _rates(before: dict[str, Counters], now: dict[str, Counters], took_s: float) -> dict[str, tuple[float, float]]:
    return {
        name: (
            max(0, one.packets - before[name].packets) / took_s,
            max(0, one.size_bytes - before[name].size_bytes) * 8 / took_s,
        )
        for name, one in now.items()
        if name in before
    }


def _shown(name: str, one: Counters, rate: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "name": name,
        "state": one.state,
        "speed_mbit": one.speed_mbit,
        "packets": one.packets,
        "drops": one.drops,
        "packets_per_s": round(rate[0], 1) if rate is not None else None,
        "bits_per_s": round(rate[1]) if rate is not None else None,
    }
