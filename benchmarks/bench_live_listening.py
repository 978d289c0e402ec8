#!/usr/bin/env python3
"""How far behind a call is heard live, and what listening and levels cost the worker that records.

A recorder runs as it does for a customer; a sender plays calls over a veth pair. One party of one call says a click
every second: how long after its packet was sent it is read from the API's stream is the latency without a player's own
reserve (the console's is 120 ms and what the sound card takes). CPU is the worker's, as a share of what it uses while
nobody listens, with the same calls.

    python benchmarks/bench_live_listening.py [--calls 20] [--listeners 4] [--seconds 30] [--folder DIR] [--save]
    python benchmarks/bench_live_listening.py --cost [--calls 1000] [--listeners 4] [--save]

Sender, recorder and listeners share the machine's processors. --cost: without a wire, the processor time that a worker
takes for reading and matching packets, and what levels and the tap take of it on the same packets: a ratio, which says
more than seconds on a machine that others use as well. Nothing is written meanwhile, so a recorder's ratio is smaller.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import numpy as np
import report

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE))

from bench_live import Process  # noqa: E402
from builders import Scenario  # noqa: E402
from rig.api import api_of  # noqa: E402
from rig.live import load_module, recording, vittne  # noqa: E402
from rig.namespaces import NoRoom, Room, building  # noqa: E402
from rig.packets import sender_in  # noqa: E402

from vittne.appliance.live.messages import pack  # noqa: E402
from vittne.capture.columns import LINK_ETHERNET, Block  # noqa: E402
from vittne.capture.levels import Levels  # noqa: E402
from vittne.capture.pipeline import Pipeline  # noqa: E402
from vittne.capture.tap import Tap  # noqa: E402

SECOND: Final = 1_000_000_000
CLICK_S: Final = 1.0
COST_S: Final = 12
LOUD: Final = 20_000
CONFIG: Final = """
[api]
body_limit_bytes = 65536
[live]
listeners = 16
"""


def clicks(seconds: float) -> Any:
    """A quiet voice with 20 ms of noise at each full second."""
    rng = np.random.default_rng(7)
    sound = rng.normal(0, 30, round(seconds * 8000))
    for at in range(0, len(sound) - 160, round(CLICK_S * 8000)):
        sound[at : at + 160] = LOUD * rng.choice((-1, 1), 160)
    return sound.astype(np.int16)


def scenario_of(calls: int, seconds: float) -> Scenario:
    scenario = Scenario("many")
    for number in range(calls):
        alice = scenario.endpoint(f"a{number}", f"10.7.{number // 200}.{number % 200 + 1}", 40_000, f"1{number:05}")
        bob = scenario.endpoint(f"b{number}", f"10.8.{number // 200}.{number % 200 + 1}", 50_000, f"2{number:05}")
        dialog = scenario.dialog(alice, bob)
        answered = dialog.set_up(0.002 * number)
        if number:
            scenario.talk(dialog.call, alice, bob, answered + 0.01, seconds)
            continue
        scenario.voice(alice, bob, answered + 0.01, seconds, call=dialog.call, pcm=clicks(seconds))
        scenario.voice(bob, alice, answered + 0.01, seconds, call=dialog.call)
    return scenario


def send(sender: Any, frames: list[tuple[int, bytes]], loud: list[float], stop: threading.Event) -> None:
    """Send at the pace of the frames' times; note when packets with a click went out."""
    begin, first = time.monotonic(), frames[0][0]
    for at_ns, frame in frames:
        ahead = (at_ns - first) / 1e9 - (time.monotonic() - begin)
        if ahead > 0.002:
            time.sleep(ahead)
        if stop.is_set():
            return
        sender.send(frame)
        if frame[26:30] == b"\x0a\x07\x00\x01" and len(frame) == 214 and is_click(frame[54:]):
            loud.append(time.monotonic())


def is_click(payload: bytes) -> bool:
    return np.count_nonzero((np.frombuffer(payload, np.uint8) & 0x70) == 0) > 80  # mu-law: the loudest segments


def listen(url: str, token: str, data: str, seconds: float) -> tuple[list[float], int]:
    """Read the stream; return when clicks were read (monotonic), and how far behind it said it was."""
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    heard: list[float] = []
    with urllib.request.urlopen(request, timeout=30, context=context) as found:
        found.read(44)
        until, left = time.monotonic() + seconds, b""
        while time.monotonic() < until and (piece := found.read1(65_536)):
            now, whole = time.monotonic(), left + piece
            left = whole[len(whole) // 4 * 4 :]
            side = np.frombuffer(whole[: len(whole) // 4 * 4], "<i2").reshape(-1, 2)[:, 0]
            where = np.flatnonzero(np.abs(side.astype(np.int32)) > LOUD // 2)
            if len(where) and (not heard or now - heard[-1] > CLICK_S / 2):
                heard.append(now)
        return heard, int(found.headers["Vittne-Live-Behind-Ms"])


def latencies(loud: list[float], heard: list[float]) -> list[float]:
    found = []
    for at in heard:
        before = [one for one in loud if one < at]
        if before and at - before[-1] < 0.99 * CLICK_S + 1:
            found.append(at - before[-1])
    return found


def events(url: str, token: str, data: str, seconds: float) -> int:
    """Follow the levels as the page Now does; return how many came."""
    context = ssl.create_default_context(cafile=f"{data}/tls/certificate.pem")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    count, until = 0, time.monotonic() + seconds
    with urllib.request.urlopen(request, timeout=30, context=context) as found:
        while time.monotonic() < until:
            line = found.readline()
            count += line.count(b'"recording"')
    return count


def cost(calls: int, listeners: int) -> dict[str, Any]:
    """Return the CPU time of a pipeline, and what live listening adds to it. No wire, no other process."""
    load = load_module()
    pipeline = Pipeline()
    tap, levels = Tap(pipeline), Levels(pipeline)
    spent = {"pipeline": 0.0, "levels": 0.0, "tap": 0.0}
    packets = told = turns = committed = 0
    for piece in load.build_frames(load.Load(calls=calls, packets=calls * 100 * COST_S)):
        mono = piece.at_ns - load.START_NS + SECOND
        kind, interface = np.full(len(mono), LINK_ETHERNET, np.uint16), np.zeros(len(mono), np.uint16)
        block = Block(piece.data, piece.offset, piece.length, piece.length, piece.at_ns, mono, kind, interface)
        pipeline.tapped = []
        begin = time.process_time()
        pipeline.feed(block)
        if pipeline.now_mono - committed > 2 * SECOND:
            committed = pipeline.now_mono
            pipeline.commit(committed - 5 * SECOND)
        spent["pipeline"] += time.process_time() - begin
        batches, turns = pipeline.tapped, turns + 1
        if not tap.is_on and len(pipeline.book.calls) >= calls:
            tap.listen(dict(enumerate(list(pipeline.book.calls)[:listeners])))
        begin = time.process_time()
        levels.feed(batches)
        if turns % 4 == 0:
            told += len(levels.take(pipeline.now_mono - 2 * SECOND))
        spent["levels"] += time.process_time() - begin
        begin = time.process_time()
        for tapped in tap.turn(batches, pipeline.now_mono):
            pack(tapped, pipeline.buffers)
        spent["tap"] += time.process_time() - begin
        packets += len(block)
    share = {name: round(spent[name] / spent["pipeline"], 4) for name in ("levels", "tap")}
    return {
        "calls": calls,
        "listeners": listeners,
        "packets": packets,
        "cpu_s": {name: round(value, 3) for name, value in spent.items()},
        "share_of_pipeline": share,
        "levels_told": told,
    }


def measure(room: Room, phones: Room, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    config = data.parent / "vittne.toml"
    config.write_text(CONFIG)
    frames = scenario_of(options.calls, 4 * options.seconds + 25).frames()
    sender, loud, stop = sender_in(phones, "voices"), [], threading.Event()
    with recording(room, data, "--interface", "mirror", "--config", str(config)) as recorder:
        api = api_of(room, data)
        made = vittne("token", "create", "boss", "--scope", "live", "--scope", "read", "--data", str(data))
        token = next(word for word in made.stdout.split() if word.startswith("vtn_"))
        playing = threading.Thread(target=send, args=(sender, frames, loud, stop))
        playing.start()
        calls: list[dict[str, Any]] = []
        while len(calls) < options.calls:
            time.sleep(1)
            status, found = api.get("live?limit=5000")
            calls = found["calls"] if status == 200 else calls
        mine = next(call["recording"] for call in calls if "100000" in call["caller"])
        worker, base = Process(recorder.worker()), "https://127.0.0.1:8443/api/v1"
        cost: dict[str, float] = {}

        def over(name: str, *threads: threading.Thread) -> None:
            for one in threads:
                one.start()
            time.sleep(3 if threads else 0)
            begin, at = worker.cpu_s(), time.monotonic()
            time.sleep(options.seconds - 5)
            cost[name] = (worker.cpu_s() - begin) / (time.monotonic() - at)
            for one in threads:
                one.join()

        heard: list[tuple[list[float], int]] = []
        told: list[int] = []

        def hear(recording_id: str) -> None:
            url = f"{base}/live/{recording_id}/audio"
            found = room.call(listen, url, token, str(data), options.seconds)
            if recording_id == mine:
                heard.append(found)

        def follow() -> None:
            told.append(room.call(events, f"{base}/events?kinds=level", token, str(data), options.seconds))

        others = [call["recording"] for call in calls if call["recording"] != mine][: options.listeners - 1]
        over("nobody listens")
        over("levels", threading.Thread(target=follow))
        over("listening", *(threading.Thread(target=hear, args=(one,)) for one in (mine, *others)))
        state = api.get("state")[1]
        stop.set()
        playing.join()
        recorder.stop()
    found = sorted(latencies(loud, heard[0][0]))
    return {
        "calls": options.calls,
        "listeners": options.listeners,
        "clicks": len(found),
        "latency_ms_p50": round(1000 * found[len(found) // 2]) if found else None,
        "latency_ms_p95": round(1000 * found[int(0.95 * (len(found) - 1))]) if found else None,
        "latency_ms_most": round(1000 * found[-1]) if found else None,
        "behind_ms_said": heard[0][1],
        "worker_cpu": {name: round(value, 4) for name, value in cost.items()},
        "levels_ratio": round(cost["levels"] / cost["nobody listens"], 3),
        "listening_ratio": round(cost["listening"] / cost["nobody listens"], 3),
        "levels_told": told[0],
        "missed": state["capture"]["missed"],
    }


def wired(options: argparse.Namespace) -> dict[str, Any] | None:
    """Measure a recorder; None where there are no namespaces."""
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        house = stack.enter_context(building())
        try:
            room = house.room("recorder")
        except NoRoom as error:
            print(f"no network namespaces here: {error}", file=sys.stderr)
            return None
        phones = house.room("phones")
        house.cable(phones, "voices", room, "mirror")
        return measure(room, phones, folder / "data", options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--listeners", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    options.calls = options.calls or (1000 if options.cost else 20)
    found = cost(options.calls, options.listeners) if options.cost else wired(options)
    if found is None:
        return 2
    print(json.dumps(found, indent=2))
    if options.save:
        given = {"calls": options.calls, "listeners": options.listeners, "cost": options.cost}
        report.save(report.result("live_listening", given, found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
