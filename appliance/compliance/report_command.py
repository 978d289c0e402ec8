"""`vittne report`: look, and print or write what was found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.compliance.finding import MET, NOT_COVERED, NOT_MET
from vittne.appliance.compliance.report import Report, make_report
from vittne.appliance.config import Config
from vittne.appliance.outfile import STDOUT, whole_file
from vittne.appliance.show import json_object
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import BOLD, FAINT, GREEN, RED, YELLOW, clean, painted

_COLOURS: Final = {MET: GREEN, NOT_MET: RED, NOT_COVERED: YELLOW}
_YEAR_US: Final = 365 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """As the command line says. Times are microseconds UTC."""

    regimes: Sequence[str]
    since: int | None
    until: int | None
    output: str
    force: bool
    json: bool


def run(data: Path, config: Config, options: ReportOptions) -> int:
    """Make a report. Exit status 1 when a requirement is not met."""
    until = options.until or now_us()
    since = until - _YEAR_US if options.since is None else options.since
    if since >= until:
        raise StoreError("the report's time ends before it begins", "report", "give --since before --until")
    kind = Path(options.output).suffix.lower() if options.output not in ("", STDOUT) else ""
    if options.output and kind not in (".html", ".pdf"):
        raise StoreError("a report is HTML or PDF", options.output, "name FILE.html or FILE.pdf, or give --json")
    report = make_report(data, config, since, until, options.regimes)
    if options.output:
        from vittne.appliance.compliance.pages import as_html, as_pdf  # noqa: PLC0415

        with whole_file(options.output, options.force) as (stream, _):
            stream.write(as_pdf(report) if kind == ".pdf" else as_html(report))
        states = dict(report.head())["states"]
        print(f"{options.output}: {len(report.found)} requirements: {states}", file=sys.stderr)
    if options.json:
        sys.stdout.write(json_object(report.as_json()))
    elif not options.output:
        print("\n".join(_lines(report)))
    return int(bool(report.states[NOT_MET]))


def _lines(report: Report) -> list[str]:
    lines = [f"{painted(f'{name:8}', FAINT)} {clean(value)}" for name, value in report.head()]
    for title, rows in report.by_regime():
        lines += ["", painted(title, BOLD)]
        for one in rows:
            state = one.finding.state
            lines.append(f"{painted(state, _COLOURS.get(state, FAINT))}  {one.row.article}: {one.row.asks}")
            lines += [f"    {clean(words)}" for words in one.finding.evidence]
            lines += [painted(f"    $ vittne {one.row.command}", FAINT)] if one.row.command else []
    return lines
