"""`vittne stamp`: time stamps of third parties over the ledger's checkpoints.

All may run while calls are recorded. What asks, verifies and writes stamps does so in this process; only the
entry in the ledger is made by its one writer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vittne.appliance.config import Config
from vittne.appliance.control.client import perform
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.verdict import Verdict
from vittne.appliance.show import json_array
from vittne.appliance.stamps import folders
from vittne.appliance.stamps.carrying import export_requests, import_answer, read_answer_file
from vittne.appliance.stamps.folders import Stamp
from vittne.appliance.stamps.operation import ENTER_STAMPS, EnterStamps
from vittne.appliance.stamps.settings import AuthoritySettings
from vittne.appliance.stamps.standing import Standing, standings
from vittne.appliance.stamps.taking import alarms, fetch_stamp
from vittne.appliance.stamps.verifying import trust_of, verify_stamps
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, Cell, Column, clean, table
from vittne.appliance.verify_command import exit_status, verdict_json, verdict_lines

_NO_AUTHORITY: Final = "add [[stamps.authorities]] to the configuration: docs/time.md"


def now(data: Path, config: Config, names: Sequence[str]) -> int:
    """Ask authorities for a stamp at once. Exit status 1 when one gave none."""
    wanted = [one for one in _authorities(config, names) if one.url is not None]
    if not wanted:
        raise StoreError("none of these authorities has an address", "stamp now", "use `vittne stamp export`")
    stamped = asyncio.run(_fetch(data, load_verifier(data / "keys"), wanted, config.stamps.revocation))
    got = [folder for folder in stamped if isinstance(folder, Path)]
    _enter(data, got)
    for folder in got:
        stamp = folders.read_stamp(folder)
        print(_told(stamp))
        for words in alarms(stamp, int(config.clock.max_error_ms * 1000)):
            print(f"vittne: {words}", file=sys.stderr)
    for error in stamped:
        if not isinstance(error, Path):
            print(f"vittne: {clean(error, 600)}", file=sys.stderr)
    return int(len(got) < len(wanted))


def export(data: Path, config: Config, names: Sequence[str], where: Path) -> int:
    """Write requests to files, to be carried to authorities."""
    for one in export_requests(data, _authorities(config, names), where):
        print(f"{one.file}: a request to {one.authority} for the checkpoint with {one.size} entries")
    return 0


def take(data: Path, config: Config, file: Path) -> int:
    """Take an authority's answer from a file."""
    folder = import_answer(data, load_verifier(data / "keys"), config.stamps, read_answer_file(file))
    _enter(data, [folder])
    print(_told(folders.read_stamp(folder)))
    return 0


def list_all(data: Path, as_json: bool) -> int:
    """Print all stamps."""
    found = [(folder, folders.read_stamp(folder)) for folder in folders.all_stamps(data)]
    if as_json:
        sys.stdout.writelines(json_array(_as_json(folder, stamp) for folder, stamp in found))
        return 0
    columns = [
        Column("checkpoint", right=True),
        Column("authority"),
        Column("time (UTC)", least=19),
        Column("within", right=True),
        Column("verified by"),
        Column("way", spare=2),
        Column("signed by", least=12, spare=1),
    ]
    rows = [_row(stamp) for _, stamp in found]
    print("\n".join(table(columns, rows)) if rows else "no time stamps")
    return 0


def verify(data: Path, config: Config, names: Sequence[str], ca_file: Path | None, as_json: bool) -> int:
    """Check stored stamps, those named or all; exit status as of `vittne verify`."""
    chosen = None if not names else [_named(data, name) for name in names]
    verdicts = verify_stamps(data, trust_of(config.stamps, ca_file), chosen)
    if as_json:
        sys.stdout.writelines(json_array(map(verdict_json, verdicts)))
    else:
        print("\n".join(line for verdict in verdicts for line in _lines(verdict)))
    return exit_status(verdicts)


def status(data: Path, config: Config, as_json: bool) -> int:
    """Say how old each authority's newest stamp is. Exit status 1 when one is late."""
    found = standings(data, config.stamps, now_us())
    if as_json:
        sys.stdout.writelines(json_array(one.as_json() for one in found))
    elif not found:
        print(f"no authority is configured: {_NO_AUTHORITY}")
    else:
        columns = [Column("authority"), Column("newest (UTC)"), Column("checkpoint", right=True), Column("stamps")]
        rows = [_standing_row(one) for one in found]
        print("\n".join(table([*columns, Column("due (UTC)", spare=1), Column("state")], rows)))
    return int(any(one.late for one in found))


async def _fetch(
    data: Path, key: VerifyKey, authorities: Sequence[AuthoritySettings], revocation: bool
) -> list[Path | StoreError]:
    """Return each authority's stamp, or why it gave none."""

    async def one(authority: AuthoritySettings) -> Path | StoreError:
        try:
            return await fetch_stamp(data, key, authority, revocation)
        except StoreError as error:
            return error

    return await asyncio.gather(*map(one, authorities))


def _enter(data: Path, found: Sequence[Path]) -> None:
    """Have stamps entered in the ledger, by the recorder when one runs."""
    names = tuple(folder.name for folder in found if not (folder / folders.ENTRY_FILE).exists())
    if names:
        perform(data, ENTER_STAMPS, EnterStamps(names=names))


def _authorities(config: Config, names: Sequence[str]) -> list[AuthoritySettings]:
    known = {one.name: one for one in config.stamps.authorities}
    if not known:
        raise StoreError("no authority is configured", "stamp", _NO_AUTHORITY)
    for name in names:
        if name not in known:
            raise StoreError(f"there is no authority {clean(name, 40)}", "stamp", f"there are: {', '.join(known)}")
    return [one for name, one in known.items() if not names or name in names]


def _named(data: Path, name: str) -> Path:
    folder = next((one for one in folders.all_stamps(data) if one.name == name), None)
    if folder is None:
        raise StoreError(f"there is no stamp {clean(name, 60)}", "stamp", "`vittne stamp list` shows what there is")
    return folder


def _told(stamp: Stamp) -> str:
    by = clean(stamp.signer or stamp.authority)
    return f"{stamp.size}-{stamp.authority}: stamped at {stamp.gen_time} by {by}, verified by {stamp.verified_by}"


def _lines(verdict: Verdict) -> list[str]:
    return verdict_lines(verdict, whole=True)


def _row(stamp: Stamp) -> list[str | Cell]:
    accuracy = "" if stamp.accuracy_us is None else f"{stamp.accuracy_us / 1e6:g} s"
    time = stamp.gen_time[:19].replace("T", " ")
    return [str(stamp.size), stamp.authority, time, accuracy, stamp.verified_by, stamp.way, stamp.signer]


def _as_json(folder: Path, stamp: Stamp) -> dict[str, Any]:
    entry = folder / folders.ENTRY_FILE
    index = int(folders.read_file(entry)) if entry.exists() else None
    return {"name": folder.name, **asdict(stamp), "entry": index}


def _standing_row(one: Standing) -> list[str | Cell]:
    newest = "never" if one.stamped_us is None else rfc3339(one.stamped_us)[:19].replace("T", " ")
    due = rfc3339(one.due_us)[:19].replace("T", " ")
    state = Cell("late", RED) if one.late else Cell("due", YELLOW) if one.due_us <= now_us() else Cell("good", GREEN)
    return [one.authority, newest, str(one.size), str(one.stamps), due, state]
