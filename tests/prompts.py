"""Prompts that espeak-ng speaks, as sound files, and calls in which they are played."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
from builders import Scenario, sdp
from scenarios.basic import pair

I16 = npt.NDArray[np.int16]

NOTICE = "This call may be recorded for quality and training purposes. If you do not agree, please tell our agent."
OTHER = "All our lines are busy at the moment. Please hold, and somebody will be with you shortly."
SIBLING = "This call may be recorded for quality and training purposes. Press one to agree to the recording now."


@functools.cache
def speech(text: str, voice: str = "en-us+f3") -> I16:
    """Return (n,) at 8000 Hz of a text, with half a second of silence at both ends."""
    wav = subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "--stdout", text], check=True, capture_output=True)
    to_8000 = ["sox", "-V1", "-t", "wav", "-", "-r", "8000", "-c", "1", "-t", "s16", "-", "pad", "0.5", "0.5"]
    raw = subprocess.run(to_8000, input=wav.stdout, check=True, capture_output=True)
    return np.frombuffer(raw.stdout, "<i2")


def write_wav(path: Path, samples: I16, *effects: str) -> Path:
    """Write samples as a sound file of the kind that the name says, through SoX."""
    raw = ["-t", "s16", "-r", "8000", "-c", "1", "-"]
    subprocess.run(["sox", "-V1", *raw, str(path), *effects], input=samples.tobytes(), check=True)
    return path


def calls(said: list[list[I16]], codec: str = "PCMU") -> Scenario:
    """A call for each list: its pieces are what bob says, one after the other; alice speaks another voice."""
    scenario = Scenario("announcements")
    alice, bob = pair(scenario)
    at = 0.0
    for pieces in said:
        theirs = np.concatenate(pieces)
        seconds = len(theirs) / 8000
        mine = np.resize(
            speech("I would like to ask about my last order. It has not come yet.", "en-gb+m3"), len(theirs)
        )
        dialog = scenario.dialog(alice, bob)
        offer, answer = (sdp(end.ip, end.rtp_port, (codec,)) for end in (alice, bob))
        answered = dialog.set_up(at, offer=offer, answer=answer)
        scenario.voice(alice, bob, answered + 0.01, seconds, call=dialog.call, codec=codec, pcm=mine)
        scenario.voice(bob, alice, answered + 0.017, seconds, call=dialog.call, codec=codec, pcm=theirs)
        dialog.bye(answered + seconds + 0.1)
        at = answered + seconds + 5
    return scenario
