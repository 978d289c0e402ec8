"""`vittne explain --wireshark`: what Wireshark's dissectors say about a call, as a second opinion.

With pyshark (the extra `wireshark`) or with the tshark program by itself; both read the exported
packets, which lie in memory only and never on a disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vittne.appliance.opened import open_recording
from vittne.appliance.packets import refuse_imported, write_packets
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.terminal import clean

# RTP in detail would be thousands of pages: every packet has its line, and signalling is shown whole.
_DETAIL: Final = "sip,sdp,rtcp"


def dissect(data_dir: Path, call: CallRow) -> int:
    """Print Wireshark's view of a call; return the exit status. Raises StoreError."""
    tshark = shutil.which("tshark")
    if tshark is None:
        raise StoreError("there is no tshark", "explain", "install it (`apt install tshark`), or leave out --wireshark")
    refuse_imported(call, "explain")
    with _packets(data_dir, call) as file:
        try:
            import pyshark  # noqa: PLC0415 - an extra that few have
        except ImportError:
            return _by_tshark(tshark, file)
        return _by_pyshark(pyshark, file)


@contextmanager
def _packets(data_dir: Path, call: CallRow) -> Iterator[str]:
    """Yield a name under which this machine's processes can read the call's packets."""
    fd = os.memfd_create("call.pcap", 0)
    with open(fd, "w+b") as stream:
        with open_recording(data_dir, call.folder, call.id) as opened:
            write_packets(opened, stream)
        stream.flush()
        yield f"/proc/{os.getpid()}/fd/{fd}"


def _by_tshark(tshark: str, file: str) -> int:
    sys.stdout.flush()
    for arguments in (["-P", "-O", _DETAIL], ["-q", "-z", "rtp,streams"]):
        run = subprocess.run([tshark, "-n", "-r", file, *arguments], capture_output=True, check=False)
        for line in run.stdout.decode("utf-8", "replace").splitlines():
            print(clean(line, 2000))
        if run.returncode:
            reason = run.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise StoreError(f"tshark failed ({clean(reason[0])})", "explain", "leave out --wireshark")
    return 0


def _by_pyshark(pyshark: object, file: str) -> int:
    capture = pyshark.FileCapture(file, keep_packets=False, custom_parameters=["-n"])  # type: ignore[attr-defined]
    try:
        for packet in capture:
            layers = {layer.layer_name for layer in packet.layers}
            if layers & set(_DETAIL.split(",")):
                for line in str(packet).splitlines():
                    print(clean(line, 2000))
            else:
                print(clean(f"{packet.number} {packet.sniff_time} {packet.highest_layer} {packet.length} bytes"))
    finally:
        capture.close()
    return 0
