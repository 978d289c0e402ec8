"""What sealing costs: commits of many calls, split into encrypting, hashing and writing.

    python benchmarks/bench_seal.py [folder [files]]

Each commit appends one group to each of 500 files (or as many as given), from five buffers of
192-byte records. Times are CPU time (user and system) per record and per append, the median of
several commits. "write" is what appending costs more than the same without its system call, "interpreter"
what is left besides encrypting and hashing. Nothing is synced: that is one call for all files,
and not sealing's cost. Prints one JSON line per row, for results/.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vittne.appliance.seal import records
from vittne.appliance.seal.part import PartWriter

COMMITS = 7
BUFFERS = 5
RECORD_BYTES = 192


class Unwritten(PartWriter):
    """Does all of the work but the system call."""

    def _write(self, group: memoryview) -> None:
        pass


def appending(kind: type[PartWriter], folder: Path, files: int, buffers: list[bytes], direct: bool) -> float:
    """Return CPU seconds for one append; the first commit, which allocates for the others, is left out."""
    folder.mkdir()
    writers = [kind(folder / f"{n}", str(uuid.uuid4()), 0, os.urandom(32), direct) for n in range(files)]
    spent = []
    for _ in range(COMMITS + 1):
        start = time.process_time()
        for writer in writers:
            writer.append(buffers)
        spent.append((time.process_time() - start) / files)
        if not direct:
            os.sync()  # else dirty pages pile up until writers are made to wait
    for writer in writers:
        writer.abandon()
    shutil.rmtree(folder)
    return statistics.median(spent[1:])


def best(action: Callable[[], object], times: int = 300) -> float:
    """Return CPU seconds for one call."""
    spent = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            action()
        spent.append((time.process_time() - start) / times)
    return min(spent)


def encrypting(size: int) -> float:
    """Return CPU seconds for one AES-256-GCM call into a buffer."""
    cipher, nonce, plain, out = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(size), bytearray(size + 16)
    return best(lambda: cipher.encrypt_into(nonce, plain, b"", out))


def hashing(size: int) -> float:
    """Return CPU seconds for SHA-256 over one group."""
    digest, data = hashlib.sha256(), os.urandom(size)
    return best(lambda: digest.update(data))


def measure(folder: Path, files: int, commit_bytes: int, direct: bool) -> dict[str, float]:
    """Return one row: ns per record by kind of work, and us per append."""
    count = commit_bytes // RECORD_BYTES // BUFFERS
    rows = count * BUFFERS
    buffers = [records.encode(records.RTP, 1, os.urandom(172)) * count] * BUFFERS
    whole = appending(PartWriter, folder, files, buffers, direct)
    unwritten = appending(Unwritten, folder, files, buffers, direct)
    parts = {
        "encrypt": encrypting(rows * RECORD_BYTES),
        "hash": hashing(-(-rows * RECORD_BYTES // 4096) * 4096),
        "write": whole - unwritten,
    }
    parts["interpreter"] = whole - sum(parts.values())
    row = {f"{name}_ns_per_record": round(cost * 1e9 / rows, 1) for name, cost in parts.items()}
    row["all_ns_per_record"] = round(whole * 1e9 / rows, 1)
    row["append_us"] = round(whole * 1e6, 1)
    row["interpreter_us"] = round(parts["interpreter"] * 1e6, 1)
    return row


def main() -> None:
    """Measure each size of commit, past the page cache and through it."""
    parent = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "files": files,
    }
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        for kib in (16, 40, 128):
            for direct in (True, False):
                row = measure(folder / "parts", files, kib << 10, direct)
                print(json.dumps({**about, "kib": kib, "direct": direct, **row}), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
