"""Fuzzing of the whole of capture: frames of small calls, damaged, through the pipeline.

`fuzz_pipeline` takes any bytes as a list of frames and raises when something that must hold does not: no fault of
ours, no record of a call that does not exist, every call closed once, every answered dialog with one outcome,
no digit in what is stored, and all tables empty again when everything is over.

With coverage guidance (`pip install atheris`): python tests/fuzz/fuzz_pipeline.py -max_total_time=60
Without, from seeds with random changes: see test_fuzz_pipeline.py beside this file.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from random import Random
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders import START_NS, Frame, Scenario
from building.playing import Result, play_frames
from scenarios import basic, changes, digits, field, network, transfers

from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Settings

MOST_FRAMES: Final = 400
_HEAD: Final = struct.Struct("<IH")  # microseconds after the frame before, bytes
STORIES: Final = {
    "basic": lambda: basic.basic_call(0.4),
    "early media": basic.early_media,
    "fork": lambda: transfers.forked(both_sides=True),
    "b2bua": lambda: transfers.b2bua("session-id"),
    "transfer": transfers.attended_transfer,
    "pbx": field.transferred_inside_the_pbx,
    "hold": changes.hold,
    "keys": digits.telephone_events,
    "srtp": basic.encrypted_with_keys,
    "tcp": network.over_tcp,
    "websocket": network.over_websocket,
    "ipv6": lambda: network.over_ipv6(fragment=True),
    "thief": field.ports_named_by_a_thief,
    "again": field.same_stream_again,
}


def packed(frames: list[Frame]) -> bytes:
    """Return frames as the fuzzer's input."""
    found, last = [], START_NS
    for at_ns, frame in frames:
        found.append(_HEAD.pack(max(0, min((at_ns - last) // 1000, 2**32 - 1)), len(frame)) + frame)
        last = at_ns
    return b"".join(found)


def unpacked(data: bytes) -> list[Frame]:
    """Return the frames that any bytes say."""
    found: list[Frame] = []
    at, at_ns = 0, START_NS
    while at + _HEAD.size <= len(data) and len(found) < MOST_FRAMES:
        wait_us, size = _HEAD.unpack_from(data, at)
        at_ns += min(wait_us, 5_000_000) * 1000
        found.append((at_ns, data[at + _HEAD.size : at + _HEAD.size + size % 4096]))
        at += _HEAD.size + size % 4096
    return [frame for frame in found if frame[1]]


def thinned(scenario: Scenario, random: Random) -> list[Frame]:
    """Return a story's frames, most of its RTP left out."""
    signalling = [frame for frame in scenario.frames() if len(frame[1]) > 300 or random.random() < 0.1]
    return signalling[:MOST_FRAMES]


def mutated(frames: list[Frame], random: Random) -> list[Frame]:
    """Return frames with a few changes: bytes, cuts, repeats, order, times, and parts of one in another."""
    frames = list(frames)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(frames))
        at_ns, frame = frames[place]
        match random.randrange(7):
            case 0:
                spot = random.randrange(len(frame))
                frame = frame[:spot] + bytes([random.randrange(256)]) + frame[spot + 1 :]
            case 1:
                frame = frame[: random.randrange(1, len(frame) + 1)]
            case 2:
                at_ns += random.randint(-2, 8) * SECOND
            case 3:
                frames.insert(place, (at_ns, frame))
            case 4:
                frame = frame[:42] + frames[random.randrange(len(frames))][1][42:]
            case 5:
                old, new = random.choice(
                    [(b"tag=a", b"tag=b"), (b"40000", b"50000"), (b"INVITE", b"UPDATE"), (b"200", b"603")]
                )
                frame = frame.replace(old, new)
            case _:
                del frames[place]
                if not frames:
                    return [(START_NS, b"x")]
                continue
        frames[place] = at_ns, frame
    return sorted(frames, key=lambda one: one[0])


def check(result: Result) -> None:
    """Raise when something that must hold does not."""
    pipeline = result.pipeline
    answered = [d for report in result.reports for d in report["details"]["dialogs"] if d["answered_at"]]
    assert sum(pipeline.outcomes.values()) == len(result.reports)
    assert sum(pipeline.dialog_outcomes.values()) == len(answered)
    assert all(d["outcome"] not in ("", "unanswered") for d in answered)
    assert not pipeline.book.calls
    for report in result.reports:
        stored = sum(stream["stored"] for stream in report["streams"])
        written = sum(len(packets) for packets in result.rtp(report).values())
        assert written == stored or not result.kept[report["id"]]
        for stream in report["streams"]:
            assert 0 <= stream["stored"] <= stream["packets"] + stream["duplicates"]
            assert stream["lost"] >= 0


def fuzz_pipeline(data: bytes) -> None:
    """Play any bytes, with commits and without."""
    frames = unpacked(data)
    settings = Settings(media_silence_ns=20 * SECOND, record_unsignalled=len(data) % 2 == 1)
    check(play_frames(frames, settings))
    check(play_frames(frames, settings, at_once=True))


def main() -> None:
    import atheris  # noqa: PLC0415 (only here)

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz_pipeline)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
