"""Capture files as blocks."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vittne.capture.columns import LINK_ETHERNET, LINK_SLL, SECOND, Block
from vittne.capture.pcapfile import CaptureFile, CaptureFileError, SlabRing, write_pcap

START = 1_700_000_000 * SECOND
MIB = 1 << 20


@dataclass(frozen=True)
class Frame:
    at_ns: int
    frame: bytes
    wire: int
    link_type: int = LINK_ETHERNET
    interface: int = 0


@pytest.fixture(scope="module")
def slab() -> SlabRing:
    return SlabRing(4 * MIB)


def frames_of(block: Block) -> list[Frame]:
    return [
        Frame(
            int(block.at_ns[i]),
            block.data[block.offset[i] : block.offset[i] + block.captured[i]].tobytes(),
            int(block.wire[i]),
            int(block.link_type[i]),
            int(block.interface[i]),
        )
        for i in range(len(block))
    ]


def read(path: Path, slab: SlabRing) -> tuple[list[Frame], CaptureFile]:
    file = CaptureFile(path, slab)
    found = []
    for block in file.blocks():
        assert block is not None
        assert block.data is slab.data
        found += frames_of(block)
        slab.release(block)
    return found, file


def some(count: int, seed: int = 1, sizes: tuple[int, ...] = (60, 74, 214, 214, 214, 900)) -> list[tuple[int, bytes]]:
    draw = random.Random(seed)
    return [(START + i * 20_001_000, draw.randbytes(draw.choice(sizes))) for i in range(count)]


def pcap(frames: list[tuple[int, bytes]], order: str = "<", magic: int = 0xA1B23C4D, link: int = 1) -> bytes:
    unit = 1 if magic == 0xA1B23C4D else 1_000
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, link)]
    more = bytes(8) if magic == 0xA1B2CD34 else b""
    for at_ns, frame in frames:
        fields = (at_ns // SECOND, at_ns % SECOND // unit, len(frame), len(frame) + 3)
        out += [struct.pack(order + "IIII", *fields), more, frame]
    return b"".join(out)


class Ng:
    """Writes pcapng blocks."""

    def __init__(self, order: str = "<") -> None:
        self.order = order

    def block(self, kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(self.order + "I", len(body) + 12)
        return struct.pack(self.order + "I", kind) + size + body + size

    def section(self) -> bytes:
        return self.block(0x0A0D0D0A, struct.pack(self.order + "IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(self, link: int = 1, snaplen: int = 0, options: list[tuple[int, bytes]] | None = None) -> bytes:
        body = struct.pack(self.order + "HHI", link, 0, snaplen)
        for code, value in options or []:
            body += struct.pack(self.order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
        return self.block(1, body + (bytes(4) if options else b""))

    def enhanced(self, ticks: int, frame: bytes, interface: int = 0, options: bytes = b"") -> bytes:
        body = struct.pack(self.order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + 3)
        return self.block(6, body + frame + bytes(-len(frame) % 4) + options)

    def simple(self, frame: bytes, wire: int) -> bytes:
        return self.block(3, struct.pack(self.order + "I", wire) + frame)

    def old(self, ticks: int, frame: bytes, interface: int = 0) -> bytes:
        head = struct.pack(
            self.order + "HHIIII", interface, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame) + 3
        )
        return self.block(2, head + frame)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34])
def test_every_spelling_of_pcap_is_read(tmp_path: Path, slab: SlabRing, order: str, magic: int) -> None:
    path = tmp_path / "a.pcap"
    frames = some(3_000)
    path.write_bytes(pcap(frames, order, magic, 0x1C00_0000 | LINK_SLL))  # frame check sequences of 2 bytes

    found, file = read(path, slab)

    assert found == [Frame(at_ns, frame, len(frame) + 3, LINK_SLL) for at_ns, frame in frames]
    assert file.cut is None


def test_what_was_written_is_read(tmp_path: Path, slab: SlabRing) -> None:
    path = tmp_path / "a.pcap"
    frames = [(START + 123_456_789, b"abc"), (START, b""), (START + 5, bytes(70_000))]
    with path.open("wb") as stream:
        write_pcap(stream, frames, LINK_SLL)

    found, _ = read(path, slab)

    assert found == [Frame(at_ns, frame, len(frame), LINK_SLL) for at_ns, frame in frames]


@pytest.mark.parametrize("sizes", [(214,), (60, 74, 214, 90), (214,) * 200 + (900,), (60,), (1_514, 66, 9_000)])
def test_a_file_larger_than_the_ring_is_read_chunk_by_chunk(
    tmp_path: Path, slab: SlabRing, sizes: tuple[int, ...]
) -> None:
    path = tmp_path / "a.pcap"
    mean = sum(sizes) // len(sizes)
    frames = some(6 * MIB // (mean + 16), sizes=sizes)
    path.write_bytes(pcap(frames))

    found, _ = read(path, slab)

    assert [frame.frame for frame in found] == [frame for _, frame in frames]


def test_the_consumer_is_asked_for_room_and_the_file_goes_on_when_it_has_given_some(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    frames = some(12 * MIB // 290)
    path.write_bytes(pcap(frames))
    slab = SlabRing(4 * MIB)
    held: list[Block] = []
    found: list[Frame] = []
    asked = 0

    for block in CaptureFile(path, slab).blocks():
        if block is None:
            asked += 1
            oldest = held.pop(0)
            found += frames_of(oldest)  # untouched until it is released
            slab.release(oldest)
        else:
            held.append(block)
    found += [frame for block in held for frame in frames_of(block)]

    assert asked > 3
    assert [frame.frame for frame in found] == [frame for _, frame in frames]


def test_blocks_go_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(some(8_000)))
    slab = SlabRing(4 * MIB)
    blocks = CaptureFile(path, slab).blocks()
    first, second = next(blocks), next(blocks)
    assert first is not None
    assert second is not None
    before = slab.free

    with pytest.raises(ValueError, match="order"):
        slab.release(second)
    slab.release(first)
    slab.release(second)

    assert slab.free > before


def test_mono_ns_never_steps_back_within_a_file_and_into_the_next(tmp_path: Path, slab: SlabRing) -> None:
    path = tmp_path / "a.pcap"
    times = [START + 5, START + 9, START + 7, START + 10]
    path.write_bytes(pcap([(at_ns, b"x") for at_ns in times]))

    for mono_ns, expected in ((0, [5, 9, 9, 10]), (START + 8, [8, 9, 9, 10])):
        file = CaptureFile(path, slab, mono_ns=mono_ns)
        for block in file.blocks():
            assert block is not None
            assert block.at_ns.tolist() == times
            assert (block.mono_ns - START).tolist() == expected
            slab.release(block)
        assert file.mono_ns == START + 10


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_with_all_kinds_of_packets_is_read(tmp_path: Path, slab: SlabRing, order: str) -> None:
    ng = Ng(order)
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        ng.section()
        + ng.block(4, b"names of hosts, which do not matter")
        + ng.interface(LINK_ETHERNET)
        + ng.enhanced(START // 1_000, b"one", options=bytes(8))
        + ng.interface(LINK_SLL, options=[(2, b"eth1"), (9, b"\x09"), (14, struct.pack(order + "q", 100))])
        + ng.enhanced(START, b"two--", interface=1)
        + ng.old(START // 1_000 + 1, b"three", interface=0)
        + ng.block(0x0BAD, b"own")
        + ng.simple(b"four", 4)
        + ng.enhanced(START, b"no such interface", interface=2)
        + ng.enhanced(START // 1_000, b"")
    )

    found, file = read(path, slab)

    assert found == [
        Frame(START, b"one", 6),
        Frame(START + 100 * SECOND, b"two--", 8, LINK_SLL, 1),
        Frame(START + 1_000, b"three", 8),
        Frame(START + 1_000, b"four", 4),
        Frame(START, b"", 3),
    ]
    assert file.cut is None
    assert file.counters == {"pcapng: packet without interface or too long": 1}


def test_sections_have_their_own_byte_order_and_interfaces_that_are_numbered_on(tmp_path: Path, slab: SlabRing) -> None:
    path = tmp_path / "a.pcapng"
    content = b""
    for order, link in (("<", 1), (">", 113), ("<", 276)):
        ng = Ng(order)
        content += ng.section() + ng.interface(link) + ng.enhanced(START // 1_000, b"x" * link)
    path.write_bytes(content)

    found, _ = read(path, slab)

    assert [(frame.link_type, frame.interface, len(frame.frame)) for frame in found] == [
        (1, 0, 1),
        (113, 1, 113),
        (276, 2, 276),
    ]


@pytest.mark.parametrize(
    ("resolution", "ticks", "at_ns"),
    [
        (0, 1_700_000_000, START),
        (3, 1_700_000_000_123, START + 123_000_000),
        (6, 1_700_000_000_000_001, START + 1_000),
        (9, START + 1, START + 1),
        (12, 1_700_000_000_123 * 10**6, START // 1_000 + 123_000),
        (0x80 | 10, (1_700_000_000 << 10) + 512, START + SECOND // 2),
        (0x80 | 32, (1_700_000_000 << 32) + (1 << 31), START + SECOND // 2),
        (0x80 | 60, (3 << 60) + (1 << 59), 3 * SECOND + SECOND // 2),
        (6, 2**64 - 1, (2**64 - 1) // 10**6 * SECOND + (2**64 - 1) % 10**6 * 1_000),
    ],
)
def test_every_resolution_of_time_is_understood(
    tmp_path: Path, slab: SlabRing, resolution: int, ticks: int, at_ns: int
) -> None:
    ng = Ng()
    path = tmp_path / "a.pcapng"
    path.write_bytes(ng.section() + ng.interface(options=[(9, bytes([resolution]))]) + ng.enhanced(ticks, b"x"))

    found, _ = read(path, slab)

    latest = (1 << 62) // SECOND * SECOND
    assert found[0].at_ns == at_ns or at_ns > latest <= found[0].at_ns < latest + SECOND


def test_a_simple_packet_is_as_long_as_the_snaplen_allows(tmp_path: Path, slab: SlabRing) -> None:
    ng = Ng()
    path = tmp_path / "a.pcapng"
    path.write_bytes(ng.section() + ng.interface(snaplen=5) + ng.simple(b"abcde", 300))

    found, _ = read(path, slab)

    # A simple packet block has no time: it gets the first one there is, since 0 means not yet.
    assert found == [Frame(1, b"abcde", 300)]


def test_a_block_longer_than_any_chunk_is_skipped(tmp_path: Path, slab: SlabRing) -> None:
    ng = Ng()
    path = tmp_path / "a.pcapng"
    begin = ng.section() + ng.interface() + ng.enhanced(START // 1_000, b"one")
    path.write_bytes(begin + ng.block(10, bytes(5 * MIB)) + ng.enhanced(START // 1_000, b"two"))

    found, file = read(path, slab)

    assert [frame.frame for frame in found] == [b"one", b"two"]
    assert file.cut is None


def small_pcap() -> tuple[bytes, list[bytes]]:
    frames = some(12, sizes=(0, 5, 60))
    return pcap(frames), [frame for _, frame in frames]


def small_pcapng() -> tuple[bytes, list[bytes]]:
    ng, frames = Ng(), [frame for _, frame in some(12, sizes=(0, 5, 60))]
    content = ng.section() + ng.interface()
    for number, frame in enumerate(frames):
        content += ng.enhanced(START // 1_000, frame) + (ng.block(5, bytes(16)) if number % 5 == 0 else b"")
    return content, frames


@pytest.mark.parametrize("make", [small_pcap, small_pcapng])
def test_a_file_cut_anywhere_gives_what_is_whole_and_says_so(
    tmp_path: Path, slab: SlabRing, make: Callable[[], tuple[bytes, list[bytes]]]
) -> None:
    content, frames = make()
    path = tmp_path / "a.pcap"
    before = 0

    for cut in range(4, len(content)):
        path.write_bytes(content[:cut])
        found, file = read(path, slab)
        assert [frame.frame for frame in found] == frames[: len(found)]
        assert len(found) >= before
        before = len(found)
        whole = file.cut is None
        if not whole:
            assert file.cut is not None
            assert "ends in the middle" in file.cut

    path.write_bytes(content)
    found, file = read(path, slab)
    assert [frame.frame for frame in found] == frames
    assert file.cut is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([small_pcap()[0], small_pcapng()[0], b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a", b""]),
    keep=st.integers(0, 700),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=5),
    tail=st.binary(max_size=100),
)
def test_garbage_gives_frames_in_bounds_or_our_error(
    tmp_path: Path, slab: SlabRing, start: bytes, keep: int, changes: list[tuple[int, int]], tail: bytes
) -> None:
    content = bytearray(start[:keep] + tail)
    for place, value in changes:
        if place < len(content):
            content[place] = value
    path = tmp_path / "garbage"
    path.write_bytes(content)

    try:
        found, _ = read(path, slab)
    except CaptureFileError:
        return

    assert all(frame.frame in bytes(content) for frame in found)


def test_an_impossible_length_ends_reading_with_a_report(tmp_path: Path, slab: SlabRing) -> None:
    frames = some(100)
    path = tmp_path / "a.pcap"
    good = pcap(frames)
    path.write_bytes(good + struct.pack("<IIII", 1_700_000_000, 0, 262_145, 262_145) + pcap(frames)[24:])

    found, file = read(path, slab)

    assert [frame.frame for frame in found] == [frame for _, frame in frames]
    assert file.cut == f"file is damaged at byte {len(good)}: a record claims 262145 bytes; what follows was not read"


def test_frames_that_look_like_records_do_not_mislead(tmp_path: Path, slab: SlabRing) -> None:
    """The lanes of the walk begin where bytes look like a record; here most of them are none."""
    record = struct.pack("<IIII", 1_700_000_000, 0, 44, 44)
    draw = random.Random(5)
    frames = [
        (START, draw.randbytes(draw.randrange(40)) + (record + bytes(44)) * draw.randrange(1, 20)) for _ in range(5_000)
    ]
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(frames))

    found, _ = read(path, slab)

    assert [frame.frame for frame in found] == [frame for _, frame in frames]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3", "too short"),
        (b"RIFF....WAVE", "it begins with 52 49 46 46"),
        (b"\x28\xb5\x2f\xfd....", "zstd -d"),
        (b"\xfd7zXZ\x00", "xz -d"),
        (pcap([])[:4] + b"\x07\x00" + pcap([])[6:], "version 7"),
    ],
)
def test_what_is_no_capture_is_refused_with_advice(tmp_path: Path, slab: SlabRing, content: bytes, advice: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(CaptureFileError, match=advice):
        read(path, slab)


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path, slab: SlabRing) -> None:
    for path in (tmp_path / "missing.pcap", tmp_path):
        with pytest.raises(CaptureFileError, match=str(path)):
            read(path, slab)


def test_a_gzipped_capture_is_read_and_a_cut_one_reported(tmp_path: Path, slab: SlabRing) -> None:
    frames = some(20_000)
    path = tmp_path / "a.pcap.gz"
    packed = gzip.compress(pcap(frames), 1)
    path.write_bytes(packed)

    found, file = read(path, slab)
    path.write_bytes(packed[: len(packed) // 2])
    part, cut = read(path, slab)

    assert [frame.frame for frame in found] == [frame for _, frame in frames]
    assert file.cut is None
    assert 0 < len(part) < len(found)
    assert part == found[: len(part)]
    assert "gzip" in str(cut.cut)


def test_a_pipe_is_read_as_it_fills(tmp_path: Path, slab: SlabRing) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    frames = some(30_000)
    content = pcap(frames)

    def write() -> None:
        with path.open("wb", buffering=0) as stream:
            for begin in range(0, len(content), 40_001):
                stream.write(content[begin : begin + 40_001])

    writer = threading.Thread(target=write)
    writer.start()
    found, file = read(path, slab)
    writer.join()

    assert [frame.frame for frame in found] == [frame for _, frame in frames]
    assert file.cut is None


def test_a_dash_is_standard_input() -> None:
    program = (
        "from vittne.capture.pcapfile import CaptureFile, SlabRing\n"
        "slab = SlabRing()\n"
        "print(sum(len(block) for block in CaptureFile('-', slab).blocks()))"
    )

    done = subprocess.run([sys.executable, "-c", program], input=pcap(some(500)), capture_output=True, check=True)

    assert done.stdout == b"500\n"


def tshark(path: Path) -> Iterator[tuple[int, int, int]]:
    fields = ["frame.time_epoch", "frame.cap_len", "frame.len"]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *(x for field in fields for x in ("-e", field))]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    for line in done.stdout.splitlines():
        time, captured, wire = line.split("\t")
        seconds, fraction = time.split(".")
        yield int(seconds) * SECOND + int(fraction.ljust(9, "0")), int(captured), int(wire)


def test_tshark_reads_the_same_from_what_editcap_makes_of_it(tmp_path: Path, slab: SlabRing) -> None:
    source = tmp_path / "a.pcap"
    source.write_bytes(pcap(some(50)))

    for form in ("pcap", "nsecpcap", "modpcap", "pcapng"):
        path = tmp_path / form
        subprocess.run(["editcap", "-F", form, source, path], check=True)
        found, _ = read(path, slab)
        assert [(frame.at_ns, len(frame.frame), frame.wire) for frame in found] == list(tshark(path))


def test_the_ring_is_one_page_aligned_array() -> None:
    slab = SlabRing(5 * MIB + 1)

    assert slab.data.dtype == np.uint8
    assert slab.data.ctypes.data % 4096 == 0
    assert len(slab.data) % 4096 == 0
    assert slab.free == len(slab.data) >= 5 * MIB


def test_writing_to_memory_works_too() -> None:
    stream = io.BytesIO()

    write_pcap(stream, [(START, b"abc")])

    assert stream.getvalue()[:4] == b"\x4d\x3c\xb2\xa1"
