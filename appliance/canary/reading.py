"""The process that reads a canary's recording: it is given the recording's own data keys and no others.

One JSON object comes in on stdin, one goes out on stdout: {"checks": [[name, result, words], ...]}. The whole ledger is
read for `ledger`; that is why it is a process, and gives way to all others.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vittne.appliance.canary.expected import ExpectedVoice
from vittne.appliance.seal.opener import GivenKeys, Locked
from vittne.appliance.seal.verdict import FAILS, HOLDS, Check, fails, holds, unchecked
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.errors import StoreError

CONTENT: Final = ("complete", "audio", "timestamps")
_LOCKED: Final = "the archive is locked: what is in the recording was not looked at"
_LONGEST_S: Final = 600.0
_LEDGER: Final = "ledger"


async def read_recording(
    data_dir: Path, folder: str, recording: str, keys: Mapping[int, bytes], voices: Sequence[ExpectedVoice]
) -> list[Check]:
    """Return what the process finds. keys: data keys by part; none: the archive is locked. Raises StoreError."""
    asked = {
        "data": str(data_dir),
        "folder": folder,
        "recording": recording,
        "keys": {str(n): key.hex() for n, key in keys.items()},
        "voices": [one.as_json() for one in voices],
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vittne.appliance.canary.reading"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LONGEST_S):
            said, _ = await process.communicate(json.dumps(asked).encode())
        return [Check(str(a), str(b), str(c)) for a, b, c in json.loads(said)["checks"]]
    except (ValueError, KeyError, TypeError, TimeoutError) as error:
        what = "the process that reads the canary's recording did not answer"
        raise StoreError(what, recording, "see the log; it is tried again with the next call") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def checks_of(asked: Mapping[str, Any]) -> list[Check]:
    """Return all checks of what is on the disk."""
    data, recording = Path(asked["data"]), str(asked["recording"])
    keys = {int(n): bytes.fromhex(key) for n, key in asked["keys"].items()}
    verdict = verify(data, recording, opener=GivenKeys(recording, keys) if keys else Locked(_LOCKED))
    return [*_content(asked, data, recording, keys), _sealed(verdict.checks), _in_ledger(verdict.checks)]


def _content(asked: Mapping[str, Any], data: Path, recording: str, keys: dict[int, bytes]) -> list[Check]:
    from vittne.appliance.canary.content import content_checks  # noqa: PLC0415 - numpy, where it is needed

    if not keys:
        return [unchecked(name, _LOCKED) for name in CONTENT]
    try:
        return content_checks([ExpectedVoice.from_json(one) for one in asked["voices"]], _stored(asked, data, keys))
    except StoreError as error:
        return [fails(name, str(error)) for name in CONTENT]


def _stored(asked: Mapping[str, Any], data: Path, keys: dict[int, bytes]) -> dict[int, Any]:
    """Return the packets by SSRC. Raises StoreError."""
    from vittne.appliance.canary.content import StoredVoice  # noqa: PLC0415
    from vittne.appliance.opened import OpenedRecording, folder_of  # noqa: PLC0415
    from vittne.appliance.seal.records import RTP  # noqa: PLC0415

    found: dict[int, StoredVoice] = {}
    with OpenedRecording(folder_of(data, asked["folder"], asked["recording"]), keys) as opened:
        for _, plain, rows in opened.read():
            mine = rows.where(rows.type == RTP)
            for at, offset, length in zip(mine.at_ns.tolist(), mine.offset.tolist(), mine.length.tolist(), strict=True):
                packet = bytes(plain[offset : offset + length])
                voice = found.setdefault(int.from_bytes(packet[8:12]), StoredVoice())
                voice.packets.append(packet)
                voice.at_ns.append(at)
        if opened.problems:
            raise StoreError(opened.problems[0], asked["recording"], "`vittne verify` says more")
    return found


def _sealed(checks: Sequence[Check]) -> Check:
    """All that verification says of it, but for the ledger: as one check."""
    wrong = [check for check in checks if check.result == FAILS and check.name != _LEDGER]
    if wrong:
        return fails("sealed", f"{wrong[0].name}: {wrong[0].words}")
    open_ = [check for check in checks if check.result != HOLDS and check.name != _LEDGER]
    if open_:
        return unchecked("sealed", f"{open_[0].name}: {open_[0].words}")
    return holds("sealed", f"it verifies: {', '.join(check.name for check in checks if check.name != _LEDGER)}")


def _in_ledger(checks: Sequence[Check]) -> Check:
    found = next((check for check in checks if check.name == _LEDGER), None)
    return fails(_LEDGER, "nothing was said of it") if found is None else found


def main() -> int:
    """Answer one question."""
    os.nice(10)
    told = checks_of(json.load(sys.stdin))
    json.dump({"checks": [[check.name, check.result, check.words] for check in told]}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
