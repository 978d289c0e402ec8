"""`vittne backup` and `vittne restore`: copy an archive, try a copy, go on from one."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vittne.appliance.backup.operation import ENTER_BACKUP, ENTER_DRILL, Drilled
from vittne.appliance.backup.place import Place, Snapshot
from vittne.appliance.backup.process import entry_of, point
from vittne.appliance.backup.write import Backup, Wanted
from vittne.appliance.control.client import perform
from vittne.appliance.outfile import progress
from vittne.appliance.scrub.cycle import Pace
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, clean, duration, painted


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What to restore, and how. before_us: the newest snapshot that is not after it; None: the newest."""

    source: Path
    to: Path | None
    before_us: int | None
    archive_key: Path | None
    count: int = 3


def backup(data: Path, target: Path, config: Path | None, keep_days: int, mb_per_s: float, as_json: bool) -> int:
    """Back up now; 0 when every recording is in it."""
    work = Backup(Wanted(data, target, config, keep_days), lambda: point(data), Pace(mb_per_s * 1e6).spent)
    with progress("backing up", 100) as bar:
        for step in work.steps():
            if step.total:
                bar(100 * step.done // step.total)
    done = work.done
    perform(data, ENTER_BACKUP, entry_of(done))
    if as_json:
        sys.stdout.write(json_object(asdict(done)))
    else:
        print(f"{done.recordings} recordings are in the backup, {done.copied} were copied ({done.bytes} bytes)")
    for problem in done.problems:
        print(painted(f"not in the backup: {clean(problem, 300)}", RED), file=sys.stderr)
    if not done.has_key:
        words = "the archive key has no passphrase and is not in the backup: keep a copy elsewhere, or give it one"
        print(painted(words, YELLOW), file=sys.stderr)
    return 1 if done.problems else 0


def list_snapshots(target: Path, as_json: bool) -> int:
    """Print the snapshots in a place, the oldest first."""
    found = Place(target).snapshots()
    if as_json:
        sys.stdout.writelines(json_array(_as_json(one) for one in found))
        return 0
    for one in found:
        print(f"{rfc3339(one.at_us)}  {one.recordings} recordings, {one.size} entries of the ledger")
    if not found:
        print("there is no snapshot yet")
    return 0


def restore(options: RestoreOptions) -> int:
    """Restore into an empty directory; 0 when all that the ledger knows is there."""
    from vittne.appliance.backup.restore import restore as bring_back  # noqa: PLC0415 - it loads the registrar

    assert options.to is not None
    with progress("restoring", 100) as bar:
        found = bring_back(
            options.source,
            options.to,
            options.before_us,
            options.archive_key,
            lambda done, total: bar(100 * done // max(total, 1)),
        )
    print(f"{options.to}: {found.recordings} recordings, {found.size} entries of the ledger")
    print(_behind(found.at_us, None))
    if found.lost:
        print(f"{found.lost} calls were being recorded at that moment, or began after it was copied: they are not here")
    if found.erased_again:
        print(f"{found.erased_again} recordings had been erased since, and were erased again")
    if found.without_key:
        words = f"{found.without_key} recordings have no key in that snapshot: nobody can hear them from it"
        print(painted(words, RED), file=sys.stderr)
    for problem in found.problems:
        print(painted(f"not restored: {clean(problem, 300)}", RED), file=sys.stderr)
    print(f"now look at all of it: vittne verify --all --data {options.to}")
    return 1 if found.problems or found.without_key else 0


def drill(options: RestoreOptions, data: Path | None, as_json: bool) -> int:
    """Try a backup, and enter what came of it; 0 when all that was tried can be heard."""
    from vittne.appliance.backup.drill import drill as try_out  # noqa: PLC0415 - it loads the decoders

    place = Place(options.source)
    archive = data if data is not None and _is_of(data, place) else None
    found = try_out(options.source, archive, options.count, options.before_us, options.archive_key)
    if archive is not None:
        size = LedgerView(archive / "ledger", load_verifier(archive / "keys")).checkpoint.size
        found.behind = size - found.size
        drilled = Drilled(
            recordings=found.recordings,
            good=found.good,
            ok=found.ok,
            size=found.size,
            proof=found.proof if options.before_us is None else None,
        )
        perform(archive, ENTER_DRILL, drilled)
    if as_json:
        sys.stdout.write(json_object({**asdict(found), "ok": found.ok, "at": rfc3339(found.at_us)}))
        return 0 if found.ok else 1
    print(_behind(found.at_us, found.behind))
    words = f"{found.good} of {found.recordings} recordings were brought back, opened and decoded"
    print(painted(f"{words}; {found.compared} compared with the original", GREEN if found.ok else RED))
    for problem in found.problems:
        print(painted(clean(problem, 300), RED), file=sys.stderr)
    if archive is None:
        print("not entered anywhere: the archive itself is not on this machine")
    return 0 if found.ok else 1


def _is_of(data: Path, place: Place) -> bool:
    try:
        return load_verifier(data / "keys").name == place.ledger
    except StoreError:
        return False


def _behind(at_us: int, entries: int | None) -> str:
    words = f"the backup is of {rfc3339(at_us)}, {duration(max(0, now_us() - at_us) / 1e6)} ago"
    return words if entries is None else f"{words}; {entries} entries of the ledger came since"


def _as_json(one: Snapshot) -> dict[str, Any]:
    return {"at": rfc3339(one.at_us), "recordings": one.recordings, "bytes": one.bytes, "ledger": one.size}
