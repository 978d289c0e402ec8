"""Decoded voices lie where their timestamps say, so that what did not come is a gap."""

from __future__ import annotations

import numpy as np

from vittne.appliance.analysis.messages import Rows
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.voices import Voices
from vittne.capture.columns import SECOND
from vittne.capture.handed import Voice
from vittne.codecs.formats import Format

MILLISECOND = SECOND // 1000


def rows(timestamps: list[int], monos_ms: list[int], *, is_new: bool = True) -> Rows:
    """Packets of 20 ms of PCMA, in order."""
    packets = [b"\x80\x08" + bytes(10) + bytes(160) for _ in timestamps]
    length = np.array([len(packet) for packet in packets], np.int64)
    count = len(packets)
    return Rows(
        np.array(monos_ms, np.int64) * MILLISECOND,
        length,
        np.array(timestamps, np.int64).astype(np.uint32),
        np.zeros(count, np.int32),
        np.arange(count, dtype=np.uint16) + (0 if is_new else 100),
        np.full(count, 8, np.uint8),
        np.cumsum(length) - length,
        np.frombuffer(b"".join(packets), np.uint8),
        [Voice(0, {8: Format("PCMA", 8000)}, (), is_new=True)] if is_new else [],
    )


def heard(voices: Voices, piece: Rows) -> Sound:
    voices.describe(piece.voices)
    sound, findings = voices.decode(piece)
    assert not findings
    return sound


def test_a_packet_that_did_not_come_leaves_a_gap() -> None:
    voices = Voices(lambda number: None)
    sound = heard(voices, rows([1000, 1160, 1480], [0, 20, 60]))

    assert sound.at.tolist() == [0, 160, 480]
    assert heard(voices, rows([1640], [80], is_new=False)).at.tolist() == [640]


def test_timestamps_run_over_their_end() -> None:
    last = (1 << 32) - 160
    assert heard(Voices(lambda number: None), rows([last, 0, 160], [0, 20, 40])).at.tolist() == [0, 160, 320]


def test_a_timestamp_that_leaps_says_nothing_and_arrival_does() -> None:
    sound = heard(Voices(lambda number: None), rows([0, 160, 3_000_000_000, 3_000_000_160], [0, 20, 520, 540]))
    assert sound.at.tolist() == [0, 160, 4160, 4320]
