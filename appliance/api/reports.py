"""What an auditor takes away: the report by regulation, and the record of processing."""

from __future__ import annotations

from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, query_of
from vittne.appliance.api.brief import as_json
from vittne.appliance.api.moments import Span
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.visible import refuse_partial
from vittne.appliance.compliance.inventory import take_inventory
from vittne.appliance.compliance.inventory_command import as_csv
from vittne.appliance.compliance.inventory_command import as_html as inventory_html
from vittne.appliance.compliance.pages import as_html, as_pdf
from vittne.appliance.compliance.report import TITLES, Report, make_report
from vittne.appliance.store.times import now_us

_HTML: Final = "text/html"
_PDF: Final = "application/pdf"
_CSV: Final = "text/csv"
# A report is one file that may be opened from anywhere: its style is in it, and nothing is fetched or run.
_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


class ReportQuery(Span):
    """Which time (default: a year), which regulations (with commas; default: all), and what the report is to be."""

    regime: str = Field(default="", max_length=200)
    format: Literal["json", "html", "pdf"] = "json"

    def regimes(self) -> list[str]:
        """Return those that are asked for. Raises Problem."""
        wanted = [one.strip() for one in self.regime.split(",") if one.strip()]
        for one in wanted:
            if one not in TITLES:
                raise Problem(422, "/problems/no-such-regime", "No such regulation", f"there are {', '.join(TITLES)}")
        return wanted


class RequirementShown(ApiModel):
    """A requirement, and what was found by looking. command: shows the same at a terminal."""

    regime: str
    article: str
    asks: str
    state: str
    evidence: list[str]
    command: str


class ReportShown(ApiModel):
    """A report. This is no certificate and no legal advice."""

    since: str
    until: str
    made_at: str
    version: str
    site: str
    archive: str
    ledger: str
    states: dict[str, int]
    rows: list[RequirementShown]


class InventoryQuery(ApiModel):
    """What it is to be."""

    format: Literal["json", "csv", "html"] = "json"


class InventoryShown(ApiModel):
    """The record of processing (GDPR Art. 30)."""

    made_at: str
    controller: str
    contact: str
    owner: str
    categories_of_persons: list[str]
    categories_of_data: list[str]
    measures: list[str]
    recipients: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    without_basis: int


async def made(request: web.Request, query: ReportQuery) -> Report:
    """Look at everything that a report is about. It takes seconds, beside the loop."""
    refuse_partial(principal_of(request))
    since, until = query.times(now_us(), days=365)
    reader, config, regimes = request.app[READER], request.app[CONFIG], query.regimes()
    return await reader.long(lambda: make_report(reader.data_dir, config, since, until, regimes))


async def report(request: web.Request) -> web.Response:
    """Make a report."""
    query = query_of(request, ReportQuery)
    found = await made(request, query)
    if query.format == "json":
        return as_json(found.as_json())
    name = f"vittne-report-{'-'.join(query.regimes()) or 'all'}"
    if query.format == "pdf":
        return _file(await request.app[READER].long(lambda: as_pdf(found)), _PDF, f"{name}.pdf")
    return _file(await request.app[READER].long(lambda: as_html(found)), _HTML, f"{name}.html")


async def inventory(request: web.Request) -> web.Response:
    """Make the record of processing."""
    query = query_of(request, InventoryQuery)
    refuse_partial(principal_of(request))
    config = request.app[CONFIG]
    reader = request.app[READER]
    found = await reader.long(lambda: take_inventory(reader.catalogue, config, now_us()))
    if query.format == "json":
        return as_json(found.as_json())
    if query.format == "csv":
        return _file(as_csv(found).encode(), _CSV, "vittne-processing.csv")
    text = inventory_html(found)
    return _file(text.encode(), _HTML, "vittne-processing.html")


def _file(body: bytes, kind: str, name: str) -> web.Response:
    response = web.Response(body=body, content_type=kind, charset=None if kind == _PDF else "utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = _CSP
    return response


_MAY: Final = needs("audit")
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/reports/compliance",
        report,
        _MAY,
        About(
            "The auditor's report",
            "Reports",
            {200: Answer("The report, or a file", ReportShown, media=(_HTML, _PDF))},
            query=ReportQuery,
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/reports/processing",
        inventory,
        _MAY,
        About(
            "The record of processing (GDPR Art. 30)",
            "Reports",
            {200: Answer("The record, or a file", InventoryShown, media=(_CSV, _HTML))},
            query=InventoryQuery,
        ),
    ),
)
