"""Having the recorder do an operation for one who asks over the API, and saying what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from vittne.appliance.access.principal import Hidden
from vittne.appliance.announcements.operations import CannotChange as CannotChangeAnnouncement
from vittne.appliance.announcements.table import NoSuchAnnouncement
from vittne.appliance.announcements.terms import BadTerms
from vittne.appliance.announcements.tries import NoSuchTry, TooManyTries
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.casework.cutdesk import NotCut
from vittne.appliance.compliance.incident_operations import IncidentClosed
from vittne.appliance.compliance.incidents import NoSuchIncident
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.life.approving import CannotApprove
from vittne.appliance.life.asking import NobodyAsks
from vittne.appliance.life.erase import CannotErase
from vittne.appliance.life.operations import CannotDo
from vittne.appliance.life.retention import CannotChange
from vittne.appliance.life.table import NoSuchRequest
from vittne.appliance.review.cards import WrongAnswer
from vittne.appliance.review.operations import CannotReview
from vittne.appliance.review.plans import WrongPlan
from vittne.appliance.review.table import NoSuch
from vittne.appliance.store.catalogue import NoSuchCall
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.holds import NoSuchHold
from vittne.appliance.subjects.operations import CannotDo as CannotDoForPerson
from vittne.appliance.subjects.table import NoSuchCase
from vittne.appliance.verdicts.operations import NotInQuarantine

T = TypeVar("T")
_NOT_THERE: Final = (
    NoSuchHold,
    NoSuchCase,
    NoSuchIncident,
    NoSuch,
    NoSuchAnnouncement,
    NoSuchTry,
    NoSuchRequest,
    NoSuchCall,
)
_WRONG: Final = (BadTerms, WrongPlan, WrongAnswer)
_REFUSED: Final = (
    *(CannotDo, CannotErase, CannotChange, CannotApprove, CannotReview, CannotDoForPerson, IncidentClosed),
    *(NotInQuarantine, CannotChangeAnnouncement, NotCut, TooManyTries),
)


class Waits(ApiModel):
    """Asked for, and not done: somebody else has to approve the request."""

    waits: str
    asked_by: str


async def perform(request: web.Request, operation: Operation[Any], order: Order) -> dict[str, Any]:
    """Have an operation done in the name of who asks; return its answer. Raises Problem, StoreError."""
    return await told(request.app[OPERATOR].perform(operation, order, principal_of(request).caller))


async def told(work: Awaitable[T]) -> T:
    """Return what a work returns; what it refuses is a Problem, what fails (a disk) stays a StoreError."""
    try:
        return await work
    except StoreError as error:
        problem = problem_of(error)
        if problem is None:
            raise
        raise problem from None


def problem_of(error: StoreError) -> Problem | None:
    """Return what is answered for a refusal; None for a failure."""
    title = error.what[:1].upper() + error.what[1:]
    if isinstance(error, _NOT_THERE):
        return Problem(404, "/problems/not-there", title)
    if isinstance(error, (Hidden, NobodyAsks)):
        return Problem(
            403, "/problems/two-persons" if isinstance(error, NobodyAsks) else "/problems/hidden-field", title
        )
    if isinstance(error, _WRONG):
        return Problem(422, "/problems/invalid-request", title, error.next_step)
    if isinstance(error, _REFUSED):
        return Problem(409, "/problems/refused", title, error.where if error.where not in title else "")
    return None


def done_or_waits(said: dict[str, Any], done: Callable[[], ApiModel], status: int = 200) -> web.Response:
    """Return the answer of an operation that may have to wait for a second person."""
    if "waits" in said:
        return answer(Waits(waits=said["waits"], asked_by=said["asked_by"]), 202)
    return answer(done(), status)
