"""POST /api/v1/calls/{recording}/consent: the PBX, or whoever asked the caller, says what was agreed.

Opens or shuts the gate that a rule of [[record]] put in front of a call, see docs/recording-rules.md.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final, Literal

from aiohttp import web

from vittne.appliance.access.scopes import CONSENT
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of
from vittne.appliance.api.livecalls import refuse_others
from vittne.appliance.api.pauses import DESK
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.pausedesk import Unconfirmed
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import is_id
from vittne.capture import gating, pausing
from vittne.capture.columns import SECOND

_LONGEST_AGO_NS: Final = 3600 * SECOND
_FUTURE_NS: Final = 2 * SECOND  # clocks differ


class ConsentBody(ApiModel):
    """What was decided, and when; at: now if not given."""

    decision: Literal["agreed", "refused", "announced", "keep"]
    at: Moment | None = None


class ConsentShown(ApiModel):
    """How the gate of a call stands."""

    recording: str
    decision: str
    rule: str
    gate: str
    gate_state: str
    shut_by: str


async def consent(request: web.Request) -> web.Response:
    """Decide a call's gate."""
    body = await body_of(request, ConsentBody)
    now = time.time_ns(), time.monotonic_ns()
    recording = request.match_info["recording"].lower()
    if not is_id(recording):
        raise Problem(404, "/problems/no-such-call", "No call matches", "this is no id of a recording")
    at = _moment(body.at, now)
    await refuse_others(request, request.app[DESK], CONSENT, {"recording": recording})
    try:
        done = await request.app[DESK].gate(recording, body.decision, principal_of(request).id, at)
    except Unconfirmed:
        detail = "the recorder did not confirm in time: take it for not decided, and ask again"
        raise Problem(503, "/problems/unconfirmed", "Not confirmed", detail) from None
    except StoreError as error:
        detail = "it was decided, and could not be written down: ask again"
        raise Problem(503, "/problems/not-kept", f"Not kept: {error.what}", detail) from None
    _refuse(done)
    return answer(_shown(done.calls[0], body.decision))


def _moment(given: datetime | None, now: tuple[int, int]) -> tuple[int, int]:
    """Return when it was decided, UTC and monotonic ns. Raises Problem."""
    at_ns, mono_ns = now
    if given is None:
        return now
    whole = given.astimezone(UTC)
    moment = int(whole.replace(microsecond=0).timestamp()) * SECOND + whole.microsecond * 1000
    if not -_LONGEST_AGO_NS < moment - at_ns <= _FUTURE_NS:
        detail = "at lies in the future, or more than an hour back"
        raise Problem(422, "/problems/not-the-time", "This cannot be the time", detail)
    return moment, mono_ns + moment - at_ns


def _refuse(done: pausing.Answer) -> None:
    """Raise the Problem of an answer that decided nothing."""
    if done.state == pausing.NO_CALL:
        raise Problem(404, "/problems/no-such-call", "No call matches", "no call that is up has this id")
    if done.state == gating.NOT_GATED:
        detail = "no rule put a gate in front of this call: it is recorded, or left out, whatever is said here"
        raise Problem(409, "/problems/no-gate", "The call has no gate", detail)
    if done.state == gating.SHUT:
        detail = f"nothing opens it again: {done.calls[0]['recording_rule']['shut_by']}"
        raise Problem(410, "/problems/gate-shut", "The gate is shut for good", detail)


def _shown(call: dict[str, Any], decision: str) -> ConsentShown:
    ruled = call["recording_rule"]
    names = ("rule", "gate", "gate_state", "shut_by")
    return ConsentShown(recording=call["recording"], decision=decision, **{name: ruled[name] for name in names})


_ABOUT: Final = About(
    "Say what the parties of a call agreed to, or refused",
    "Calls",
    {200: Answer("How the call's gate stands now", ConsentShown)},
    body=ConsentBody,
    problems=(404, 409, 410, 503),
)
ROUTES: Final = (Route("POST", f"{PREFIX}/calls/{{recording}}/consent", consent, needs("consent"), _ABOUT),)
