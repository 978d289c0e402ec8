"""What of a call that goes on is heard: exactly what was said, and nothing that may not be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from builders import Scenario, sdp
from building.playing import blocks_of
from scenarios import basic

from vittne.appliance.live.messages import CALLEE_PAUSED, CALLER_PAUSED, SoundBlock, pack, parse
from vittne.appliance.live.sound import LiveSound
from vittne.capture.calls import Call
from vittne.capture.columns import SECOND
from vittne.capture.gates import Decided
from vittne.capture.pause import PauseSettings
from vittne.capture.pausing import PauseOrder, pause, resume
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import RecordRule, RecordRules
from vittne.capture.tap import Tap, Tapped
from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import Format

I16 = npt.NDArray[np.int16]
MS = SECOND // 1000
HOLD_NS = 400 * MS
Order = Callable[[Pipeline, Call, int, int], None]


class Heard:
    """A scenario heard live from its beginning on, as the worker hears it: ten turns a second."""

    def __init__(
        self,
        scenario: Scenario,
        settings: Settings | None = None,
        orders: dict[float, Order] | None = None,
        mute: tuple[bool, bool] = (False, False),
        who: int = 0,
        hold_ns: int = HOLD_NS,
    ) -> None:
        self.pipeline = pipeline = Pipeline(settings)
        self.tap = Tap(pipeline)
        self.turns: list[Tapped] = []
        self.blocks: list[SoundBlock] = []
        sound, orders, begin = LiveSound(hold_ns, mute), dict(orders or {}), 0
        for block in blocks_of(scenario.frames(), SECOND // 10):
            mono = int(block.mono_ns[-1])
            begin = begin or mono
            if pipeline.tapped is None:
                pipeline.tapped = []
            pipeline.feed(block)
            if not self.tap.is_on and len(pipeline.book.calls) > who:
                self.tap.listen({1: list(pipeline.book.calls)[who]})
            for at in [at for at in orders if at * SECOND <= mono - begin]:
                orders.pop(at)(pipeline, next(iter(pipeline.book.calls.values())), int(block.at_ns[-1]), mono)
            batches, pipeline.tapped = pipeline.tapped, []
            for turn in self.tap.turn(batches, pipeline.now_mono):
                self.turns.append(turn)
                message = pack(turn, pipeline.buffers)
                assert message is not None
                self.blocks += sound.feed(parse(message))
            if len(self.turns) % 20 == 19:
                pipeline.commit(pipeline.now_mono - pipeline.settings.hold_back_ns)
        assert not pipeline.faults

    @property
    def sides(self) -> tuple[I16, I16]:
        """Return what the caller and what the callee is heard to say."""
        both = np.frombuffer(b"".join(block.pcm for block in self.blocks), "<i2").reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def begins_mono(self) -> int:
        return self.blocks[0].mono_ns


def said(payloads: list[bytes], codec: str = "PCMU") -> I16:
    return open_decoder(Format(codec, 8000)).decode(payloads)


def place(sound: I16, part: I16) -> int:
    """Return where a part of sound begins; -1 when it is not in there as it is."""
    found = sound.tobytes().find(part.tobytes())
    return found // 2 if found % 2 == 0 else -1


def test_what_is_heard_is_what_was_said_sample_by_sample() -> None:
    scenario = basic.basic_call(6.0)
    caller, callee = (stream.payloads for stream in scenario.truth.calls[0].streams)

    left, right = Heard(scenario).sides

    for side, payloads in ((left, caller), (right, callee)):
        whole = said(payloads[: 5 * 50])
        assert place(side, whole) > 0
        assert np.abs(whole).max() > 1000
    assert place(left, said(callee[:50])) < 0


def test_packets_that_overtook_each_other_are_heard_in_their_order() -> None:
    scenario = Scenario("swapped")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 5.0, call=dialog.call, swapped=frozenset(range(7, 200, 9)))
    dialog.bye(answered + 5.1)

    left, _ = Heard(scenario).sides

    assert place(left, said(scenario.truth.calls[0].streams[0].payloads[:200])) > 0


def pausing(pipeline: Pipeline, call: Call, at_ns: int, mono_ns: int) -> None:
    order = PauseOrder(
        "7b1c9f5e-0000-4000-8000-000000000001",
        "api",
        "test",
        {"recording": call.id},
        at_ns,
        mono_ns,
        600 * SECOND,
    )
    assert pause(pipeline, order).state == "paused"


def resuming(pipeline: Pipeline, call: Call, at_ns: int, mono_ns: int) -> None:
    (one,) = pipeline.pauses.live()
    resume(pipeline, one.id, at_ns, mono_ns, "test")


def test_nothing_of_a_pause_is_heard_with_its_lead() -> None:
    scenario = basic.basic_call(9.0)
    heard = Heard(scenario, orders={4.0: pausing, 6.0: resuming}, hold_ns=600 * MS)
    (one,) = heard.pipeline.pauses.of(next(iter(heard.pipeline.book.calls.values())))
    guard = PauseSettings().guard_ns
    begins = heard.begins_mono()
    first, last = ((mono - begins) * 8000 // SECOND for mono in (one.from_mono, one.to_mono))

    assert one.to_mono - one.from_mono >= 2 * SECOND + 2 * guard - MS
    for side in heard.sides:
        assert not side[first + 160 : last - 160].any()
        assert np.abs(side[first - 8000 : first - 320]).max() > 1000
        assert np.abs(side[last + 320 : last + 8000]).max() > 1000
    flags = {block.flags & (CALLER_PAUSED | CALLEE_PAUSED) for block in heard.blocks}
    assert flags == {0, CALLER_PAUSED | CALLEE_PAUSED}


def test_packets_of_a_pause_stay_in_the_worker() -> None:
    heard = Heard(basic.basic_call(9.0), orders={4.0: pausing})
    (one,) = heard.pipeline.pauses.live()
    since = next(n for n, turn in enumerate(heard.turns) if any(turn.quiet.values()))

    assert not any(
        (turn.piece.rows.mono_ns >= one.from_mono).any() for turn in heard.turns[since:] if turn.piece is not None
    )


@pytest.mark.parametrize("how", ["event", "tone"])
def test_a_digit_and_what_lies_around_it_is_not_heard(how: str) -> None:
    scenario = Scenario("digits")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    codecs = ("PCMU", "telephone-event")
    offer, answer = (sdp(end.ip, end.rtp_port, codecs) for end in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    scenario.voice(
        alice,
        bob,
        answered + 0.01,
        7.0,
        call=dialog.call,
        keys=((3.0, "5"),) if how == "event" else (),
        pcm=keyed(7.0) if how == "tone" else None,
    )
    scenario.voice(bob, alice, answered + 0.01, 7.0, call=dialog.call)
    dialog.bye(answered + 7.2)

    left, right = Heard(scenario).sides

    loud = [np.abs(side[: len(side) // 80 * 80].reshape(-1, 80)).max(axis=1) > 200 for side in (left, right)]
    quiet = ~(loud[0] | loud[1])
    talk = np.flatnonzero(loud[1])
    inside = quiet[talk[0] : talk[-1]]
    assert 60 <= longest(inside) <= 110  # 120 ms before the digit, itself, 600 ms after it, of both parties


def keyed(seconds: float) -> I16:
    """A voice in which the digit 5 sounds for 100 ms after three seconds."""
    time = np.arange(round(seconds * 8000)) / 8000
    voice = 3000 * np.sin(2 * np.pi * 333 * time)
    tone = 6000 * (np.sin(2 * np.pi * 770 * time) + np.sin(2 * np.pi * 1336 * time))
    return np.where((time >= 3.0) & (time < 3.1), tone, voice).astype(np.int16)


def longest(flags: npt.NDArray[np.bool_]) -> int:
    """Return how many true ones follow each other at most."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def rules(**more: object) -> Settings:
    return Settings(recording=RecordRules((RecordRule("all", **more),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        (rules(then="exclude"), "shut"),
        (rules(gate="after-consent"), "waiting"),
        (rules(gate="after-announcement"), "waiting"),
        (rules(then="on-demand"), "waiting"),
        (rules(live=False), "private"),
    ],
)
def test_a_call_that_is_not_recorded_now_or_that_its_rule_keeps_private_is_not_heard(
    settings: Settings, state: str
) -> None:
    heard = Heard(basic.basic_call(4.0), settings)

    assert {turn.state for turn in heard.turns[:30]} == {state}
    assert all(turn.piece is None for turn in heard.turns)
    assert not any(side.any() for side in heard.sides)


def test_a_gate_that_opens_lets_through_what_is_said_from_then_on() -> None:
    def agree(pipeline: Pipeline, call: Call, at_ns: int, mono_ns: int) -> None:
        pipeline.recording.decide(call, Decided("agreed", "api", "test", at_ns, mono_ns))

    heard = Heard(basic.basic_call(6.0), rules(gate="after-consent"), {3.0: agree})

    (left, _), opens = heard.sides, next(n for n, turn in enumerate(heard.turns) if turn.state == "open")
    first = int(np.flatnonzero(left)[0])
    assert heard.begins_mono() + first * SECOND // 8000 >= heard.turns[opens - 1].upto_mono
    assert np.abs(left[first : first + 8000]).max() > 1000


def test_a_party_that_somebody_may_not_hear_is_silent() -> None:
    left, right = Heard(basic.basic_call(4.0), mute=(False, True)).sides

    assert left.any()
    assert not right.any()


def test_encrypted_voices_are_heard_where_their_key_was_told() -> None:
    scenario = basic.encrypted_with_keys()

    left, right = Heard(scenario).sides

    caller, callee = scenario.truth.calls[0].streams
    assert place(left, said(caller.payloads[:50], "PCMA" if caller.payload_types == {8} else "PCMU")) > 0
    assert place(right, said(callee.payloads[:50], "PCMA" if callee.payload_types == {8} else "PCMU")) > 0


def test_nobody_is_heard_by_who_names_the_ports_of_a_call_that_talks() -> None:
    """A second call that claims the ports of the first: who listens to it hears nothing of the first."""
    scenario = basic.basic_call(5.0)
    alice, bob = (scenario.endpoint(name, ip, port, user) for name, ip, port, user in _MALLORY)
    dialog = scenario.dialog(alice, bob)
    offer = sdp("10.0.0.1", 40_000, ("PCMU",))
    dialog.set_up(2.0, offer=offer, answer=sdp("10.0.0.2", 50_000, ("PCMU",)))
    dialog.bye(4.9)
    caller = scenario.truth.calls[0].streams[0].payloads

    victim, other = Heard(scenario), Heard(scenario, who=1)

    assert place(victim.sides[0], said(caller[:200])) > 0
    assert not any(side.any() for side in other.sides)


_MALLORY = (("mallory", "10.0.0.66", 40_000, "6666"), ("trudy", "10.0.0.67", 50_000, "6667"))


def test_while_nobody_listens_nothing_is_kept() -> None:
    pipeline = Pipeline()
    for block in blocks_of(basic.basic_call(2.0).frames(), SECOND // 10):
        pipeline.feed(block)

    assert pipeline.tapped is None
    assert Tap(pipeline).turn([], pipeline.now_mono) == []


def test_what_did_not_arrive_is_described_again() -> None:
    scenario = basic.basic_call(4.0)
    pipeline, described = Pipeline(), []
    tap = Tap(pipeline)
    for block in blocks_of(scenario.frames(), SECOND // 10):
        if pipeline.tapped is None:
            pipeline.tapped = []
        pipeline.feed(block)
        tap.listen({1: next(iter(pipeline.book.calls))})
        batches, pipeline.tapped = pipeline.tapped, []
        (turn,) = tap.turn(batches, pipeline.now_mono)
        described.append([voice.is_new for voice in turn.piece.voices] if turn.piece is not None else [])
        if sum(map(len, described)) == 2:
            tap.untold(turn)

    found = [one for one in described if one]
    assert found[:2] == [[True, True], [True, True]] or found[:3] == [[True], [True], [True]]
