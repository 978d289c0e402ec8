#!/usr/bin/env python3
"""Realistic load as a capture file: N concurrent calls, signalled in full, RTP both ways, RTCP, in time order.

Callers are telephones with an address each; callees sit behind a few gateways and differ by
port. A *slot* is one telephone's place: it holds one call, or, with `call_s`, one call after
the other over the same ports. Everything per packet is columns; only SIP and RTCP (one frame in
a few hundred) are built one by one. The capture is made and written slice by slice, so memory
does not grow with its length. The same arguments give the same bytes.

    python benchmarks/load.py --calls 500 --packets 3000000 --out load.pcap
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

SECOND: Final = 1_000_000_000
SLICE_NS: Final = SECOND // 4
START_NS: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z: a capture is the same whenever it is made
PCAP_HEADER: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)  # nanoseconds, Ethernet

GATEWAYS: Final = 8
SIP_PORT: Final = 5060
FIRST_RTP_PORT: Final = 16_384
RTCP_PERIOD_NS: Final = 5 * SECOND
POOL_S: Final = 120  # seconds of speech that payloads are cut from, at a place of each stream's own


@dataclass(frozen=True, slots=True)
class Codec:
    """encoding as in SDP; rate in RTP ticks a second; bytes_per_ms of payload, 0 when sizes vary."""

    encoding: str
    payload_type: int
    rate: int
    bytes_per_ms: int
    fmtp: str = ""


CODECS: Final = {
    "pcmu": Codec("PCMU/8000", 0, 8000, 8),
    "pcma": Codec("PCMA/8000", 8, 8000, 8),
    "g729": Codec("G729/8000", 18, 8000, 1, "annexb=no"),
    "opus": Codec("opus/48000/2", 111, 48000, 0, "useinbandfec=1"),
}
NAMES: Final = tuple(CODECS)
MIX: Final = (0.4, 0.4, 0.1, 0.1)  # share of each codec in "mix"
OPUS_TOC: Final = {10: 0x70, 20: 0x78}  # hybrid fullband mono, one frame a packet (RFC 6716 3.1)

# What stands before an RTP payload in the file. Read and written as columns.
HEADER: Final = np.dtype(
    [
        ("seconds", "<u4"),  # of the pcap record
        ("nanoseconds", "<u4"),
        ("captured", "<u4"),
        ("wire", "<u4"),
        ("ethernet", "V14"),
        ("version_tos", ">u2"),
        ("total", ">u2"),
        ("ident", ">u2"),
        ("fragment", ">u2"),
        ("ttl_protocol", ">u2"),
        ("checksum", ">u2"),
        ("src", ">u4"),
        ("dst", ">u4"),
        ("sport", ">u2"),
        ("dport", ">u2"),
        ("udp_length", ">u2"),
        ("udp_checksum", ">u2"),  # 0: none, as RFC 768 allows over IPv4
        ("flags", "u1"),
        ("marker_type", "u1"),
        ("seq", ">u2"),
        ("timestamp", ">u4"),
        ("ssrc", ">u4"),
    ]
)
RECORD_BYTES: Final = 16
RTP_FRAME_BYTES: Final = HEADER.itemsize - RECORD_BYTES  # Ethernet to RTP header
ETHERNET: Final = bytes.fromhex("02005e100001 02005e100002 0800")

CALL: Final = np.dtype([("slot", "<i4"), ("codec", "u1"), ("invite", "<i8"), ("answer", "<i8"), ("end", "<i8")])
STREAM: Final = np.dtype(
    [
        ("src", "<u4"),
        ("dst", "<u4"),
        ("sport", "<u2"),
        ("dport", "<u2"),
        ("ssrc", "<u4"),
        ("seq", "<u2"),
        ("timestamp", "<u4"),
        ("codec", "u1"),
        ("start", "<i8"),
        ("packets", "<i8"),
        ("pool", "<i8"),  # where in its codec's part of the pool this voice begins
    ]
)
Rows = npt.NDArray[Any]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Load:
    """What load to make. `packets` (RTP in all) decides the length when given, else `seconds` of talk."""

    calls: int = 500
    seconds: float = 60.0
    packets: int = 0
    codec: str = "pcmu"
    ptime_ms: int = 20
    call_s: float = 0.0  # mean length of a call; 0: one call a slot, as long as the capture
    stagger_s: float = 2.0  # calls start within so many seconds
    jitter_ms: float = 0.5  # mean of an exponential delay added to each arrival
    loss: float = 0.0  # share of RTP packets that never arrive
    rtcp: bool = True
    seed: int = 1
    start_ns: int = START_NS

    @property
    def talk_ns(self) -> int:
        """How long a slot talks."""
        ptime_ns = self.ptime_ms * 1_000_000
        return self.packets // (2 * self.calls) * ptime_ns if self.packets else int(self.seconds * SECOND)


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames of a stretch of time, in order of arrival. data is the pcap records, ready to be written."""

    data: npt.NDArray[np.uint8]  # (size,)
    at_ns: I64  # (n,) arrival, UTC
    offset: I64  # (n,) first byte of the frame in data, behind its record header
    length: I64  # (n,) bytes of the frame
    rtp_packets: int


def plan_calls(load: Load, rng: np.random.Generator) -> Rows:
    """Return the CALL rows, by time of INVITE; times in ns from the start of the capture."""
    first = rng.uniform(0, load.stagger_s, load.calls)
    if load.call_s <= 0:
        ring = rng.uniform(0.3, 1.0, load.calls)
        answer = first + ring
        slot, invite, end = np.arange(load.calls), first, answer + load.talk_ns / SECOND
    else:
        each = max(2, int(load.talk_ns / SECOND / load.call_s * 2) + 8)
        ring = rng.uniform(0.1, 0.6, (load.calls, each))
        talk = np.maximum(2.0, rng.exponential(load.call_s, (load.calls, each)))
        pause = rng.uniform(0.1, 1.0, (load.calls, each))
        begin = first[:, None] + np.cumsum(ring + talk + pause, axis=1) - (ring + talk + pause)
        keep = begin + 2.0 < load.talk_ns / SECOND
        slot = np.nonzero(keep)[0]
        invite, answer = begin[keep], (begin + ring)[keep]
        end = np.minimum((begin + ring + talk)[keep], load.talk_ns / SECOND)
    calls = np.zeros(len(slot), CALL)
    calls["slot"] = slot
    for name, seconds in (("invite", invite), ("answer", answer), ("end", end)):
        calls[name] = seconds * SECOND
    share = MIX if load.codec == "mix" else [float(name == load.codec) for name in NAMES]
    calls["codec"] = rng.choice(len(NAMES), len(calls), p=share)
    return calls[np.argsort(calls["invite"], kind="stable")]


def plan_streams(load: Load, calls: Rows, rng: np.random.Generator) -> Rows:
    """Return two STREAM rows a call: the caller's at 2 i, the callee's at 2 i + 1."""
    n, ptime_ns = 2 * len(calls), load.ptime_ms * 1_000_000
    streams = np.zeros(n, STREAM)
    slot = calls["slot"].astype(np.int64)
    caller, caller_port = caller_address(slot), FIRST_RTP_PORT + 2 * (slot * 7919 % 16_000)
    callee, callee_port = callee_address(slot), FIRST_RTP_PORT + 2 * (slot // GATEWAYS)
    for side, src, sport, dst, dport in (
        (0, caller, caller_port, callee, callee_port),
        (1, callee, callee_port, caller, caller_port),
    ):
        half = streams[side::2]
        half["src"], half["sport"], half["dst"], half["dport"] = src, sport, dst, dport
        half["codec"] = calls["codec"]
        half["start"] = calls["answer"] + rng.integers(5_000_000, 5_000_000 + ptime_ns, len(calls)) * (2 - side)
    streams["packets"] = np.maximum(0, (np.repeat(calls["end"], 2) - streams["start"]) // ptime_ns)
    if load.call_s <= 0:
        streams["packets"] = load.talk_ns // ptime_ns
        calls["end"] = np.maximum(
            calls["end"], (streams["start"] + streams["packets"] * ptime_ns).reshape(-1, 2).max(1)
        )
    # An odd factor spreads the numbers over all 32 bits and makes every SSRC different.
    streams["ssrc"] = (np.arange(n, dtype=np.uint64) * 2_654_435_761 + int(rng.integers(2**32))) & 0xFFFFFFFF
    streams["seq"] = rng.integers(0, 2**16, n)
    streams["timestamp"] = rng.integers(0, 2**32, n)
    streams["pool"] = rng.integers(0, POOL_S * 8000, n)
    return streams


def caller_address(slot: I64) -> I64:
    """10.1.0.1 and upwards, one a slot."""
    return 0x0A010001 + slot


def callee_address(slot: I64) -> I64:
    """10.200.0.1 to 10.200.0.8: gateways share the callees."""
    return 0x0AC80001 + slot % GATEWAYS


def speech(rng: np.random.Generator, seconds: int) -> npt.NDArray[np.int16]:
    """Return (seconds * 8000,) noise in the shape of speech: its spectrum, syllables, talk spurts and pauses."""
    n = seconds * 8000
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hertz = np.fft.rfftfreq(n, 1 / 8000)
    spectrum *= np.exp(-(((hertz - 500) / 350) ** 2)) + 0.25 * np.exp(-(((hertz - 1700) / 600) ** 2))
    voice = np.fft.irfft(spectrum, n)
    syllables = np.interp(np.arange(n), np.arange(0, n + 1000, 1000), rng.uniform(0.05, 1.0, n // 1000 + 1))
    edges = np.cumsum(rng.uniform(0.4, 2.5, 2 * seconds)) * 8000
    talking = np.searchsorted(edges, np.arange(n)) % 2
    loud = voice / voice.std() * 6000 * syllables * talking + rng.standard_normal(n) * 12
    samples: npt.NDArray[np.int16] = np.clip(loud, -32768, 32767).astype(np.int16)
    return samples


def companding(law: str) -> npt.NDArray[np.uint8]:
    """Return (65536,) uint8: ITU-T G.711 code of every 16-bit sample, indexed by sample + 32768."""
    code = np.arange(256)
    if law == "u":
        bits = ~code & 0xFF
        size = ((((bits & 15) << 3) + 132) << (bits >> 4 & 7)) - 132
        value = np.where(bits & 0x80, -size, size)
    else:
        bits = code ^ 0x55
        exponent = bits >> 4 & 7
        size = np.where(exponent, (((bits & 15) << 4) + 264) << np.maximum(exponent - 1, 0), ((bits & 15) << 4) + 8)
        value = np.where(bits & 0x80, size, -size)
    order = np.argsort(value, kind="stable")
    between = (value[order][1:] + value[order][:-1]) / 2
    return code[order][np.searchsorted(between, np.arange(-32768, 32768))].astype(np.uint8)


def payload_pool(rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], I64]:
    """Return bytes that payloads are cut from, and where each codec's part (POOL_S * 8000 bytes) begins."""
    sample = speech(rng, POOL_S).astype(np.int64) + 32768
    compressed = rng.integers(0, 256, len(sample), np.uint8)  # G.729 and Opus look like noise
    parts = [companding("u")[sample], companding("a")[sample], compressed, compressed]
    room = np.zeros(2048, np.uint8)  # a payload cut at the end of the last part stays inside
    return np.concatenate([*parts, room]), np.arange(len(parts), dtype=np.int64) * len(sample)


def ticks(first: I64, count: I64, period: int, begin: int, end: int) -> tuple[I64, I64]:
    """Return (row, k) of every tick first[row] + k * period, k < count[row], that lies in [begin, end)."""
    low = np.clip(-(-(begin - first) // period), 0, count)
    high = np.clip(-(-(end - first) // period), 0, count)
    number = high - low
    row = np.repeat(np.arange(len(first)), number)
    k = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number) + np.repeat(low, number)
    return row, k


class Generator:
    """Makes the slices of one load."""

    def __init__(self, load: Load) -> None:
        rng = np.random.default_rng(load.seed)
        self.load = load
        self.calls = plan_calls(load, rng)
        self.streams = plan_streams(load, self.calls, rng)
        self._pool, self._pool_base = payload_pool(rng)
        self._ptime_ns = load.ptime_ms * 1_000_000
        self._ticks = np.array([c.rate * load.ptime_ms // 1000 for c in CODECS.values()], np.int64)
        self._size = np.array([c.bytes_per_ms * load.ptime_ms for c in CODECS.values()], np.int64)
        self._type = np.array([c.payload_type for c in CODECS.values()], np.uint8)
        self._sip_at, self._sip_what = plan_signalling(self.calls)
        self.end_ns = int(self.calls["end"].max(initial=0)) + SECOND

    def slices(self) -> Iterator[Slice]:
        late = (np.zeros(0, np.int64),) * 3
        for number, begin in enumerate(range(0, self.end_ns, SLICE_NS)):
            rng = np.random.default_rng([self.load.seed, number])
            now, late = self._arrivals(begin, begin + SLICE_NS, late, rng)
            odd = self._odd_frames(begin, begin + SLICE_NS)
            yield self._assemble(*now, odd, rng)

    def _arrivals(
        self, begin: int, end: int, late: tuple[I64, ...], rng: np.random.Generator
    ) -> tuple[tuple[I64, I64, I64], tuple[I64, I64, I64]]:
        """Return (stream, k, arrival) of the packets that arrive in [begin, end), and of those still under way."""
        stream, k = ticks(self.streams["start"], self.streams["packets"], self._ptime_ns, begin, end)
        if self.load.loss:
            came = rng.random(len(k)) >= self.load.loss
            stream, k = stream[came], k[came]
        delay = rng.exponential(self.load.jitter_ms * 1e6, len(k)).astype(np.int64)
        arrival = self.streams["start"][stream] + k * self._ptime_ns + delay
        columns = [np.concatenate(pair) for pair in zip(late, (stream, k, arrival), strict=True)]
        here = columns[2] < end
        stream, k, arrival = (column[here] for column in columns)
        waits, later, due = (column[~here] for column in columns)
        return (stream, k, arrival), (waits, later, due)

    def _odd_frames(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        """Return the SIP and RTCP frames of [begin, end), each with its time."""
        low, high = np.searchsorted(self._sip_at, (begin, end))
        frames = [self._sip_frame(i) for i in range(int(low), int(high))]
        if self.load.rtcp:
            first = self.streams["start"] + RTCP_PERIOD_NS // 2
            count = np.maximum(0, self.streams["packets"] * self._ptime_ns - RTCP_PERIOD_NS // 2) // RTCP_PERIOD_NS + 1
            for row, k in zip(*ticks(first, count, RTCP_PERIOD_NS, begin, end), strict=True):
                frames.append(self._rtcp_frame(int(row), int(first[row] + k * RTCP_PERIOD_NS)))
        return frames

    def _sip_frame(self, i: int) -> tuple[int, bytes]:
        index, step = divmod(int(self._sip_what[i]), STEPS)
        call = self.calls[index]
        codec = CODECS[NAMES[call["codec"]]]
        from_caller, text = sip_message(index, call, step, codec, self.load, self.streams[2 * index])
        phone, gateway = int(caller_address(call["slot"])), int(callee_address(call["slot"]))
        src, dst = (phone, gateway) if from_caller else (gateway, phone)
        at_ns = int(self._sip_at[i])
        return at_ns, udp_frame(src, SIP_PORT, dst, SIP_PORT, text, at_ns)

    def _rtcp_frame(self, row: int, at_ns: int) -> tuple[int, bytes]:
        """A sender report with one report block and a CNAME (RFC 3550 6.4.1, 6.5.1)."""
        stream, other = self.streams[row], self.streams[row ^ 1]
        sent = min(int(stream["packets"]), max(0, (at_ns - int(stream["start"])) // self._ptime_ns + 1))
        heard = min(int(other["packets"]), max(0, (at_ns - int(other["start"])) // self._ptime_ns))
        rate = CODECS[NAMES[stream["codec"]]].rate
        size = int(self._size[stream["codec"]]) or 70
        utc = self.load.start_ns + at_ns
        stamp = int(stream["timestamp"]) + (at_ns - int(stream["start"])) * rate // SECOND
        ntp = ((utc // SECOND + 2_208_988_800) << 32) + ((utc % SECOND << 32) // SECOND)
        report = struct.pack(">BBHIQIII", 0x81, 200, 12, stream["ssrc"], ntp, stamp & 0xFFFFFFFF, sent, sent * size)
        block = struct.pack(">IIIIII", other["ssrc"], 0, int(other["seq"]) + heard, 4, 0, 0)
        name = b"%08x@example.net" % stream["ssrc"]
        chunk = struct.pack(">IBB", stream["ssrc"], 1, len(name)) + name
        chunk += bytes(4 - len(chunk) % 4)
        cname = struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk
        ends = (int(stream["src"]), int(stream["sport"]) + 1, int(stream["dst"]), int(stream["dport"]) + 1)
        return at_ns, udp_frame(*ends, report + block + cname, at_ns)

    def _assemble(
        self, stream: I64, k: I64, arrival: I64, odd: list[tuple[int, bytes]], rng: np.random.Generator
    ) -> Slice:
        """Lay RTP and odd frames into one buffer of pcap records, by arrival."""
        n = len(stream)
        codec = self.streams["codec"][stream].astype(np.int64)
        size = self._size[codec]
        varies = np.flatnonzero(size == 0)
        # Opus at about 28 kbit/s: a median of 66 bytes in 20 ms, with the long tail of onsets.
        drawn = rng.lognormal(np.log(66 * self.load.ptime_ms / 20), 0.35, len(varies))
        size[varies] = np.clip(drawn, 12, 400).astype(np.int64)
        at = np.concatenate([arrival, np.array([a for a, _ in odd], np.int64)])
        length = np.concatenate([size + RTP_FRAME_BYTES, np.array([len(f) for _, f in odd], np.int64)])
        order = np.argsort(at, kind="stable")
        end = np.cumsum(length[order] + RECORD_BYTES)
        offset = np.empty(len(order), np.int64)
        offset[order] = end - length[order]
        data = np.empty(int(end[-1]) if len(end) else 0, np.uint8)

        rows = self._headers(stream, k, arrival, codec, size)
        scatter(data, offset[:n] - RECORD_BYTES, rows)
        payload_at = offset[:n] + RTP_FRAME_BYTES
        source = self._pool_base[codec] + (self.streams["pool"][stream] + k * size) % (POOL_S * 8000)
        for width in np.unique(size):
            same = np.flatnonzero(size == width)
            scatter(data, payload_at[same], windows(self._pool, int(width))[source[same]])
        data[payload_at[varies]] = OPUS_TOC.get(self.load.ptime_ms, 0x78)
        for (at_ns, frame), place in zip(odd, offset[n:], strict=True):
            utc = self.load.start_ns + at_ns
            record = struct.pack("<IIII", utc // SECOND, utc % SECOND, len(frame), len(frame)) + frame
            data[place - RECORD_BYTES : place + len(frame)] = np.frombuffer(record, np.uint8)
        return Slice(data, at[order] + self.load.start_ns, offset[order], length[order], n)

    def _headers(self, stream: I64, k: I64, arrival: I64, codec: I64, size: I64) -> Rows:
        """Return (n,) HEADER rows, whole but for the payload behind them."""
        mine = self.streams[stream]
        rows = np.zeros(len(stream), HEADER)
        utc = arrival + self.load.start_ns
        rows["seconds"], rows["nanoseconds"] = utc // SECOND, utc % SECOND
        rows["captured"] = rows["wire"] = size + RTP_FRAME_BYTES
        rows["ethernet"] = np.void(ETHERNET)
        rows["version_tos"], rows["fragment"], rows["ttl_protocol"] = (
            0x45B8,
            0x4000,
            0x4011,
        )  # expedited forwarding
        rows["total"], rows["udp_length"] = size + 40, size + 20
        rows["ident"] = mine["seq"] + k & 0xFFFF
        for name in ("src", "dst", "sport", "dport", "ssrc"):
            rows[name] = mine[name]
        rows["flags"] = 0x80
        rows["marker_type"] = self._type[codec] | np.where(k == 0, 0x80, 0)
        rows["seq"] = mine["seq"] + k & 0xFFFF
        rows["timestamp"] = mine["timestamp"] + k * self._ticks[codec] & 0xFFFFFFFF
        words = 0x45B8 + 0x4000 + 0x4011 + size + 40 + rows["ident"].astype(np.int64)
        for name in ("src", "dst"):
            words += (mine[name] >> 16).astype(np.int64) + (mine[name] & 0xFFFF)
        words = (words & 0xFFFF) + (words >> 16)
        rows["checksum"] = ~(words + (words >> 16)) & 0xFFFF
        return rows


def windows(data: npt.NDArray[np.uint8], width: int) -> Rows:
    """Return data as items of `width` bytes, one beginning at every byte, without a copy."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))


def scatter(data: npt.NDArray[np.uint8], offset: I64, rows: Rows) -> None:
    """Write rows (items of equal size) into data, row i at offset[i]."""
    if len(rows):
        windows(data, rows.dtype.itemsize)[offset] = rows.view(f"V{rows.dtype.itemsize}")


def udp_frame(src: int, sport: int, dst: int, dport: int, payload: bytes, ident: int) -> bytes:
    """Return an Ethernet frame with one IPv4 UDP datagram."""
    head = struct.pack(">HHHHHHII", 0x4500, 28 + len(payload), ident & 0xFFFF, 0x4000, 0x4011, 0, src, dst)
    words = sum(struct.unpack(">10H", head))
    words = (words & 0xFFFF) + (words >> 16)
    checksum = ~(words + (words >> 16)) & 0xFFFF
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    return ETHERNET + head[:10] + struct.pack(">H", checksum) + head[12:] + udp + payload


STEPS: Final = 7  # INVITE, 100, 180, 200, ACK, BYE, 200


def plan_signalling(calls: Rows) -> tuple[I64, I64]:
    """Return (at, what) of every message by time; what is call * STEPS + step."""
    invite, answer, end = calls["invite"], calls["answer"], calls["end"]
    ms = 1_000_000
    steps = (invite, invite + 4 * ms, invite + 60 * ms, answer, answer + 8 * ms, end + 5 * ms, end + 9 * ms)
    at = np.stack(steps, axis=1).reshape(-1)
    order = np.argsort(at, kind="stable")
    return at[order], order


def dotted(address: int) -> str:
    return ".".join(str(byte) for byte in int(address).to_bytes(4, "big"))


def session_description(address: str, port: int, codec: Codec, load: Load, version: int) -> str:
    """An SDP body with one audio line: the codec and telephone-event."""
    pt = codec.payload_type
    lines = [
        "v=0",
        f"o=- {version} 1 IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {pt} 101",
        f"a=rtpmap:{pt} {codec.encoding}",
        *([f"a=fmtp:{pt} {codec.fmtp}"] if codec.fmtp else []),
        f"a=rtpmap:101 telephone-event/{codec.rate}",
        "a=fmtp:101 0-15",
        f"a=ptime:{load.ptime_ms}",
        "a=sendrecv",
    ]
    return "\r\n".join(lines) + "\r\n"


def sip_message(index: int, call: Any, step: int, codec: Codec, load: Load, stream: Any) -> tuple[bool, bytes]:
    """Return (sent by the caller, the message) of one step of a call."""
    phone, gateway = dotted(stream["src"]), dotted(stream["dst"])
    mark = f"{load.seed:x}-{index:07x}"
    user, callee = f"2{call['slot']:05d}", f"4681{index:07d}"
    method = ("INVITE", "INVITE", "INVITE", "INVITE", "ACK", "BYE", "BYE")[step]
    start = {0: f"INVITE sip:{callee}@{gateway} SIP/2.0", 1: "SIP/2.0 100 Trying", 2: "SIP/2.0 180 Ringing"}
    target = f"sip:{callee}@{gateway}:{SIP_PORT} SIP/2.0"
    line = start.get(step) or ("SIP/2.0 200 OK" if step in (3, 6) else f"{method} {target}")
    body = ""
    if step == 0:
        body = session_description(phone, int(stream["sport"]), codec, load, index + 1)
    elif step == 3:
        body = session_description(gateway, int(stream["dport"]), codec, load, index + 1)
    contact = f"<sip:{user}@{phone}:{SIP_PORT}>" if step in (0, 4, 5) else f"<sip:{callee}@{gateway}:{SIP_PORT}>"
    lines = [
        line,
        f"Via: SIP/2.0/UDP {phone}:{SIP_PORT};branch=z9hG4bK{mark}-{method.lower()};rport",
        *(["Max-Forwards: 70"] if step in (0, 4, 5) else []),
        f'From: "Desk {call["slot"]}" <sip:{user}@example.net>;tag=c{mark}',
        f"To: <sip:{callee}@example.net>" + (f";tag=s{mark}" if step >= 2 else ""),
        f"Call-ID: {mark}@{phone}",
        f"CSeq: {2 if method == 'BYE' else 1} {method}",
        *([f"Contact: {contact}"] if step in (0, 2, 3) else []),
        "User-Agent: Vittne load" if step in (0, 4, 5) else "Server: Vittne load",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return step in (0, 4, 5), ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def build_frames(load: Load) -> Iterator[Slice]:
    """Yield the load as slices of SLICE_NS, in time order; what a live sender reads too."""
    return Generator(load).slices()


def write(load: Load, stream: IO[bytes]) -> dict[str, object]:
    """Write the load as a nanosecond pcap and return what is in it."""
    generator = Generator(load)
    stream.write(PCAP_HEADER)
    frames = packets = size = 0
    for part in generator.slices():
        stream.write(part.data.data)
        frames, packets, size = frames + len(part.at_ns), packets + part.rtp_packets, size + part.data.nbytes
    calls, streams = len(generator.calls), len(generator.streams)
    span_s = round(generator.end_ns / SECOND, 3)
    return {
        "calls": calls,
        "streams": streams,
        "frames": frames,
        "rtp_packets": packets,
        "bytes": size,
        "span_s": span_s,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write realistic VoIP load as a capture file.")
    default = Load()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=default.calls, help="concurrent calls")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=default.seconds, help="how long they talk")
    length.add_argument("--packets", type=int, default=0, help="RTP packets in all, instead of --seconds")
    parser.add_argument("--codec", choices=[*NAMES, "mix"], default=default.codec)
    parser.add_argument("--ptime", type=int, choices=(10, 20, 30, 40, 60), default=default.ptime_ms, metavar="MS")
    parser.add_argument(
        "--call-seconds", type=float, default=0.0, help="churn: mean length of a call; ports are used again"
    )
    parser.add_argument("--stagger", type=float, default=default.stagger_s, help="seconds within which calls start")
    parser.add_argument("--jitter-ms", type=float, default=default.jitter_ms)
    parser.add_argument("--loss", type=float, default=0.0, help="share of RTP packets lost, 0 to 1")
    parser.add_argument("--no-rtcp", action="store_true")
    parser.add_argument("--seed", type=int, default=default.seed)
    return parser.parse_args()


def main() -> None:
    a = arguments()
    load = Load(
        calls=a.calls,
        seconds=a.seconds,
        packets=a.packets,
        codec=a.codec,
        ptime_ms=a.ptime,
        call_s=a.call_seconds,
        stagger_s=a.stagger,
        jitter_ms=a.jitter_ms,
        loss=a.loss,
        rtcp=not a.no_rtcp,
        seed=a.seed,
    )
    began = time.perf_counter()
    with a.out.open("wb", buffering=0) as stream:
        summary = write(load, stream)
    json.dump({**summary, "made_in_s": round(time.perf_counter() - began, 1), "load": asdict(load)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
