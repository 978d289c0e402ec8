"""Where roots can be kept, for real and small: a token of SoftHSM2, a TPM of swtpm."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = b"271828"


def begin_tokens(folder: Path) -> None:
    """Have SoftHSM2 keep its tokens in a folder, for this process and what it starts."""
    (folder / "tokens").mkdir()
    lines = [f"directories.tokendir = {folder / 'tokens'}", "objectstore.backend = file", "log.level = ERROR"]
    (folder / "softhsm2.conf").write_text("\n".join(lines) + "\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")


def make_token(label: str) -> None:
    """Initialise a token."""
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN.decode(), "--so-pin", "314159"]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def tpm() -> Iterator[str]:
    """Run a TPM; yield its TCTI."""
    # The path of a socket has 108 bytes at most.
    with tempfile.TemporaryDirectory(prefix="swtpm-", dir="/tmp") as name:
        sockets = [f"type=unixio,path={name}/tpm", f"type=unixio,path={name}/tpm.ctrl"]
        command = [
            "swtpm",
            "socket",
            "--tpm2",
            "--tpmstate",
            f"dir={name}",
            "--server",
            sockets[0],
            "--ctrl",
            sockets[1],
        ]
        process = subprocess.Popen([*command, "--flags", "not-need-init,startup-clear"])
        try:
            deadline = time.monotonic() + 20
            while not Path(name, "tpm.ctrl").exists() or not Path(name, "tpm").exists():
                assert time.monotonic() < deadline, "swtpm did not start"
                time.sleep(0.02)
            yield f"swtpm:path={name}/tpm"
        finally:
            process.terminate()
            process.wait()


def extend_pcr(tcti: str, number: int) -> None:
    """Do what another kernel would do: measure something else."""
    subprocess.run(["tpm2_pcrextend", "-T", tcti, f"{number}:sha256={'ab' * 32}"], check=True, capture_output=True)
