"""Routes of a witness (C2SP tlog-witness). Public: who asks proves himself by the signature of a ledger we know."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import web

from vittne.appliance.api.bodies import read_body
from vittne.appliance.api.problems import PLAIN, Problem
from vittne.appliance.api.routes import PREFIX, PUBLIC, About, Answer, Route
from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.store.times import now_us
from vittne.appliance.witness.witness import Reply, Witness

WITNESS: Final = web.AppKey("vittne.witness", Witness)

_THREADS = OwnThreads("witness")


async def _add_checkpoint(request: web.Request) -> web.Response:
    body = await read_body(request)
    # It syncs before it answers: whoever asks must not stop the recorder's loop with a slow disk.
    return _answer(await _THREADS.run(request.app[WITNESS].add_checkpoint, body, now_us() // 1_000_000))


async def _checkpoint(request: web.Request) -> web.Response:
    note = request.app[WITNESS].latest(request.match_info["origin"])
    return _answer(Reply(404) if note is None else Reply(200, note))


def _answer(reply: Reply) -> web.Response:
    if reply.status >= HTTPStatus.BAD_REQUEST and not reply.body:
        raise Problem(reply.status, PLAIN, HTTPStatus(reply.status).phrase)
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


_ADD: Final = About(
    "Hand in a checkpoint to be witnessed (C2SP tlog-witness)",
    "Witness",
    {200: Answer("Our signature", media=("text/plain",)), 409: Answer("The size we know", media=("text/x.tlog.size",))},
    body_media="text/plain",
    problems=(400, 403, 404, 413, 422),
)
_LATEST: Final = About(
    "The newest checkpoint that was witnessed",
    "Witness",
    {200: Answer("A signed note", media=("text/plain",))},
    problems=(404,),
)
ROUTES: Final = (
    Route("POST", f"{PREFIX}/witness/add-checkpoint", _add_checkpoint, PUBLIC, _ADD),
    Route("GET", f"{PREFIX}/witness/{{origin}}/checkpoint", _checkpoint, PUBLIC, _LATEST),
)
