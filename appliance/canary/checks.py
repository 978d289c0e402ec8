"""What the catalogue, the clock and the authorities say of a canary's recording. Pure: values in, checks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vittne.appliance.clock.state import ClockState
from vittne.appliance.seal.verdict import FAILS, HOLDS, Check, fails, holds, unchecked
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.verdicts.heard import heard_or_nothing

CALLEE: Final = "callee"
_OFFSET_US: Final = 50_000  # between where an announcement was sent and where it was heard
RECORDED: Final = "recorded"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The announcement that was played. begin_us: when its first packet was sent, UTC."""

    name: str
    reference: str
    begin_us: int


def recorded_check(call: CallRow) -> Check:
    """Whether all of it was recorded, and the right parties are on the right sides."""
    if call.outcome != RECORDED:
        why = f": {', '.join(call.outcome_reasons)}" if call.outcome_reasons else ""
        return fails(RECORDED, f"the call came to {call.outcome or 'nothing'}{why}")
    lost = sum(stream.lost for stream in call.streams)
    left_out = sum(stream.packets - stream.stored for stream in call.streams)
    if lost or left_out:
        return fails(RECORDED, f"{lost} packets were lost, {left_out} were left out")
    parties = sorted(stream.party for stream in call.streams)
    if parties != ["callee", "caller"]:
        return fails(RECORDED, f"of two voices these are there: {', '.join(parties) or 'none'}")
    return holds(RECORDED, "the call was recorded, both parties")


def in_time_check(ended_us: int, sealed_us: int, limit_s: float) -> Check:
    """How long after its end the recording was sealed."""
    took_s = (sealed_us - ended_us) / 1e6
    words = f"sealed {took_s:.1f} s after the call ended"
    return holds("in-time", words) if took_s <= limit_s else fails("in-time", f"{words}; {limit_s:g} s are allowed")


def announcement_check(call: CallRow, prompt: Prompt, is_listened: bool) -> Check:
    """Whether the announcement was heard in full, in the called one's voice, where it was played."""
    name = "announcement"
    if not is_listened:
        return unchecked(name, "nothing is listened to here (analysis.processes, analysis.window_s)")
    heard = heard_or_nothing(dict(call.details))
    if heard is None or not heard.listened:
        return fails(name, "nobody listened to the call")
    found = [one for one in heard.announcements if one.reference == prompt.reference]
    if not found:
        return fails(name, f"{prompt.name} was not heard")
    best = max(found, key=lambda one: (one.party == CALLEE, one.state == "full", one.share))
    if best.party != CALLEE:
        return fails(
            name, f"{prompt.name} was heard in the voice of the {best.party}, and was played in the {CALLEE}'s"
        )
    if best.state != "full":
        return fails(name, f"{prompt.name} was heard in part: {best.share:.0%}")
    apart_us = from_rfc3339(best.begin) - prompt.begin_us
    if abs(apart_us) > _OFFSET_US:
        return fails(name, f"{prompt.name} was heard {apart_us / 1000:+.0f} ms from where it was played")
    return holds(name, f"{prompt.name} was heard in full, {apart_us / 1000:+.0f} ms from where it was played")


def clock_check(state: ClockState, bound_us: float) -> Check:
    """Whether the times in it are right, as far as this machine knows. A clock that nobody keeps is its own alarm."""
    if not state.synchronised:
        return unchecked("clock", "nobody keeps this machine's clock right, so nobody knows: `vittne clock`")
    if state.exceeds(bound_us):
        return fails("clock", "the clock may be further from UTC than allowed: `vittne clock`")
    return holds("clock", f"at most {state.max_error_us / 1000:.1f} ms from UTC, by {state.source}")


def stamp_check(standings: Sequence[Standing]) -> list[Check]:
    """Whether the authorities that are configured stamp; nothing where none is."""
    if not standings:
        return []
    late = [one.authority for one in standings if one.late]
    if late:
        return [fails("stamp", f"no time stamp for long: {', '.join(late)}")]
    return [holds("stamp", f"stamps come: {', '.join(one.authority for one in standings)}")]


def result_of(checks: Sequence[Check]) -> str:
    """Return "well", "unwell", or "unsure" where something could not be checked and nothing is wrong."""
    found = {check.result for check in checks}
    return "unwell" if FAILS in found or not checks else "well" if found == {HOLDS} else "unsure"
