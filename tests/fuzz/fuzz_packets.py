"""Hostile frames and capture files.

With coverage guidance (`pip install atheris`): python tests/fuzz/fuzz_packets.py frames -max_total_time=60
(or `files`). A bounded run without: test_fuzz_packets.py beside this file.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["vittne"]):
        import vittne.capture.link
        import vittne.capture.pcap
        import vittne.capture.pcapng  # noqa: F401

import numpy as np

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import Block
from vittne.capture.layers import Fate
from vittne.capture.link import LinkParser
from vittne.capture.pcap import FILE_HEADER, MAGICS, PcapReader
from vittne.capture.pcapng import PcapngReader
from vittne.capture.taken import CaptureFileError, Reader

LINK_TYPES = (1, 0, 9, 101, 108, 113, 228, 229, 276, 77)
FATES = {fate.words for fate in Fate}


def block_of(data: bytes) -> Block:
    """Return a block made of bytes: link type, then frames, each behind a byte of length and one of snaplen."""
    link_type = LINK_TYPES[data[0] % len(LINK_TYPES)] if data else 1
    offset, captured, wire, at = [], [], [], 1
    while at + 2 <= len(data):
        length = min(data[at], len(data) - at - 2)
        offset.append(at + 2)
        captured.append(length)
        wire.append(length + data[at + 1] % 3)
        at += 2 + length
    n = len(offset)
    return Block(
        data=np.frombuffer(data, np.uint8),
        offset=np.array(offset, np.int64),
        captured=np.array(captured, np.int64),
        wire=np.array(wire, np.int64),
        at_ns=np.arange(n),
        mono_ns=np.arange(n),
        link_type=np.full(n, link_type, np.uint16),
        interface=np.zeros(n, np.uint16),
    )


def check_block(block: Block) -> None:
    """Parse in both ways; every frame has one fate, every row lies in its buffer, both ways agree."""
    results = []
    for fast in (True, False):
        parser = LinkParser(AddressBook(), fragment_memory=20_000, fast=fast)
        parsed = parser.feed(block)
        assert sum(count for name, count in parser.counters.items() if name in FATES) == len(block)
        for rows in (*parsed.udp, *parsed.tcp):
            assert (rows.length >= 0).all()
            assert (rows.offset >= 0).all()
            assert (rows.offset + rows.length <= len(rows.data)).all()
        results.append((parser.counters, [(rows.offset.tolist(), rows.dport.tolist()) for rows in parsed.udp]))
    assert results[0] == results[1]


def fuzz_frames(data: bytes) -> None:
    """The bytes are frames."""
    block = block_of(data)
    if len(block):
        check_block(block)


def fuzz_files(data: bytes) -> None:
    """The bytes are a capture file, pcapng when they do not begin like pcap."""
    buffer = np.frombuffer(data, np.uint8)
    reader: Reader = PcapngReader(Counter())
    at = 0
    if data[:4] in MAGICS and len(data) >= FILE_HEADER:
        try:
            reader, at = PcapReader(data), FILE_HEADER
        except CaptureFileError:
            return
    while at < len(data):
        taken = reader.take(buffer, at, len(data))
        if taken.block is not None:
            block = taken.block
            assert (block.offset >= at).all()
            assert (block.offset + block.captured <= len(data)).all()
            assert (block.wire >= block.captured).all()
            assert (block.at_ns >= 0).all()
            check_block(block)
        if taken.problem or taken.after <= at:
            return
        at = taken.after


HARNESSES: dict[str, Callable[[bytes], None]] = {"frames": fuzz_frames, "files": fuzz_files}

if __name__ == "__main__":
    harness = HARNESSES[sys.argv.pop(1)]
    atheris.Setup(sys.argv, harness)
    atheris.Fuzz()
