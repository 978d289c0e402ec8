"""What somebody should look at today."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import sees_every_recording
from vittne.appliance.compliance.attention import Point, attention
from vittne.appliance.store.times import now_us

SCOPES: Final = ("audit", "approve", "subjects", "incidents", "retention", "review", "announcements")


class PointShown(ApiModel):
    """Something to look at. grade: bad, warn, or good where all is well; where: a page of the console."""

    name: str
    grade: str
    words: str
    where: str


class AttentionShown(ApiModel):
    """What there is, the worst first."""

    points: list[PointShown]


async def points_of(request: web.Request) -> list[Point]:
    """Return what is for who asks; what counts all recordings is for those who see them all."""
    who, reader, config = principal_of(request), request.app[READER], request.app[CONFIG]
    if not sees_every_recording(who):
        return []
    policy, at = policy_of(config), now_us()
    found = await reader(lambda catalogue: attention(reader.data_dir, catalogue, config, policy, at))
    return [point for point in found if who.may(point.scope)]


async def every(request: web.Request) -> web.Response:
    """List what there is to look at."""
    points = [
        PointShown(name=one.name, grade=one.grade, words=one.words, where=one.where) for one in await points_of(request)
    ]
    return answer(AttentionShown(points=points))


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/attention",
        every,
        needs(*SCOPES),
        About("What to look at today", "Coverage", {200: Answer("The worst first", AttentionShown)}),
    ),
)
