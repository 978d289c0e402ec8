"""The audit trail: who looked at what and changed what, and the proof of each row."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, query_of
from vittne.appliance.api.brief import as_json, seen_all
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.paging import PageQuery, cursor_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.visible import Levels, levels_for, refuse_partial
from vittne.appliance.audit_command import held_against
from vittne.appliance.auditproof import RowProof, prove_row
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue

LOOKS: Final = (
    events.PLAYED,
    events.OVERHEARD,
    events.HEARD,
    events.VIEWED,
    events.EXPORTED,
    events.LOOK_REFUSED,
    events.SEARCHED,
)
_TOLD: Final = 200  # disagreements


class AuditQuery(PageQuery):
    """Which rows. kind: several with commas. looks: only who looked, copied or searched."""

    since: Moment | None = None
    until: Moment | None = None
    actor: str = Field(default="", max_length=200)
    recording: str = Field(default="", max_length=64)
    kind: str = Field(default="", max_length=500)
    looks: bool = False

    def search(self) -> AuditSearch:
        """Return it as the table takes it: one row more than a page."""
        kinds = tuple(one.strip() for one in self.kind.split(",") if one.strip())
        return AuditSearch(
            since_us=None if self.since is None else us_of(self.since),
            until_us=None if self.until is None else us_of(self.until),
            actor=self.actor.strip(),
            recording=self.recording.strip(),
            kinds=LOOKS if self.looks and not kinds else kinds,
            limit=self.limit + 1,
            before=self.place,
        )


class AuditRowShown(ApiModel):
    """A row. entry: its index in the ledger. details: where numbers may be seen, a search tells of some."""

    id: str
    at: str
    kind: str
    actor: str
    via: str
    recording: str
    entry: int | None
    details: Annotated[dict[str, Any], Of("party")]


class AuditShown(ApiModel):
    """Rows, the newest first. A page may hold fewer than asked for: go on while there is a next."""

    rows: list[AuditRowShown]
    next: str | None = None


class ProofShown(ApiModel):
    """What proves a row. Each check: holds, fails or unchecked, and the words for it."""

    row: str
    entry: int | None
    ledger_size: int
    path: list[str]
    root: str
    stamp: str
    checks: list[dict[str, str]]
    proof: str


class CheckShown(ApiModel):
    """The whole trail held against the ledger."""

    rows: int
    entries: int
    differences: list[str]
    more: bool


def row_shown(row: AuditRow) -> AuditRowShown:
    """Return a row as an answer shows it."""
    said = row.as_json()
    return AuditRowShown(**{name: said[name] for name in AuditRowShown.model_fields})


async def rows_of(request: web.Request, query: AuditQuery) -> tuple[list[tuple[AuditRow, Levels]], str | None]:
    """Return a page of the rows that exist for who asks, the newest first, and the cursor of the next."""
    who, search = principal_of(request), query.search()
    found = await request.app[READER](lambda catalogue: list(AuditTable(catalogue).search(search)))
    found.reverse()
    page = found[: query.limit]
    mine = await seen_all(request, [row.recording for row in page if row.recording])
    general = levels_for(who, "audit")
    rows = []
    for row in page:
        levels = general if not row.recording else mine[row.recording].levels if row.recording in mine else None
        if levels is not None and levels["audit"] != "none":
            rows.append((row, levels))
    return rows, cursor_of((page[-1].at_us, page[-1].id)) if len(found) > query.limit else None


async def listed(request: web.Request) -> web.Response:
    """List rows."""
    rows, following = await rows_of(request, query_of(request, AuditQuery))
    return as_json({"rows": [shown(row_shown(row), levels) for row, levels in rows], "next": following})


async def proof(request: web.Request) -> web.Response:
    """Prove a row: that it says what the ledger fixed, that the ledger has it, and since when at the latest."""
    return answer(proof_shown(await proof_of(request)))


async def proof_of(request: web.Request) -> RowProof:
    """Return the proof of the row that an address names. Raises Problem."""
    name = request.match_info["id"]
    row = await request.app[READER](_row, name)
    mine = {} if row is None or not row.recording else await seen_all(request, [row.recording])
    levels = levels_for(principal_of(request), "audit") if row is not None and not row.recording else None
    if row is not None and row.recording in mine:
        levels = mine[row.recording].levels
    if row is None or levels is None or levels["audit"] == "none":
        raise Problem(404, "/problems/not-there", "No row of the trail has this id")
    reader, stamps = request.app[READER], request.app[CONFIG].stamps
    return await reader.work(lambda: prove_row(reader.data_dir, row, stamps))


def _row(catalogue: Catalogue, name: str) -> AuditRow | None:
    return AuditTable(catalogue).get(name)


def proof_shown(found: RowProof) -> ProofShown:
    """Return a proof as an answer shows it."""
    return ProofShown(
        row=found.row.id,
        entry=found.row.entry,
        ledger_size=found.size,
        path=list(found.path),
        root=found.root,
        stamp=found.stamp,
        checks=[{"name": one.name, "state": one.result, "words": one.words} for one in found.checks],
        proof=found.text,
    )


async def check(request: web.Request) -> web.Response:
    """Hold every row against its entry in the ledger."""
    refuse_partial(principal_of(request))
    reader = request.app[READER]
    rows, entries, wrong = await reader.long(lambda: held_against(reader.data_dir))
    return answer(CheckShown(rows=rows, entries=entries, differences=wrong[:_TOLD], more=len(wrong) > _TOLD))


_MAY: Final = needs("audit")
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/audit",
        listed,
        _MAY,
        About("Who looked at what, and changed what", "Audit", {200: Answer("Rows", AuditShown)}, query=AuditQuery),
    ),
    Route(
        "GET",
        f"{PREFIX}/audit/{{id}}/proof",
        proof,
        _MAY,
        About("What proves a row", "Audit", {200: Answer("The proof, checked", ProofShown)}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/audit/check",
        check,
        _MAY,
        About("Hold the whole trail against the ledger", "Audit", {200: Answer("What was found", CheckShown)}),
    ),
)
