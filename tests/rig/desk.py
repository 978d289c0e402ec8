"""A pause desk whose worker is a pipeline in this process, with calls that are up now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import Scenario
from building.playing import blocks_of
from scenarios import basic

from vittne.appliance import commands
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.protocol import Command, Done
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline, Settings

STANDARD = PauseConfig()
TALKED_S = 4.0  # how long the calls have been up


def two_calls(seconds: float = 30.0) -> Scenario:
    """Two calls of one caller, longer than any test looks; their Call-IDs are in the truth."""
    scenario = Scenario("up now")
    alice, bob = basic.pair(scenario)
    for number in range(2):
        here = alice.moved(alice.rtp_port + 10 * number, alice.ip)
        there = bob.moved(bob.rtp_port + 10 * number, bob.ip)
        dialog = scenario.dialog(here, there)
        answered = dialog.set_up(0.1 * number)
        scenario.talk(dialog.call, here, there, answered + 0.01, seconds)
    return scenario


def pipeline_of(scenario: Scenario, settings: Settings | None = None, pipeline: Pipeline | None = None) -> Pipeline:
    """A pipeline that heard the first seconds of a scenario, the last of them just now."""
    pipeline = pipeline or Pipeline(settings)
    blocks = blocks_of(scenario.frames(), SECOND // 10)
    now_at, now_mono = time.time_ns(), time.monotonic_ns()
    begin_at, begin_mono = int(blocks[0].at_ns[0]), int(blocks[0].mono_ns[0])
    talked = int(TALKED_S * SECOND)
    for block in blocks:
        if int(block.at_ns[-1]) - begin_at > talked:
            break
        block.at_ns = block.at_ns + (now_at - talked - begin_at)
        block.mono_ns = block.mono_ns + (now_mono - talked - begin_mono)
        pipeline.feed(block)
    return pipeline


def worker_of(desk: PauseDesk, pipeline: Pipeline) -> Callable[[Command], None]:
    """What the desk sends commands to."""
    return lambda command: desk.done(Done(command.number, commands.do(pipeline, command)))


@contextmanager
def registrar_of(data: Path) -> Iterator[Registrar]:
    """A registrar in the middle of a run."""
    registrar = Registrar(data)
    registrar.begin_run(["test"], now_us(), "test")
    try:
        yield registrar
    finally:
        registrar.close()


@contextmanager
def desk_of(data: Path, pipeline: Pipeline | None, config: PauseConfig = STANDARD) -> Iterator[PauseDesk]:
    """A desk; without a pipeline no worker is there."""
    with registrar_of(data) as registrar:
        desk = PauseDesk(registrar, config)
        if pipeline is not None:
            desk.attach(worker_of(desk, pipeline))
        try:
            yield desk
        finally:
            desk.books.close()
