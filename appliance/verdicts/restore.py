"""Verdicts written anew from what outlives a catalogue: the manifest has the first, the ledger the later ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vittne.appliance.seal.history import VerdictEntry
from vittne.appliance.seal.manifest import Manifest
from vittne.appliance.store.rows import CallRow
from vittne.appliance.verdicts.heard import heard_or_nothing
from vittne.appliance.verdicts.stored import ENTERED, NOTHING, is_missing, proven_by, wants_quarantine
from vittne.appliance.verdicts.table import LEDGER, RECORDER, Kept
from vittne.appliance.verdicts.talked import details_of


def restored(
    row: CallRow, manifest: Manifest, later: Sequence[VerdictEntry] = (), is_released: bool = False
) -> tuple[CallRow, list[Kept]]:
    """Return a call with its newest verdict, and all of them. later: those of the ledger.

    One that was recorded before there were verdicts has none.
    """
    first = dict(manifest.announcement) or NOTHING
    if not manifest.announcement and not later and not row.announced:
        return row, []
    at = row.ended_us or row.started_us
    kept = [Kept(row.id, 1, at, RECORDER, first)]
    newest = {one.n: one for one in later if one.n > 1}  # a crash may have had one entered twice: the later stands
    kept += [Kept(row.id, n, one.at_us, LEDGER, told_in(one.event)) for n, one in sorted(newest.items())]
    return stand(row, [(one.told, one.at_us) for one in kept], is_released), kept


def stand(row: CallRow, verdicts: Sequence[tuple[Mapping[str, Any], int]], is_released: bool) -> CallRow:
    """Return a call as verdicts on it, one after the other, leave it. With each: when it was found, us UTC.

    is_released: a person took it out of quarantine; no verdict puts it back.
    """
    since_us, basis = None, row.basis
    for told, at_us in verdicts:
        basis = proven_by(basis, told)
        if since_us is None and wants_quarantine(told) and is_missing(told):
            since_us = at_us
    told, _ = verdicts[-1]
    if row.erased_us is not None:
        return replace(row, announced=str(told["announced"]))
    return replace(
        row,
        announced=str(told["announced"]),
        basis=basis,
        quarantined_us=None if is_released else since_us,
        details={**row.details, "announcement": dict(told)},
    )


def with_heard(row: CallRow, meta: Mapping[str, Any]) -> CallRow:
    """Return a call with what was heard of it, as it is sealed in its recording."""
    heard = heard_or_nothing(meta)
    return row if heard is None else replace(row, details={**row.details, "heard": details_of(heard, meta)})


def told_in(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict that an entry of the ledger has."""
    return {name: event[name] for name in ENTERED if name in event}
