"""Edge: capture files as blocks of frames, and frames as a capture file.

Reads what tcpdump, Wireshark and their kin write: pcap and pcapng, plain or gzipped, from a
file or a pipe. A file that was cut or damaged gives what is whole in front of the damage,
and `cut` says in words where that is.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import os
import select
import stat
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from vittne.capture.columns import LINK_ETHERNET, SECOND, Block
from vittne.capture.pcap import FILE_HEADER, MAGICS, NANO, PcapReader
from vittne.capture.pcapng import SECTION, PcapngReader
from vittne.capture.slab import SlabRing
from vittne.capture.taken import CaptureFileError, Reader

__all__ = ["CaptureFile", "CaptureFileError", "SlabRing", "write_pcap"]

_GZIP: Final = b"\x1f\x8b"
_NOT_OURS: Final = {
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd; unpack it with `zstd -d`",
    b"\x04\x22\x4d\x18": "it is compressed with lz4; unpack it with `lz4 -d`",
    b"\xfd7zX": "it is compressed with xz; unpack it with `xz -d`",
    b"BZh": "it is compressed with bzip2; unpack it with `bzip2 -d`",
    b"PK\x03\x04": "it is a zip archive; unpack it with `unzip`",
    b"snoop": "it is a snoop file; `editcap -F pcap FILE NEW` converts it",
    b"RTSS": "it is a NetMon file; `editcap -F pcap FILE NEW` converts it",
    b"GMBU": "it is a NetMon file; `editcap -F pcap FILE NEW` converts it",
    b"#!rtpplay": "it is an rtpdump file, which holds no addresses and no signalling",
}


class CaptureFile:
    """One pcap or pcapng file, told apart by content. The path "-" is standard input.

    mono_ns: the monotonic clock goes on from here (files of one directory, one after the
    other). A file's own clock may step back; mono_ns is its running maximum.
    cut: None, or why the file could not be read to its end. counters: what was skipped.
    """

    def __init__(self, path: str | Path, slab: SlabRing, mono_ns: int = 0) -> None:
        self.path = str(path)
        self.slab = slab
        self.mono_ns = mono_ns
        self.cut: str | None = None
        self.counters: Counter[str] = Counter()
        self.behind_ns = 0  # how far the file's clock went back at most
        self.bytes_read = 0  # of the file (unpacked): in the slab, or were

    def blocks(self) -> Iterator[Block | None]:
        """Yield the file's frames in order; None when the slab has no room until a block is released.

        Raises CaptureFileError when it is no capture file or cannot be opened.
        """
        self.slab.skip(self.slab.end)
        with contextlib.ExitStack() as stack:
            source = self._open(stack)
            reader: Reader | None = None
            passing = 0  # bytes of a record that is skipped and is still to come
            while (room := self.slab.space()) is None or (count := source.fill(room)):
                if room is None:
                    yield None
                    continue
                self.bytes_read += count
                self.slab.grow(count)
                passing = self._pass(passing)
                reader = reader or self._recognise()
                while reader and not passing:
                    taken = reader.take(self.slab.data, self.slab.begin, self.slab.end)
                    progress = taken.after > self.slab.begin
                    passing = max(0, taken.after - self.slab.end)
                    if taken.block is not None:
                        self._set_mono(taken.block)
                        self.slab.lend(taken.block, taken.after)
                        yield taken.block
                    else:
                        self.slab.skip(min(taken.after, self.slab.end))
                    if taken.problem is not None:
                        position = self.bytes_read - (self.slab.end - self.slab.begin)
                        self.cut = f"file is damaged at byte {position}: {taken.problem}; what follows was not read"
                        self.slab.skip(self.slab.end)
                        return
                    if not progress:
                        break
            self._finish(source, reader, passing)

    def _pass(self, passing: int) -> int:
        """Step over the next bytes of a record that is skipped; return how many are still to come."""
        here = min(passing, self.slab.end - self.slab.begin)
        self.slab.skip(self.slab.begin + here)
        return passing - here

    def _set_mono(self, block: Block) -> None:
        # Everywhere behind this, a time of 0 means not yet. Some captures begin at 1970.
        block.at_ns = np.maximum(block.at_ns, 1)
        mono_ns = np.maximum.accumulate(block.at_ns)
        if mono_ns[0] < self.mono_ns:
            np.maximum(mono_ns, self.mono_ns, out=mono_ns)
        self.behind_ns = max(self.behind_ns, int((mono_ns - block.at_ns).max()))
        block.mono_ns = mono_ns
        self.mono_ns = int(mono_ns[-1])

    def _finish(self, source: _Source, reader: Reader | None, passing: int) -> None:
        """Say what is left over at the end of the file."""
        left = self.slab.end - self.slab.begin
        if reader is None and left < 4 and source.problem is None:
            size = "is empty" if not left else "is too short to be a capture file"
            raise CaptureFileError(f"{self.path} {size}")
        if source.problem:
            self.cut = source.problem
        elif reader is None:
            self.cut = f"file ends in the middle of its header: {left} bytes unread"
        elif left or passing:
            self.cut = f"file ends in the middle of a packet: {left} bytes unread"
        self.slab.skip(self.slab.end)

    def _recognise(self) -> Reader | None:
        """Return the reader for what the file begins with; None while too little of it is there."""
        begin = self.slab.data[self.slab.begin : min(self.slab.end, self.slab.begin + FILE_HEADER)].tobytes()
        if len(begin) < 4:
            return None
        if begin[:4] == SECTION:
            return PcapngReader(self.counters)
        if begin[:4] not in MAGICS:
            raise CaptureFileError(f"{self.path} is not a capture file: {_what_is(begin)}")
        if len(begin) < FILE_HEADER:
            return None
        self.slab.skip(self.slab.begin + FILE_HEADER)
        return PcapReader(begin)

    def _open(self, stack: contextlib.ExitStack) -> _Source:
        try:
            if self.path == "-":
                return _Source(sys.stdin.buffer, self.path)  # type: ignore[arg-type]
            return _Source(stack.enter_context(Path(self.path).open("rb")), self.path)
        except OSError as error:
            raise CaptureFileError(f"cannot open {self.path}: {error.strerror}") from error


class _Source:
    """The bytes of a file or pipe, unpacked when gzipped. problem: why they ended too soon."""

    def __init__(self, stream: io.BufferedReader, path: str) -> None:
        self.problem: str | None = None
        self._path = path
        self._descriptor = stream.fileno()
        self._is_pipe = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        if self._is_pipe:  # 64 KiB at a time would make blocks of 300 packets
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)
        packed = stream.peek(2)[:2] == _GZIP
        self._stream: io.BufferedIOBase = gzip.GzipFile(fileobj=stream) if packed else stream

    def fill(self, room: memoryview) -> int:
        """Read into room; return the number of bytes, 0 at the end. A pipe gives what is there, at least one byte."""
        try:
            if not self._is_pipe:
                return self._stream.readinto(room)
            count = more = self._stream.readinto1(room)
            while more and count < len(room) and select.select([self._descriptor], [], [], 0)[0]:
                more = self._stream.readinto1(room[count:])
                count += more
            return count
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.problem = f"the gzip file ends too soon or is damaged: {error}"
            return 0
        except OSError as error:
            raise CaptureFileError(f"cannot read {self._path}: {error.strerror}") from error


def _what_is(begin: bytes) -> str:
    for magic, advice in _NOT_OURS.items():
        if begin.startswith(magic):
            return advice
    return f"it begins with {begin[:4].hex(' ')}; pcap and pcapng files can be read, gzipped or not"


def write_pcap(stream: BinaryIO, packets: Iterable[tuple[int, bytes]], link_type: int = LINK_ETHERNET) -> None:
    """Write (at_ns, frame) pairs as a pcap file with nanoseconds, little-endian."""
    stream.write(struct.pack("<IHHiIII", NANO, 2, 4, 0, 0, 262_144, link_type))
    for at_ns, frame in packets:
        seconds, fraction = divmod(at_ns, SECOND)
        stream.write(struct.pack("<IIII", seconds, fraction, len(frame), len(frame)) + frame)
