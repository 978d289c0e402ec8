"""`vittne inventory` and `vittne lawful-basis`: what is kept, what for, and on what ground."""

from __future__ import annotations

import csv
import io
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.inventory import COLUMNS, Inventory, bases, take_inventory, without_basis
from vittne.appliance.config import Config
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import FAINT, GREEN, RED, YELLOW, Cell, Column, clean, painted, table

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for one at a cell's begin


def show(data: Path, config: Config, form: str) -> int:
    """Print the record of processing. form: "csv", "json", "html" or "" for people."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = take_inventory(catalogue, config, now_us())
    if form == "json":
        sys.stdout.write(json_object(found.as_json()))
    elif form == "csv":
        sys.stdout.write(as_csv(found))
    elif form == "html":
        sys.stdout.write(as_html(found))
    else:
        print("\n".join(_lines(found)))
    return 0


def as_csv(found: Inventory) -> str:
    """Return the lines as CSV (RFC 4180), a head first; no cell is a spreadsheet's formula."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in line.as_json().values()] for line in found.lines)
    return stream.getvalue()


def as_html(found: Inventory) -> str:
    """Return a page that needs nothing else."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only who wants a page pays for it

    text = files("vittne.appliance.compliance").joinpath("inventory.html").read_text("utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
    return page.render(told=found.as_json(), columns=COLUMNS)


def lawful_bases(data: Path, prefix: str, missing: bool, as_json: bool) -> int:
    """Print the basis of a recording, or recordings without. Exit status 1 when there is one without."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        if prefix:
            row = catalogue.get(prefix)
            basis = dict(row.basis)
            if as_json:
                sys.stdout.write(json_object({"id": row.id, "basis": basis}))
            else:
                print("\n".join(_basis(basis)))
            return int(not basis.get("lawful_basis"))
        told = [{"id": one, "started_at": rfc3339(at), "why": why} for one, at, why in without_basis(catalogue)]
        found = bases(catalogue)
    if as_json:
        sys.stdout.writelines(json_array(told if missing else found))
    elif missing:
        lines = [f"{one['started_at'][:19]}  {one['id']}  {one['why']}" for one in told]
        print("\n".join([*lines, painted(f"{len(told)} recordings without a lawful basis", RED if told else GREEN)]))
    else:
        columns = [
            Column("lawful basis"),
            Column("purpose", least=10),
            Column("proven"),
            Column("recordings", right=True),
        ]
        rows = [
            [_named(one["lawful_basis"]), clean(one["purpose"]), one["proven"], str(one["recordings"])] for one in found
        ]
        print("\n".join(table(columns, rows) if rows else ["nothing is kept"]))
    return int(bool(told))


def _named(basis: str) -> Cell:
    return Cell(clean(basis)) if basis else Cell("none", RED)


def _basis(basis: dict[str, Any]) -> list[str]:
    if not basis.get("lawful_basis"):
        return [painted("no lawful basis: no rule of [[basis]] fitted when it was sealed", RED)]
    return [
        f"{painted(f'{name:13}', FAINT)} {clean(value)}" for name, value in basis.items() if value not in ("", None)
    ]


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(found: Inventory) -> list[str]:
    lines = []
    for name, value in found.controller.items():
        said = clean(value) if value else painted("not named: [inventory] in the configuration", YELLOW)
        lines.append(f"{painted(f'{name:11}', FAINT)} {said}")
    lines.append(f"{painted('persons    ', FAINT)} {'; '.join(map(clean, found.persons))}")
    given = [
        f"{clean(one['name'])} ({one['copies']} copies)" if one["copies"] else clean(one["name"])
        for one in found.recipients
    ]
    lines.append(f"{painted('recipients ', FAINT)} {'; '.join(given) or 'nobody'}")
    columns = [
        Column("class", least=6),
        Column("site", spare=2),
        Column("purpose", least=10),
        Column("basis", least=8),
        Column("recordings", right=True),
        Column("bytes", right=True),
        Column("locked", spare=1),
        Column("erased after", least=6),
        Column("owner", spare=3),
    ]
    rows: list[list[str | Cell]] = [
        [
            clean(line.of[0]) or Cell("none", RED),
            clean(line.of[1]),
            clean(line.of[2]),
            _named(line.of[3]),
            str(line.recordings),
            f"{line.size_bytes:,}",
            *map(clean, line.kept),
        ]
        for line in found.lines
    ]
    lines += ["", *(table(columns, rows) if rows else ["nothing is kept"])]
    if found.without_basis:
        lines += [
            "",
            painted(f"{found.without_basis} recordings without a lawful basis: `vittne lawful-basis --missing`", RED),
        ]
    return lines
