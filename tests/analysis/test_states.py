"""Speech and states of a voice become findings that fit on the wire, each voice by its number."""

from __future__ import annotations

import pytest
from hearing.sounds import cut, frames, join, quiet, speech, tone

from vittne.appliance.analysis.messages import SPEECH, STATE, Finding, pack_replies, parse_reply
from vittne.appliance.analysis.sound import FrameListener
from vittne.appliance.analysis.states import NAMES, STATES, StateListener, state_name
from vittne.appliance.hearing.front import Frames
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import NoGuard
from vittne.capture.columns import SECOND


def numbered(whole: Frames, number: int) -> Frames:
    return Frames(number, whole.first, whole.power, whole.present, whole.mono_ns)


RINGING = frames(join(quiet(1), *([tone(425, 1), quiet(4)] * 2), speech(5), quiet(2)))
TALKING = frames(join(quiet(1), speech(8, party="callee"), quiet(2)))


def kinds(findings: list[Finding]) -> set[tuple[int, int]]:
    return {(one.kind, one.what) for one in findings}


def test_every_state_has_a_number_that_gives_its_name_back() -> None:
    assert [state_name(STATES[name]) for name in NAMES] == list(NAMES)
    assert 0 not in STATES.values()
    with pytest.raises(ValueError, match="no state"):
        state_name(len(NAMES) + 1)


def test_voices_are_told_apart_and_forgotten_at_their_end() -> None:
    listener: FrameListener = StateListener()
    found: dict[int, list[Finding]] = {3: [], 8: []}
    for ringing, talking in zip(cut(RINGING, [50]), cut(TALKING, [35]), strict=False):
        for one, number in ((ringing, 3), (talking, 8)):
            found[number] += listener.hear(Runs.of([numbered(one, number)]), NoGuard())
    ends = {number: listener.end([number], NoGuard()) for number in (3, 8)}

    assert {one.number for one in found[3] + ends[3]} == {3}
    assert kinds(found[3] + ends[3]) == {(STATE, STATES["ringback"]), (STATE, STATES["silence"]), (SPEECH, 0)}
    assert kinds(found[8] + ends[8]) == {(SPEECH, 0)}
    assert listener.end([3], NoGuard()) == listener.end([99], NoGuard()) == []


def test_what_is_told_while_a_call_lasts_is_told_in_time() -> None:
    listener = StateListener()
    late = []
    for piece in cut(RINGING, [50]):
        now = int(piece.mono_ns[-1])
        late += [now - one.end_mono for one in listener.hear(Runs.of([piece]), NoGuard()) if one.kind == STATE]

    assert late
    assert max(late) < 14 * SECOND


def test_findings_go_over_the_wire_as_they_are() -> None:
    listener = StateListener(64)
    found = listener.hear(Runs.of([RINGING]), NoGuard()) + listener.end([0], NoGuard())

    (message,) = pack_replies(5, found)
    read = parse_reply(message).findings

    assert kinds(read) == kinds(found)
    for sent, got in zip(found, read, strict=True):
        assert got.values == pytest.approx(sent.values, rel=1e-5)
    (ring,) = [one for one in read if one.what == STATES["ringback"]][-1:]
    assert ring.values == pytest.approx((5, 0, 2, 425), abs=2e-1)
