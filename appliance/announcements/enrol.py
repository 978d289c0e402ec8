"""From a sound file to what is kept of it: decoded, cut where asked, silence around it left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.announcements.decode import SoundFile, decode
from vittne.appliance.announcements.measure import Measures, measure, refuse_unfit
from vittne.appliance.announcements.terms import LONGEST_MS, RATE, SHORTEST_MS, BadTerms
from vittne.appliance.hearing.reference import Reference
from vittne.codecs.base import I16

Seconds = tuple[float, float]
_SLACK_S: Final = 0.5  # that a required stretch may reach into the silence that is left out


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sound ready to be enrolled. cut_ms: which part of its file it is. required_ms: within the sound."""

    file: SoundFile
    samples: I16
    cut_ms: tuple[int, int]
    required_ms: tuple[tuple[int, int], ...]
    measures: Measures

    @property
    def reference(self) -> Reference:
        """As the detector takes it."""
        return Reference(self.samples, tuple((begin / 1000, end / 1000) for begin, end in self.required_ms))

    def facts(self) -> dict[str, Any]:
        """Return what is said of it in an order."""
        return {"file": self.file.name, "file_sha256": self.file.sha256, "cut_ms": list(self.cut_ms)}


def prepare(
    path: Path,
    from_s: float | None = None,
    until_s: float | None = None,
    required: Sequence[Seconds] = (),
    anyway: bool = False,
) -> Prepared:
    """Return what is kept of a file. from_s, until_s, required: seconds of the file.

    anyway: although it does not sound like speech. Raises BadSound, BadTerms, Unfit.
    """
    file = decode(path)
    whole = file.mono
    begin, end = int((from_s or 0.0) * RATE), len(whole) if until_s is None else min(int(until_s * RATE), len(whole))
    if not 0 <= begin < end:
        raise BadTerms(f"nothing is left: the file has {len(whole) / RATE:.1f} s", path, "look at --from and --until")
    if file.is_cut and until_s is None:
        what = f"the file is longer than {len(whole) / RATE / 60:.0f} minutes"
        raise BadTerms(what, path, "say which part is the announcement: --from, --until")
    measures = measure(whole[begin:end], begin / RATE)
    refuse_unfit(measures, str(path), anyway)
    first = begin + round(measures.begin_s * RATE)
    last = begin + round(measures.end_s * RATE)
    samples = whole[first:last].copy()
    length_ms = len(samples) * 1000 // RATE
    if not SHORTEST_MS <= length_ms <= LONGEST_MS:
        what = f"an announcement has {SHORTEST_MS // 1000} to {LONGEST_MS // 1000} s, this one {length_ms / 1000:.1f}"
        raise BadTerms(what, path, "--from and --until cut it out of a longer file")
    cut_ms = (first * 1000 // RATE, last * 1000 // RATE)
    return Prepared(file, samples, cut_ms, within(required, cut_ms[0], length_ms, path), measures)


def within(
    required: Sequence[Seconds], begin_ms: int, length_ms: int, where: Path | str
) -> tuple[tuple[int, int], ...]:
    """Return seconds of a file as milliseconds of the sound that was cut out of it. Raises BadTerms."""
    found = []
    for one, other in required:
        begin, end = round(one * 1000) - begin_ms, round(other * 1000) - begin_ms
        if not (-_SLACK_S * 1000 <= begin < end <= length_ms + _SLACK_S * 1000):
            span = f"{begin_ms / 1000:.2f} to {(begin_ms + length_ms) / 1000:.2f}"
            raise BadTerms(f"{one:g}-{other:g} is not in the announcement ({span} s)", where, "mend --require")
        found.append((max(begin, 0), min(end, length_ms)))
    return tuple(sorted(found))
