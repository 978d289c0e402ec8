"""The live decoder: one call for one who listens, in a process of its own that can reach nothing (DESIGN 3).

    python -m vittne.appliance.live.process FD REACH_MS MUTE

FD is a socket to the recorder: turns of the worker's tap come in, blocks of sound go out (messages.py). MUTE names the
sides that are not heard, such as 10. It reads what anybody sent with decoders in C, so it may break: then who listens
hears no more, and nothing else happens.
"""

from __future__ import annotations

import gc
import socket
import struct
import sys

from vittne.appliance.analysis.child import rehearsal
from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.analysis.voices import Voices
from vittne.appliance.live.messages import MOST_BYTES, READY, parse
from vittne.appliance.live.sound import LiveSound

_REACH_MS = 1_000_000


def rehearse() -> None:
    """Do once what will be done, so that every module and library is loaded while files can be opened."""
    rows = rehearsal()
    voices = Voices(lambda _: None)
    voices.describe(rows.voices)
    sound, _ = voices.decode(rows)
    ToneListener().hear(sound)


def serve(channel: socket.socket, sound: LiveSound) -> None:
    """Decode until the recorder lets go."""
    while message := channel.recv(MOST_BYTES):
        try:
            told = parse(message)
        except (ValueError, KeyError, TypeError, IndexError, struct.error):
            continue  # the worker reads what anybody sent, too
        for block in sound.feed(told):
            channel.sendall(block.pack())


def main(fd: int, reach_ms: int, mute: str) -> int:
    """Rehearse, then serve the recorder at the other end of a socket."""
    close_all_but({fd})
    rehearse()
    enclose()
    gc.freeze()
    with socket.socket(fileno=fd) as channel:
        channel.sendall(READY)
        serve(channel, LiveSound(reach_ms * _REACH_MS, (mute[0] == "1", mute[1] == "1")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
