"""Who refuses to be recorded is not recorded, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import ledgers
from analysis.followed import Followed, follow, listening, only
from analysis.prompts import ASKS, a_call, reference_in
from announced import Archive, heard, rec
from builders import Scenario
from building.playing import COMMIT_NS, blocks_of
from deaths import dying
from rig.desk import STANDARD, desk_of
from scenarios import basic

from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.protocol import Command, NoteRefused, pack, parse_request
from vittne.appliance.recorder import Recorder
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Search
from vittne.appliance.store.times import now_us
from vittne.capture.columns import SECOND
from vittne.capture.gates import Refusal
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import Keys, RecordRule, RecordRules, Ruling

BY_KEY = RecordRule("may object", gate="discard-on-objection", keys=Keys(refuse="2"))
BY_PROMPT = RecordRule("may object", gate="discard-on-objection", announcements=("asks",))
PROMPT_S = 2.0


def a_refused_call() -> Scenario:
    scenario = Scenario("refused")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 20.0, call=dialog.call, keys=[(9.0, "2")])
    scenario.voice(bob, alice, answered + 0.02, 20.0, call=dialog.call)
    dialog.bye(answered + 20.1)
    return scenario


def record_and_die(data: Path) -> None:
    """Record a call until a commit knows of the refusal; be killed right behind it."""
    registrar = Registrar(data)
    registrar.begin_run(["test"], now_us(), "test")
    recording = RecordRules((BY_KEY,), key=b"k" * 32, version="v")
    pipeline = Pipeline(Settings(recording=recording, pause=PauseSettings(auto_digits=0)))
    recorder = Recorder(pipeline, registrar.store, registrar.public, registrar)
    last = 0
    for block in blocks_of(a_refused_call().frames(), SECOND // 5):
        pipeline.feed(block)
        if pipeline.now_mono - last > COMMIT_NS:
            last = pipeline.now_mono
            recorder.commit(last - 5 * SECOND)
            if any(call.keeping.shut_by for call in pipeline.book.calls.values()):
                os.kill(os.getpid(), signal.SIGKILL)
            recorder.settle()


def test_a_refusal_by_key_outlives_a_kill_of_everything_right_after_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Registrar(data).close()

    assert dying(0, lambda: record_and_die(data))
    registrar = Registrar(data)
    recover(registrar)
    calls = list(registrar.catalogue.list_calls(Search(unanswered=True)))
    registrar.close()

    gates = [one for one in ledgers.entries(data) if one["t"] == "gate"]
    assert [(one["decision"], one["by"]) for one in gates] == [("refused", "may object")]
    assert [one.folder for one in calls] == [""]
    assert not list((data / "recordings").rglob("*.floe"))
    assert [one["t"] for one in ledgers.entries(data) if one["t"] in ("rec.seal", "rec.discard")] == ["rec.discard"]


def refusal(number: int, erased: Sequence[str] = ()) -> Refusal:
    return Refusal(rec(number), "consent", "asks", now_us() * 1000, time.monotonic_ns(), ["a@b"], list(erased))


def told(desk: PauseDesk, some: list[Refusal]) -> None:
    request = parse_request(pack(NoteRefused(some))[4:])
    assert isinstance(request, NoteRefused)
    asyncio.run(desk.note_refused(request.refused))


def test_every_worker_after_it_is_told_of_a_refusal(tmp_path: Path) -> None:
    said: list[list[Command]] = [[], []]
    once = refusal(1)

    with desk_of(tmp_path / "data", None) as desk:
        told(desk, [once])
        told(desk, [once])
        desk.attach(said[0].append)
    with desk_of(tmp_path / "data", None, STANDARD) as later:
        later.attach(said[1].append)

    for commands in said:
        assert [(one.what, one.decision, one.trigger, one.by, one.select) for one in commands] == [
            ("gate", "refused", "consent", "asks", {"sip_call_id": "a@b"})
        ]
    assert len([one for one in ledgers.entries(tmp_path / "data") if one["t"] == "gate"]) == 1


def test_a_worker_cannot_have_what_is_sealed_erased(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    archive.close(1, heard())

    with desk_of(archive.data, None) as desk:
        told(desk, [refusal(2, erased=[rec(1), rec(2), "../x"]), Refusal("no id", "rule", "r", 1, 1, [], [])])
    registrar = archive.registrar()
    parts = registrar.keys.parts(rec(1))
    registrar.close()

    assert parts
    assert {one["rec"] for one in ledgers.entries(archive.data) if one["t"] == "gate"} == {rec(2)}


def test_a_refusal_before_its_prompt_was_heard_whole_outlives_the_worker(tmp_path: Path) -> None:
    call = a_call(text=ASKS, keys=((PROMPT_S + 1.0, "2"),), seconds=18.0, talk_from_s=13.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "2")

    run = follow(
        call.scenario,
        tmp_path,
        listening(BY_PROMPT),
        [handle],
        orders={0.5 + PROMPT_S + 1.6: Followed.restart_worker},
    )

    assert (only(run)["outcome"], only(run)["outcome_reasons"]) == ("discarded-by-policy", ["refused"])
    assert [one["decision"] for one in only(run)["heard"]["consent"]] == ["refused"]
    assert [one["state"] for one in only(run)["heard"]["announcements"]] == ["partial"], "its beginning went"


def test_an_answer_before_the_call_got_its_gate_decides_it(tmp_path: Path) -> None:
    """It is transferred to where one may object: who did so before is not recorded there."""
    call = a_call(text=ASKS, keys=((9.0, "2"),), seconds=18.0, talk_from_s=13.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "2")

    def gate(run: Followed) -> None:
        (one,) = run.pipeline.book.calls.values()
        one.keeping.add(Ruling(run.pipeline.now_mono, run.pipeline.now_at, BY_PROMPT), replaces=False)
        run.pipeline.recording._decided.append(one)

    run = follow(
        call.scenario,
        tmp_path,
        listening(RecordRule("all")),
        [handle],
        orders={14.0: gate},
    )

    assert (only(run)["outcome"], only(run)["outcome_reasons"]) == ("discarded-by-policy", ["refused"])
