"""GET /doctor: is this tap good, and this box? What `vittne doctor` says, of the recorder that answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web

from vittne.appliance.api.bodies import ApiModel, answer, query_of
from vittne.appliance.api.live import STATE
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.config import Config
from vittne.appliance.doctor.examine import Report, report_on_box
from vittne.appliance.doctor.finding import Weight
from vittne.appliance.doctor.recorderfacts import Facts

_AGAIN_S: Final = 5.0
_KEPT_S: Final = 30.0  # the disk is tried for each look: nobody can have it tried without end


@dataclass(slots=True)
class Doctor:
    """Who looks, and what was found last. One look at a time; whoever comes meanwhile gets what it found.

    kept_s: how long it is given again; again_s: to who asks for a new one.
    """

    config: Config
    file: Path | None
    facts: Facts
    kept_s: float = _KEPT_S
    again_s: float = _AGAIN_S
    last: Report | None = None
    last_s: float = 0.0
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


DOCTOR: Final = web.AppKey("vittne.doctor", Doctor)


class FindingShown(ApiModel):
    """What one check found. name: never changes; weight: bad, warn, note, good; remedy: empty where none is needed."""

    name: str
    weight: Weight
    words: str
    remedy: str
    facts: dict[str, Any]


class DoctorShown(ApiModel):
    """The findings, the worst first. verdict: the weight of the worst; of: the interfaces."""

    at: str
    source: Literal["files", "interfaces", "box"]
    of: list[str]
    verdict: Weight
    findings: list[FindingShown]


class DoctorQuery(ApiModel):
    """download: as a file to keep or send."""

    download: bool = False


async def examined(request: web.Request, is_again: bool = False) -> Report:
    """Return what is found of this box and its tap, some seconds old at most. Raises TooBusy, StoreError."""
    doctor, reader = request.app[DOCTOR], request.app[READER]
    kept_s = doctor.again_s if is_again else doctor.kept_s
    async with doctor.looking:
        if doctor.last is None or time.monotonic() - doctor.last_s > kept_s:
            await request.app[STATE].read()  # so that the keys are asked
            facts = doctor.facts()
            doctor.last = await reader.long(
                lambda: report_on_box(doctor.config, facts, reader.catalogue, file=doctor.file)
            )
            doctor.last_s = time.monotonic()
        return doctor.last


async def show(request: web.Request) -> web.Response:
    """Give the findings."""
    wanted = query_of(request, DoctorQuery)
    response = answer(DoctorShown.model_validate((await examined(request)).as_json()))
    if wanted.download:
        response.headers["Content-Disposition"] = 'attachment; filename="vittne-doctor.json"'
    return response


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/doctor",
        show,
        needs("read"),
        About(
            "Is this tap good?",
            "Recorder",
            {200: Answer("What is found, the worst first", DoctorShown)},
            query=DoctorQuery,
            problems=(503,),
            words="Of the tap, the cards, the clock, the disk, keys and certificate. Takes a second or two; what was "
            "found is kept for half a minute.",
        ),
    ),
)
