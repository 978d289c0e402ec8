"""A reference run over what was recorded, over a capture or a sound file: what would have been said of each party.

Each party is searched by itself, as it will be while calls last; the sound is the one that is exported and played.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vittne.appliance.announcements.decode import decode
from vittne.appliance.announcements.terms import RATE
from vittne.appliance.hearing.detector import Detector, Match
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.opened import OpenedRecording, open_recording
from vittne.appliance.playback import Playback
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.codecs.base import I16
from vittne.codecs.timeline import Rendering, lay_out

PARTIES: Final = ("caller", "callee")
_PIECE_S: Final = 5.0
_HEARD: Final = 32  # peak of samples below which a party was silent
_LONGEST_S: Final = 4 * 3600.0  # searched at most, at 115 MB an hour
_CUT: Final = "only its beginning was searched"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in memory; what is in it is 0700 and ours


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a party of a call. state: "full", "partial", "none"; "silent" when nothing was heard of it."""

    party: str
    state: str
    offset_s: float | None = None
    end_s: float | None = None
    heard_s: tuple[float, float] | None = None
    share: float = 0.0
    required_share: float = 0.0
    score: float = 0.0
    again: int = 0  # times that it was heard besides

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        heard = None if self.heard_s is None else [round(at, 3) for at in self.heard_s]
        shown = {name: getattr(self, name) for name in ("party", "state", "again")}
        shown |= {name: round(getattr(self, name), 3) for name in ("share", "required_share", "score")}
        for name in ("offset_s", "end_s"):
            at = getattr(self, name)
            shown[name] = None if at is None else round(at, 3)
        return {**shown, "heard_s": heard}


@dataclass(frozen=True, slots=True)
class Tried:
    """A call, or a file, that was searched. offset_s in `said` counts from from_us. problem: why it was not."""

    id: str
    from_us: int | None
    searched_s: float = 0.0
    said: tuple[Said, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def state(self) -> str:
        """The best of its parties; "unknown" when nothing could be searched."""
        states = {one.state for one in self.said}
        return next((state for state in ("full", "partial", "none") if state in states), "unknown")

    @property
    def is_miss(self) -> bool:
        """Whether it could be searched and the announcement was not heard whole on either side."""
        return self.state in ("partial", "none")

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "id": self.id,
            "from_at": None if self.from_us is None else rfc3339(self.from_us),
            "searched_s": round(self.searched_s, 3),
            "state": self.state,
            "parties": [one.as_json() for one in self.said],
            "notes": list(self.notes),
            "problem": self.problem,
        }


def try_calls(data_dir: Path, calls: Sequence[CallRow], reference: Reference, window_s: float) -> Iterator[Tried]:
    """Search recordings; the looks are entered before. window_s: of the beginning of each; 0: all of it."""
    detector = Detector([reference])
    for call in calls:
        try:
            yield _try_call(data_dir, call, detector, window_s)
        except StoreError as error:
            yield Tried(call.id, call.started_us, problem=error.what)


def try_captures(paths: Sequence[str], reference: Reference, window_s: float) -> Iterator[Tried]:
    """Record captures as `vittne record --pcap` does, into a folder that is gone afterwards, and search them.

    Raises StoreError: captures that cannot be read.
    """
    from vittne.appliance.registrar import Registrar  # noqa: PLC0415 - here and below: only for captures
    from vittne.appliance.replay import FileRun  # noqa: PLC0415
    from vittne.appliance.version import VERSION  # noqa: PLC0415
    from vittne.capture.pcapfile import CaptureFileError  # noqa: PLC0415
    from vittne.capture.pipeline import Settings  # noqa: PLC0415

    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="vittne-try-", dir=where) as folder:
        data_dir = Path(folder)
        registrar = Registrar(data_dir)
        try:
            FileRun(registrar, Settings()).run(list(paths), VERSION)
        except CaptureFileError as error:
            raise StoreError(str(error), ", ".join(paths), "pcap and pcapng are read") from error
        finally:
            registrar.close()
        with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            calls = [call for call in catalogue.list_calls(Search(unanswered=True)) if call.folder]
        yield from try_calls(data_dir, sorted(calls, key=lambda call: call.started_us), reference, window_s)


def try_sound(path: Path, reference: Reference, window_s: float) -> Tried:
    """Search a sound file; two channels are caller and callee, as in an export. Raises StoreError."""
    sound = decode(path, min(window_s or _LONGEST_S, _LONGEST_S), stereo=True)
    columns = sound.samples.shape[1]
    names = PARTIES if columns == len(PARTIES) else ("sound",)
    detector = Detector([reference])
    said = tuple(_said(name, detector, sound.samples[:, n]) for n, name in enumerate(names))
    notes = (_CUT,) if sound.is_cut and not window_s else ()
    return Tried(path.name, None, len(sound.samples) / RATE, said, notes)


def _try_call(data_dir: Path, call: CallRow, detector: Detector, window_s: float) -> Tried:
    with open_recording(data_dir, call.folder, call.id) as opened:
        return try_opened(opened, call, detector, window_s)


def try_opened(opened: OpenedRecording, call: CallRow, detector: Detector, window_s: float) -> Tried:
    """Search a recording that is open. Raises StoreError."""
    voices = Playback(opened).voices(call)
    rendering = lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns, RATE)
    samples = _beginning(rendering, window_s)
    said = tuple(_said(name, detector, samples[:, n]) for n, name in enumerate(PARTIES))
    notes = [f"{note.track}: {note.reason}" for note in (*voices.notes, *rendering.notes)] + opened.problems
    if len(samples) < rendering.samples and not window_s:
        notes.append(_CUT)
    return Tried(call.id, rendering.from_ns // 1000, len(samples) / RATE, said, tuple(notes))


def _beginning(rendering: Rendering, window_s: float) -> I16:
    """Return (n, 2) of the call's beginning."""
    most = int(min(window_s or _LONGEST_S, _LONGEST_S) * RATE)
    pieces, count = [np.zeros((0, 2), np.int16)], 0
    for piece in rendering.chunks(_PIECE_S):
        pieces.append(piece)
        count += len(piece)
        if count >= most:
            break
    return np.concatenate(pieces)[:most]


def _said(party: str, detector: Detector, samples: I16) -> Said:
    if not len(samples) or int(np.abs(samples.astype(np.int32)).max()) < _HEARD:
        return Said(party, "silent")
    found = detector.search(np.ascontiguousarray(samples))
    if not found:
        return Said(party, "none")
    best = max(found, key=_rank)
    return Said(
        party,
        best.state,
        best.begin,
        best.end,
        (best.heard_from, best.heard_to),
        best.share,
        best.required_share,
        best.score,
        len(found) - 1,
    )


def _rank(match: Match) -> tuple[bool, float]:
    return match.state == "full", match.score
