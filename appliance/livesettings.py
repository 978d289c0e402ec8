"""What a capture worker is told to work by, and its form for whoever is started next."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from vittne.capture.pause import PauseSettings


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Times in ns."""

    hold_back_ns: int
    commit_ns: int
    media_silence_ns: int
    record_unsignalled: bool
    part_ns: int
    pause: PauseSettings = field(default_factory=PauseSettings)
    agent_headers: tuple[str, ...] = ()
    rules: list[dict[str, Any]] = field(default_factory=list)  # as RuleConfig writes them
    analysis: int = 1  # processes
    keeping: dict[str, Any] = field(default_factory=dict)  # as KeepingConfig writes it
    sampling_key: str = ""  # hex
    listen_ns: int = 0  # of each voice
    detector: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        values: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LiveSettings | None:
        """Return what another version of this program may have written; None when that tells too little."""
        known = {one.name for one in fields(cls)}
        try:
            return _ADAPTER.validate_python({name: value for name, value in values.items() if name in known})
        except ValidationError:
            return None


_ADAPTER: Final = TypeAdapter(LiveSettings)
