"""Operations on verdicts, by the one writer: out of quarantine, or away; verdicts found on stored recordings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life import asking
from vittne.appliance.life.operations import Erase, do_erase
from vittne.appliance.looks import why_not
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.verdicts import books
from vittne.appliance.verdicts.heard import Hash, Language, Party, Time, Word
from vittne.appliance.verdicts.restore import stand
from vittne.appliance.verdicts.settling import settle_verdicts
from vittne.appliance.verdicts.table import CHECK, Kept
from vittne.appliance.wordsconfig import Name

Persons = tuple[Caller, ...]
TOGETHER: Final = 100  # recordings of one order
_TEXT: Final = Field(min_length=1, max_length=500)
_PERMILLE: Final = Field(default=None, ge=0, le=1000)


class NotInQuarantine(StoreError):
    """A recording that nobody has to decide about."""


class ReleaseQuarantine(Order):
    """Let others hear a recording that was not announced as it should be."""

    recording: str
    reason: str = _TEXT


class DiscardQuarantine(Order):
    """Erase one."""

    recording: str
    reason: str = _TEXT


class Analyse(Order):
    """Recordings that are about to be listened to by the program."""

    recordings: list[str] = Field(min_length=1, max_length=TOGETHER)


class Missing(Order):
    """A reference that was not listened for."""

    reference: Hash
    name: Name | Literal[""] = ""


class Told(Order):
    """A verdict, as judge.Verdict.as_json."""

    announced: Literal["full", "partial", "none", "not-listened", "not-expected"]
    expected: bool
    proven: bool
    rule: Name | Literal[""] = ""
    rules: Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")] = ""
    reason: Word = ""
    then: list[Literal["flag", "alarm", "quarantine", "discard"]] = Field(default_factory=list, max_length=4)
    due: Time | None = None
    missing: list[Missing] = Field(default_factory=list, max_length=16)
    reference: Hash | None = None
    name: Name | Literal[""] = ""
    language: Language = ""
    party: Party | None = None
    stream: int | None = None
    begin: Time | None = None
    end: Time | None = None
    offset_ms: int | None = None
    share_permille: int | None = _PERMILLE
    required_permille: int | None = _PERMILLE
    score_permille: int | None = _PERMILLE
    overlap_permille: int | None = _PERMILLE
    detector: Word = ""

    def as_json(self) -> dict[str, Any]:
        """Return it without what is not said."""
        return self.model_dump(mode="json", exclude_unset=True)


class Found(Order):
    """What was found of a stored recording. references: hashes that were listened for."""

    recording: str
    told: Told
    references: list[Hash] = Field(default_factory=list, max_length=1024)


class EnterVerdicts(Order):
    """Enter what was found on stored recordings, beside what was known. Counts: of all that was done."""

    found: list[Found] = Field(max_length=TOGETHER)
    recordings: int = Field(ge=0)
    changed: int = Field(ge=0)
    differing: int = Field(ge=0)
    failed: int = Field(ge=0)


def do_release_quarantine(registrar: Registrar, order: ReleaseQuarantine, persons: Persons) -> Steps:
    """Take a recording out of quarantine."""
    call = _quarantined(registrar, order.recording)
    yield Progress(0, 1)
    if len(persons) < asking.persons_needed(registrar, asking.QUARANTINE):
        wanted = {"recording": call.id, "reason": order.reason}
        return asking.ask(registrar, asking.QUARANTINE, call.id, wanted, persons[0])
    names = [one.name for one in persons]
    registrar.audit.note(events.QUARANTINE_RELEASED, persons[-1], call.id, reason=order.reason, approvers=names)
    registrar.life.change(call.id, quarantined_us=None)
    return {"recording": call.id, "released": True}


def _release(registrar: Registrar, order: ReleaseQuarantine, caller: Caller) -> Steps:
    return do_release_quarantine(registrar, order, (caller,))


def _discard(registrar: Registrar, order: DiscardQuarantine, caller: Caller) -> Steps:
    """Erase a recording that lies in quarantine, as any other is erased: holds, locks and second persons count."""
    call = _quarantined(registrar, order.recording)
    return (yield from do_erase(registrar, Erase(recording=call.id, reason=order.reason), (caller,)))


def _quarantined(registrar: Registrar, prefix: str) -> CallRow:
    call = registrar.catalogue.get(prefix)
    if call.erased_us is not None:
        raise NotInQuarantine(f"it was erased at {rfc3339(call.erased_us)}", call.id, "nothing was done")
    if call.quarantined_us is None:
        raise NotInQuarantine("it does not lie in quarantine", call.id, "nothing was done")
    return call


def _analyse(registrar: Registrar, order: Analyse, caller: Caller) -> Steps:
    """Enter that recordings are listened to; answer which may be, and why others may not."""
    calls = registrar.catalogue.get_all(order.recordings)
    yield Progress(0, 1)
    refused = {call.id: why for call in calls if (why := _why_not(call)) is not None}
    allowed = [call.id for call in calls if call.id not in refused]
    if allowed:
        registrar.audit.note_all(events.ANALYSED, caller, [(one, {"what": "announcements"}) for one in allowed])
    return {"allowed": allowed, "refused": refused}


def _why_not(call: CallRow) -> str | None:
    """Say why the program may not listen to a recording. What is in quarantine for its announcement it may."""
    if call.state != FINISHED:
        return "the call goes on"
    return why_not(call, "", review="analysis")


def _enter(registrar: Registrar, order: EnterVerdicts, caller: Caller) -> Steps:
    settle_verdicts(registrar)  # numbers go on from what the ledger has
    calls = {call.id: call for call in registrar.catalogue.get_all([one.recording for one in order.found])}
    newest = registrar.verdicts.newest(list(calls))
    at = now_us()
    yield Progress(0, len(order.found))
    entered = []
    for one in order.found:
        call = calls.get(one.recording)
        if call is None or call.erased_us is not None:
            continue
        before = newest.get(call.id)
        n = (before.n if before is not None else 1) + 1
        kept = Kept(call.id, n, at, CHECK, one.told.as_json(), tuple(one.references))
        # a program takes nothing out of quarantine, and puts nothing back that a person let out
        stands = stand(call, [(kept.told, at)], registrar.verdicts.was_released(call.id))
        if call.quarantined_us is not None:
            stands = replace(stands, quarantined_us=call.quarantined_us)
        entered.append((stands, kept))
    counts = {name: getattr(order, name) for name in ("recordings", "changed", "differing", "failed")}
    registrar.audit.note(events.VERDICTS_CHECKED, caller, ledger=counts)
    for _, kept in entered:
        registrar.ledger.record(books.entry_of(kept), at)
    registrar.ledger.flush()
    yield Progress(0, len(order.found), "entered in the ledger")
    registrar.verdicts.enter(entered)
    yield Progress(len(order.found), len(order.found))
    return {"entered": len(entered)}


RELEASE_QUARANTINE: Final = Operation("quarantine.release", "releasing a recording", ReleaseQuarantine, _release)
DISCARD_QUARANTINE: Final = Operation("quarantine.discard", "discarding a recording", DiscardQuarantine, _discard)
ANALYSE: Final = Operation("verdict.look", "entering that recordings are listened to", Analyse, _analyse)
ENTER_VERDICTS: Final = Operation("verdict.enter", "entering verdicts", EnterVerdicts, _enter)
VERDICT_OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    RELEASE_QUARANTINE,
    DISCARD_QUARANTINE,
    ANALYSE,
    ENTER_VERDICTS,
)
