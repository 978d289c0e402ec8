"""The root sealed to a TPM 2.0 and to its PCRs: what was measured while this machine started.

    {"provider": "tpm2", "tcti": .., "pcrs": "sha256:0,2,4,7", "public": .., "private": ..}

Done with tpm2-tools; the root goes in and out over pipes and stands in no file and no argument. A firmware or kernel
update changes PCRs, and then nothing here opens: so never a TPM without recovery shares. The primary key is the
owner hierarchy's of the standard template, made again each time (0.1 s): nothing is stored in the TPM.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vittne.appliance.keyring.envelope import Envelope, decoded, encoded
from vittne.appliance.keyring.errors import RECOVER, KeysLocked, KeysMismatch, PcrsChanged, TokenMissing
from vittne.appliance.keyring.wrapping import KEY_BYTES

_LIMIT_S: Final = 60
_POLICY_FAILED: Final = (b"0x99d", b"0x9b6", b"a policy check failed")  # TPM_RC_POLICY_FAIL, _VALUE
_NOT_OURS: Final = (b"0x1df", b"integrity check failed")  # TPM_RC_INTEGRITY: sealed by another TPM


def seal(root: bytes, tcti: str, pcrs: Sequence[int]) -> Envelope:
    """Return the root sealed to the present values of the PCRs. Raises TokenMissing, KeysLocked."""
    bank = "sha256:" + ",".join(str(number) for number in sorted(set(pcrs)))
    with tempfile.TemporaryDirectory(prefix="vittne-tpm-") as name:
        tpm = _Tpm(tcti, Path(name))
        tpm.primary()
        tpm.run("tpm2_startauthsession", "-S", "session")
        tpm.run("tpm2_policypcr", "-S", "session", "-l", bank, "-L", "policy")
        tpm.run("tpm2_flushcontext", "session")
        flags = ["-C", "primary", "-L", "policy", "-i", "-", "-u", "public", "-r", "private"]
        tpm.run("tpm2_create", *flags, given=root)
        public, private = ((Path(name) / part).read_bytes() for part in ("public", "private"))
        tpm.flush()
    return {"provider": "tpm2", "tcti": tcti, "pcrs": bank, "public": encoded(public), "private": encoded(private)}


def unseal(envelope: Mapping[str, Any]) -> bytes:
    """Return the root. Raises PcrsChanged, TokenMissing, KeysLocked, KeysMismatch."""
    try:
        tcti, bank = str(envelope["tcti"]), str(envelope["pcrs"])
        parts = {name: decoded(envelope[name]) for name in ("public", "private")}
    except (KeyError, ValueError, TypeError) as error:
        raise KeysMismatch("the envelope of the root cannot be read", "tpm2", "restore keys/ from a backup") from error
    with tempfile.TemporaryDirectory(prefix="vittne-tpm-") as name:
        tpm = _Tpm(tcti, Path(name))
        for part, data in parts.items():
            (Path(name) / part).write_bytes(data)
        tpm.primary()
        tpm.run("tpm2_load", "-C", "primary", "-u", "public", "-r", "private", "-c", "sealed")
        tpm.flush()
        root = tpm.run("tpm2_unseal", "-c", "sealed", "-p", f"pcr:{bank}")
        tpm.flush()
    if len(root) != KEY_BYTES:
        raise KeysMismatch("the TPM unsealed something else", tcti, RECOVER)
    return root


class _Tpm:
    """Runs the tools in a folder of their own, which holds contexts that only the TPM can read."""

    def __init__(self, tcti: str, folder: Path) -> None:
        self._tcti = tcti
        self._folder = folder

    def primary(self) -> None:
        self.flush()
        self.run("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary")
        self.flush()

    def flush(self) -> None:
        """Free the three places for objects: without a resource manager every tool leaves one filled."""
        self._run(["tpm2_flushcontext", "-t"])

    def run(self, tool: str, *arguments: str, given: bytes | None = None) -> bytes:
        done = self._run([tool, *arguments], given)
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.lower()
        if any(mark in said for mark in _POLICY_FAILED):
            raise PcrsChanged("the PCRs changed: firmware, boot loader or kernel are others", self._tcti, RECOVER)
        if any(mark in said for mark in _NOT_OURS):
            raise PcrsChanged("the root was sealed by another TPM, or this one was cleared", self._tcti, RECOVER)
        if b"tcti" in said:
            raise TokenMissing("the TPM cannot be reached", self._tcti, f"check keys.tpm2_tcti; else {RECOVER}")
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        raise KeysLocked(f"{tool} failed ({last[0][:200]})", self._tcti, f"look at the TPM; else {RECOVER}")

    def _run(self, command: Sequence[str], given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        environment = {"TPM2TOOLS_TCTI": self._tcti, "PATH": "/usr/bin:/bin:/usr/local/bin"}
        try:
            return subprocess.run(  # noqa: PLW1510 - run() looks at the code
                command, input=given or b"", cwd=self._folder, env=environment, capture_output=True, timeout=_LIMIT_S
            )
        except FileNotFoundError as error:
            raise TokenMissing(f"there is no {command[0]}", "tpm2-tools", "install tpm2-tools") from error
        except subprocess.TimeoutExpired as error:
            raise TokenMissing(
                "the TPM does not answer", self._tcti, f"check keys.tpm2_tcti; else {RECOVER}"
            ) from error
