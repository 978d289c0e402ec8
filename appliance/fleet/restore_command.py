"""`vittne fleet restore` and `forget`: after this recorder's catalogue was lost. The recorder must not run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from vittne.appliance.cli_values import print_lines
from vittne.appliance.fleet import triggers
from vittne.appliance.fleet.restoring import Restored, restore
from vittne.appliance.fleet.server import schema_of, server_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.life.carry import LOST_FILE
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.show import json_array
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import RED, YELLOW, clean, painted

_SHOWN = 20


def run(data: Path, settings: CatalogueSettings, replace: bool, as_json: bool) -> int:
    """Bring it back; 0 when all that the ledger tells of is there again. Raises StoreError."""
    if not settings.url:
        raise StoreError("no shared catalogue is configured", "[catalogue]", "set catalogue.url and its password")
    with DataLock(data, "bringing the catalogue back"):
        schema = schema_of(load_verifier(data / "keys").name)
        found = restore(data, server_of(settings, schema), settings.url, replace)
    if as_json:
        sys.stdout.writelines(json_array([asdict(found)]))
    else:
        _tell(found)
    return 1 if found.missing or found.problems else 0


def forget(data: Path, is_sure: bool, as_json: bool) -> int:
    """Have what is here count. Raises StoreError."""
    if not is_sure:
        what = "the shared catalogue then loses every call of this recorder that is not in its own catalogue"
        raise StoreError(what, data, "`vittne fleet restore --replace` brings them back; if that is meant, add --yes")
    with DataLock(data, "settling the shared catalogue"), Catalogue(data / CATALOGUE_FILE) as catalogue:
        done = triggers.count_mine(catalogue)
    if as_json:
        sys.stdout.writelines(json_array([{"done": done}]))
    else:
        print_lines(["all is compared when it records again" if done else "nothing is shared: nothing was done"])
    return 0


def _tell(found: Restored) -> None:
    print_lines([f"the catalogue is back as it was sent last, {rfc3339(found.sent_us)}:"])
    print_lines([f"  {count:>9} {name}" for name, count in found.rows.items() if count])
    if found.from_disk:
        print_lines([f"{found.from_disk} calls were not sent: their recordings told of them"])
    if found.not_here:
        print_lines([f"{found.not_here} recordings are not on this disk: `vittne storage scan`, docs/storage.md"])
    if found.erased_again:
        print_lines([f"{found.erased_again} that the ledger says are erased had come back, and were erased again"])
    for words in found.problems[:_SHOWN]:
        print(painted(clean(words, 300), YELLOW), file=sys.stderr)
    if len(found.problems) > _SHOWN:
        print(painted(f"and {len(found.problems) - _SHOWN} more", YELLOW), file=sys.stderr)
    if found.missing:
        words = f"the ledger has {found.missing} entries whose row in the trail was not sent, or was lost there"
        print(painted(words, RED), file=sys.stderr)
    if found.is_stopped:
        print(painted(f"there may have been holds among them: nothing is erased while {LOST_FILE} is there", RED))
    print_lines(
        [
            "calls since then of which nothing was recorded, users, roles and tokens come from a backup only;",
            "`vittne rebuild --check` holds it against every recording",
        ]
    )
