"""Real voices: the sound of other people's calls, where a folder of captures is at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from analysis.followed import listening

from vittne.appliance.analysis.messages import Written, read
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.voices import Voices
from vittne.capture.columns import SECOND
from vittne.capture.pcapfile import CaptureFile
from vittne.capture.pipeline import Pipeline
from vittne.capture.slab import SlabRing

FOLDER: Final = Path(__file__).resolve().parents[3] / "shared" / "captures"


def sounds_of(capture: Path, first: int) -> list[Sound]:
    """Return what is to be heard of a capture file, in turns of a second. first: the number of its first voice."""
    pipeline, voices = Pipeline(listening()), Voices(lambda _: None)
    found: list[Sound] = []
    for block in CaptureFile(str(capture), SlabRing(64 << 20)).blocks():
        assert block is not None, "a capture that is larger than the slab"
        pipeline.feed(block)
        handover, now = pipeline.handover, pipeline.now_mono
        for piece in [*handover.take(now), *handover.take_aside(now)]:
            written = Written(piece)
            memory = np.zeros(written.size, np.uint8)
            written.write(memory, pipeline.buffers)
            rows = read(memory)
            voices.describe(rows.voices)
            sound, _ = voices.decode(rows)
            second = (sound.mono_ns - int(rows.mono_ns[0])) // SECOND
            moved = replace(sound, number=sound.number + np.int32(first))
            found += [part(moved, second == one) for one in np.unique(second).tolist()]
    return found


def part(sound: Sound, which: np.typing.NDArray[np.bool_]) -> Sound:
    """Return some packets of a sound."""
    names = ("number", "mono_ns", "begin", "length", "at")
    listen = None if sound.listen is None else sound.listen[which]
    return replace(sound, listen=listen, **{name: getattr(sound, name)[which] for name in names})


def joined(sounds: list[Sound]) -> Sound:
    """Return sounds of different voices as one."""
    before = np.cumsum([0, *(len(one.samples) for one in sounds)])
    return Sound(
        np.concatenate([one.number for one in sounds]),
        np.concatenate([one.mono_ns for one in sounds]),
        np.concatenate([one.begin + at for one, at in zip(sounds, before, strict=False)]),
        np.concatenate([one.length for one in sounds]),
        np.concatenate([one.samples for one in sounds]),
        np.concatenate([one.at for one in sounds]),
        np.concatenate([np.ones(len(one.number), np.bool_) if one.listen is None else one.listen for one in sounds]),
    )
