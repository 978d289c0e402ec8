"""`vittne fleet`: what all recorders together know, as tables for people and as JSON for programs.

Who has the reader's password sees all calls; so every search is entered in the trail of the recorder that it is
made on. Where that cannot be done it says so, and shows what it found: the password is what lets somebody see it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.cli_values import catalogue_of, print_lines
from vittne.appliance.fleet.boxes import FoundThere, SharedCatalogue
from vittne.appliance.fleet.server import all_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.fleet.triggers import waiting
from vittne.appliance.listing.query import Query
from vittne.appliance.searching import enter_search
from vittne.appliance.show import json_array
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import Column, clean, duration, table

_ALL: Final = BUILT_IN["compliance"]
_COLUMNS: Final = (
    *(Column("recorder"), Column("id"), Column("started (UTC)"), Column("caller", least=11)),
    *(Column("callee", least=11), Column("duration", right=True), Column("outcome", least=8)),
)


def show_boxes(settings: CatalogueSettings, as_json: bool) -> int:
    """Say which recorders there are."""
    with SharedCatalogue(all_of(settings)) as shared:
        found = shared.boxes()
    if as_json:
        told = [
            {
                **{name: getattr(box, name) for name in ("schema", "name", "console", "version", "problem")},
                "sent_at": rfc3339(box.shipped_us) if box.shipped_us else None,
            }
            for box in found
        ]
        sys.stdout.writelines(json_array(told))
        return 0
    rows = [(box.name, _at(box.shipped_us), box.version, box.console, box.schema, box.problem) for box in found]
    heads = (Column("recorder"), Column("sent (UTC)"), Column("version"), Column("console", least=10))
    print_lines(table((*heads, Column("schema"), Column("problem", least=8)), rows) if rows else ["no recorders"])
    return 0


def status(data: Path, settings: CatalogueSettings, as_json: bool) -> int:
    """Say what waits here."""
    with catalogue_of(data) as catalogue:
        number, since = waiting(catalogue)
    if as_json:
        told = {"url": settings.url, "waiting": number, "since": None if since is None else rfc3339(since)}
        sys.stdout.writelines(json_array([told]))
    elif not settings.url:
        print_lines(["no shared catalogue is configured"])
    else:
        print_lines(["all is there" if since is None else f"{number} wait, since {rfc3339(since)}"])
    return 0


def search_all(data: Path, settings: CatalogueSettings, asked: Mapping[str, Any], limit: int, as_json: bool) -> int:
    """Show what a search finds; 1 when a recorder could not be searched. Raises StoreError."""
    try:
        query = Query.model_validate(dict(asked))
    except ValidationError as error:
        raise StoreError("this cannot be searched for", str(error.errors()[0]["loc"][0]), "see --help") from None
    with SharedCatalogue(all_of(settings)) as shared:
        page = shared.search(Principal("user", "", "", (_ALL,)), query, now_us(), limit)
    enter_search(data, "all recorders", query.given(), len(page.calls))
    if as_json:
        sys.stdout.writelines(json_array(_told(one) for one in page.calls))
    else:
        lines = table(_COLUMNS, [_row(one) for one in page.calls]) if page.calls else ["no calls"]
        print_lines([*lines, *(["there are more: --until, or a higher --limit"] if page.cursor else [])])
    left_out = [box for box in page.boxes if box.problem]
    for box in left_out:
        print(f"not searched: {clean(box.name or box.schema)}: {clean(box.problem)}", file=sys.stderr)
    return 1 if left_out else 0


def _row(one: FoundThere) -> tuple[str, ...]:
    call = one.call.shown
    told = (one.box.name or one.box.schema, call.id, _at(call.started_us), call.caller, call.callee)
    return (*told, duration(call.duration_s), call.outcome)


def _told(one: FoundThere) -> dict[str, Any]:
    """Return a call as `vittne list --json` shows it, and whose it is."""
    console = one.box.console
    box = {"schema": one.box.schema, "name": one.box.name}
    link = f"{console}/recordings/{one.call.sealed.id}" if console.startswith("https://") else None
    return {"recorder": box, "link": link, **one.call.shown.as_json()}


def _at(at_us: int) -> str:
    return rfc3339(at_us)[:19].replace("T", " ") if at_us else "never"
