"""The packets in a canary's recording, held against those that were sent. Pure: values in, checks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vittne.appliance.canary.expected import ExpectedVoice
from vittne.appliance.canary.script import SAMPLES, TABLES
from vittne.appliance.seal.verdict import Check, fails, holds
from vittne.codecs.base import I16

_CLOCK_NS: Final = 250_000_000  # between sending and the kernel's own time of a packet
_RTP_HEADER: Final = 12


@dataclass(slots=True)
class StoredVoice:
    """What a recording holds of one SSRC: RTP packets without extensions, with when each came (ns UTC)."""

    packets: list[bytes] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)


def content_checks(wanted: Sequence[ExpectedVoice], stored: Mapping[int, StoredVoice]) -> list[Check]:
    """Return checks: complete, audio, timestamps. stored: by SSRC."""
    return [_complete(wanted, stored), _audio(wanted, stored), _timestamps(wanted, stored)]


def _complete(wanted: Sequence[ExpectedVoice], stored: Mapping[int, StoredVoice]) -> Check:
    strange = set(stored) - {one.ssrc for one in wanted}
    if strange:
        return fails("complete", f"{len(strange)} voices are in it that were never sent")
    words = []
    for one in wanted:
        found = stored.get(one.ssrc, StoredVoice())
        numbers = [int.from_bytes(packet[2:4]) for packet in found.packets]
        missing = len(set(_numbers(one)) - set(numbers))
        twice = len(numbers) - len(set(numbers))
        if missing or twice:
            words.append(f"{one.party}: {missing} of {len(one.payloads)} packets are missing, {twice} are there twice")
    if words:
        return fails("complete", "; ".join(words))
    counts = " and ".join(f"{len(one.payloads)} of the {one.party}" for one in wanted)
    return holds("complete", f"every packet that was sent is in it, once: {counts}")


def _numbers(one: ExpectedVoice) -> list[int]:
    return [(one.sequence + number) & 0xFFFF for number in range(len(one.payloads))]


def _audio(wanted: Sequence[ExpectedVoice], stored: Mapping[int, StoredVoice]) -> Check:
    """Both are laid on the line of RTP's timestamps and compared sample by sample."""
    for one in wanted:
        sent = decoded(b"".join(one.payloads), one.codec)
        heard, is_odd = laid_out(one, stored.get(one.ssrc, StoredVoice()))
        if is_odd:
            return fails("audio", f"{one.party}: packets say another time or size than they were sent with")
        differing = int(np.count_nonzero(sent != heard))
        if differing:
            words = f"{one.party}: {differing} of {len(sent)} samples differ from what was sent"
            return fails("audio", f"{words} (correlation {alike(sent, heard):.3f})")
    return holds("audio", "what was said is in it, sample by sample")


def laid_out(one: ExpectedVoice, found: StoredVoice) -> tuple[I16, bool]:
    """Return what is stored on the line of what was sent, silence where nothing is; and whether a packet is off it."""
    line = np.zeros(len(one.payloads) * SAMPLES, np.int16)
    for packet in found.packets:
        place = (int.from_bytes(packet[4:8]) - one.timestamp) & 0xFFFFFFFF
        samples = decoded(packet[_RTP_HEADER:], one.codec)
        if place + len(samples) > len(line):
            return line, True
        line[place : place + len(samples)] = samples
    return line, False


def decoded(payload: bytes, codec: str) -> I16:
    """Return G.711 as samples."""
    return np.asarray(TABLES[codec][np.frombuffer(payload, np.uint8)], np.int16)


def alike(one: I16, other: I16) -> float:
    """Return the correlation of two sounds of one length; 0 where one is silent."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _timestamps(wanted: Sequence[ExpectedVoice], stored: Mapping[int, StoredVoice]) -> Check:
    """The kernel's time of each packet, held against the time at which it was handed over."""
    most = compared = 0
    for one in wanted:
        found = stored.get(one.ssrc, StoredVoice())
        sent = dict(zip(_numbers(one), one.sent_ns, strict=True))
        for packet, at_ns in zip(found.packets, found.at_ns, strict=True):
            went = sent.get(int.from_bytes(packet[2:4]))
            if went is not None:
                most, compared = max(most, abs(at_ns - went), key=abs), compared + 1
    if not compared:
        return fails("timestamps", "no packet is there whose time could be looked at")
    words = f"a packet's time is at most {most / 1e6:.1f} ms from when it was sent"
    if most > _CLOCK_NS:
        return fails("timestamps", f"{words}: was the clock set, or is the machine overloaded?")
    return holds("timestamps", words)
