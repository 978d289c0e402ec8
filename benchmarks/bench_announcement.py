#!/usr/bin/env python3
"""Whether announcements are found, told from what resembles them, and what looking for them costs.

    python benchmarks/bench_announcement.py --quick              # two or three minutes
    python benchmarks/bench_announcement.py --full --save --progress FILE    # 50 100 legs without a prompt, and more
    python benchmarks/bench_announcement.py --quick --prompts DIR    # with recorded prompts: sound files in a folder

Legs are 30 s of one party, from a seed (announcement_calls.py): espeak-ng's and flite's voices, noise 8 to 35 dB below,
gain -20 to +6 dB, other speech 12 dB weaker to 12 dB stronger than the prompt, 35 % with somebody talking over it 6 to
15 dB weaker, 25 % with music under it, 60 % through a 300 to 3400 Hz line, clocks 300 ppm apart, 15 % with a slip of 10
to 40 ms inside, 5 % of packets lost (half in bursts; the recorder knows of half of them; else filled with silence,
repeated or concealed), G.711, G.729, G.729B, Opus, GSM, AMR and G.722, 35 % of these coded twice.
Kinds: full: a whole prompt. speed: a hundredth faster or slower. cut: 0.3 s to 70 % of its speech cut off at one end;
short: 0.3 to 0.5 s of it. near: the prompt's voice says nearly the same. other: another voice says the same, or the
same voice says it in other words. lines: the prompts' voices say other things. talk: other voices, no prompt.
With --progress, what a file names as done already is not done again: to go on, or to save what there is (--legs).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the processes are started; before numpy reads it

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import announcement_calls as calls
import report

from vittne.appliance.hearing.detector import VERSION, Detector
from vittne.appliance.hearing.followers import finish, follow
from vittne.appliance.hearing.following import Following
from vittne.appliance.hearing.front import FRAME_S, Front
from vittne.appliance.hearing.fronts import Fronts, Packets
from vittne.appliance.hearing.guard import Guard
from vittne.appliance.hearing.judge import FULL_SCORE, Judged
from vittne.appliance.hearing.pattern import BEFORE_S
from vittne.appliance.hearing.reference import Reference

SIZES: Final = {  # legs of each kind
    "quick": {
        "full": 240,
        "speed": 120,
        "cut": 240,
        "short": 120,
        "near": 120,
        "other": 120,
        "lines": 300,
        "talk": 900,
    },
    "full": {
        "full": 1000,
        "cut": 1000,
        "short": 1000,
        "other": 600,
        "near": 600,
        "speed": 400,
        "lines": 2000,
        "talk": 50_100,
    },
}
CHUNK_S: Final = {"quick": 600.0, "full": 600.0}  # of talk from which CHUNK legs are cut
CHUNK: Final = 150
WHOLE_CHAIN: Final = {
    "full": 0.3,
    "speed": 0.2,
    "cut": 0.3,
    "short": 0.3,
    "near": 0.2,
    "other": 0.2,
    "lines": 0.05,
    "talk": 0.03,
}
NEAR_S: Final = 0.15  # a prompt is found where it is
SCORES: Final = (0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60)
TOGETHER: Final = 60  # legs that last at the same time, of which the cost is told
ENDS: Final = (0.15, 0.20, 0.25, 0.30, 0.33, 0.36, 0.40, 0.45, 0.50)
MISSING: Final = ((0.3, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 9.0))


@dataclass(slots=True)
class Tally:
    """What was found in legs of a kind."""

    legs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    begin_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    missing: list[tuple[float, str]] = field(default_factory=list)
    wrong_full: int = 0  # another prompt than the one played


def listen(detector: Detector, leg: calls.Leg, tally: Tally) -> None:
    """Add what is found in a leg."""
    lost = [] if leg.lost is None else [(n * 160, (n + 1) * 160) for n in np.flatnonzero(leg.lost).tolist()]
    places = detector.places(leg.samples, lost)
    matches = detector.search(leg.samples, lost) if any(one.state != "none" for _, one in places) else []
    tally.legs += 1
    kind = leg.notes["kind"]
    here = _here(places, leg)
    if leg.prompt >= 0:
        mine = [m for m in matches if m.reference == leg.prompt and abs(m.begin - leg.begin) < NEAR_S]
        tally.wrong_full += sum(m.state == "full" and m.reference != leg.prompt for m in matches)
    else:
        like = leg.notes.get("like")
        mine = [m for m in matches if like is None or m.reference == like]
    best = max(mine, key=lambda one: (one.state == "full", one.share), default=None)
    state = best.state if best is not None else "none"
    tally.states[state] += 1
    tally.scores.append(max((one.score for one in here), default=0.0))
    tally.ends.append(max((_end(one) for one in here), default=-1.0))
    for condition in conditions(leg):
        tally.by.setdefault(condition, Counter())[state] += 1
    if best is not None and leg.prompt >= 0:
        tally.begin_s.append(best.begin - leg.begin)
        tally.end_s.append(best.end - leg.end)
        tally.share.append(best.share - leg.share)
    if kind in ("cut", "short"):
        tally.missing.append((leg.missing_s, state))


def _here(places: list[tuple[int, Judged]], leg: calls.Leg) -> list[Judged]:
    """Return what was found of the prompt that was played, where it was; of the one that a leg is like, anywhere."""
    if leg.prompt >= 0:
        return [j for n, j in places if n == leg.prompt and abs(j.begin * FRAME_S + BEFORE_S - leg.begin) < NEAR_S]
    like = leg.notes.get("like")
    return [j for n, j in places if like is None or n == like]


def _end(one: Judged) -> float:
    """Return the evidence of the weaker end where all else is as for a full match."""
    return one.ends if one.would_be_full else -1.0


def conditions(leg: calls.Leg) -> list[str]:
    notes = leg.notes
    found = [str(notes["codec"]), f"loss {notes['loss']}", "loss known" if notes["loss known"] else "loss not known"]
    found += [name for name in ("talk over", "music", "slip") if notes.get(name)]
    found += ["coded twice"] if notes.get("twice") else []
    found += ["noise 8 to 12 dB below"] if notes["snr"] < 12 else []
    return found + (["gain below -14 dB"] if notes["gain"] < -14 else [])


def bound(count: int, legs: int) -> float:
    """Return the upper 95 % bound of a rate (Poisson)."""
    above = {0: 3.0, 1: 4.74, 2: 6.30, 3: 7.75, 4: 9.15, 5: 10.51}
    return above.get(count, count + 1.645 * count**0.5 + 2) / max(1, legs)


def known(progress: Path | None, seed: int) -> list[dict[str, Any]]:
    """Return what a file says was done already with a seed, by this version of the detector.

    Talk that version 1 listened to counts too where its best score is less than full needs: what a score is made of has
    only lost since (judge.py leaves out what was made up for lost packets), so none of these legs can be full now.
    """
    if progress is None or not progress.exists():
        return []
    lines = map(json.loads, progress.read_text(encoding="utf-8").splitlines())
    mine = [one for one in lines if one["seed"] == seed]
    before = [one for one in mine if one["detector"] == "1" and "chunk" in one and one["scores"][-1] < FULL_SCORE]
    return before + [one for one in mine if one["detector"] == VERSION]


def note(progress: Path | None, seed: int, done: dict[str, Any]) -> None:
    if progress is not None:
        with progress.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seed": seed, "detector": VERSION, **done}) + "\n")


def run(
    kinds: dict[str, int],
    given: calls.Material,
    detector: Detector,
    seed: int,
    say: Any,
    progress: Path | None = None,
    name: str = "",
) -> dict[str, Tally]:
    """Return what was found in legs of each kind. name: of the material, in the file."""
    tallies = {}
    done = {(one["kind"], one["material"]): one["tally"] for one in known(progress, seed) if "kind" in one}
    for kind, count in kinds.items():
        tally = tallies[kind] = Tally()
        if (kind, name) in done and done[kind, name]["legs"] == count:
            tally = tallies[kind] = Tally(**done[kind, name])
            tally.states, tally.by = Counter(tally.states), {by: Counter(found) for by, found in tally.by.items()}
            continue
        for number in range(count):
            rng = np.random.default_rng([seed, *kind.encode(), number])
            listen(detector, calls.make(kind, given, rng, rng.random() < WHOLE_CHAIN[kind]), tally)
        say(f"{name} {kind}: {dict(tally.states)}")
        note(
            progress,
            seed,
            {"kind": kind, "material": name, "tally": {one.name: getattr(tally, one.name) for one in fields(tally)}},
        )
    return tallies


def talk(
    legs: int, chunk_s: float, given: calls.Material, detector: Detector, seed: int, progress: Path | None, say: Any
) -> dict[str, Any]:
    """Return what was found in talk without a prompt, a chunk of it at a time."""
    done = {one["chunk"]: one for one in known(progress, seed) if "chunk" in one}
    for chunk in range(-(-legs // CHUNK)):
        if chunk in done:
            continue
        rng = np.random.default_rng([seed, 99, chunk])
        given.talk = calls.speech("test", chunk_s, rng)
        tally = Tally()
        for _ in range(CHUNK):
            listen(detector, calls.make("talk", given, rng, rng.random() < WHOLE_CHAIN["talk"]), tally)
        top = [round(one, 3) for one in sorted(tally.scores)[-5:]]
        line = {"chunk": chunk, "legs": CHUNK, "s": chunk_s, **tally.states, "scores": top}
        line["above"] = [sum(one >= least for one in tally.scores) for least in SCORES]
        done[chunk] = line
        note(progress, seed, line)
        if chunk % 20 == 19:
            say(f"talk: {(chunk + 1) * CHUNK} legs")
    found = [one for chunk, one in done.items() if chunk < -(-legs // CHUNK)]
    return {
        "legs": sum(one["legs"] for one in found),
        "hours_distinct": round(sum(one["s"] for one in found) / 3600, 1),
        "full": sum(one.get("full", 0) for one in found),
        "partial": sum(one.get("partial", 0) for one in found),
        "best_score": max(one["scores"][-1] for one in found),
        "above": [sum(one["above"][i] for one in found) for i in range(len(SCORES))],
    }


# ---- what it costs


def cost(prompts: list[calls.I16], given: calls.Material, seed: int) -> list[dict[str, Any]]:
    """Return CPU ms for 30 s of a party in PCMU: at once; in pieces of half a second; of a second, many at a time."""
    rows = []
    more = [calls.trimmed(calls.say(*one)) for one in calls.many_prompts("test")]
    for count in (1, 4, 12, 48):
        detector = Detector([Reference(one) for one in (prompts + more)[:count]])
        for kind in ("full", "lines", "talk"):
            legs = [calls.make(kind, given, np.random.default_rng([seed, 7, n]), False).samples for n in range(12)]
            legs = [leg for leg in legs if len(leg)]
            at_once = [_least(detector, leg) for leg in legs]
            live = [_follow(detector, leg) for leg in legs]
            together = min((_together(detector, legs) for _ in range(3)), key=sum)
            rows.append(
                {
                    "references": min(count, len(prompts + more)),
                    "leg": kind,
                    "search_ms": round(float(np.median(at_once)), 2),
                    "search_p95_ms": round(float(np.percentile(at_once, 95)), 2),
                    "front_ms": round(float(np.median([front for front, _ in live])), 2),
                    "following_ms": round(float(np.median([following for _, following in live])), 2),
                    "together_front_ms": round(together[0], 2),
                    "together_following_ms": round(together[1], 2),
                }
            )
    return rows


def _least(detector: Detector, leg: calls.I16) -> float:
    taken = []
    for _ in range(4):
        begin = time.process_time()
        detector.search(leg)
        taken.append(1000 * (time.process_time() - begin))
    return min(taken)


def _follow(detector: Detector, leg: calls.I16) -> tuple[float, float]:
    """Return CPU ms of making frames and of following them, the least of three."""
    best = (1e9, 1e9)
    for _ in range(3):
        front, following, spent = Front(0), Following(detector), [0.0, 0.0]
        for at in range(0, len(leg), 4000):
            which = np.arange(at // 160, min(at + 4000, len(leg)) // 160)
            begin = time.process_time()
            size = np.full(len(which), 160)
            runs = front.feed(leg, which * 160, size, which * 160, which * 20_000_000)
            spent[0] += time.process_time() - begin
            begin = time.process_time()
            for one in runs:
                following.feed(one)
            spent[1] += time.process_time() - begin
        following.finish()
        best = min(best, (1000 * spent[0], 1000 * spent[1]), key=sum)
    return best


def _together(detector: Detector, legs: list[calls.I16]) -> tuple[float, float]:
    """Return CPU ms a leg of making frames of many and of following them, as an analysis process does."""
    voices, spent = [Following(detector, number) for number in range(TOGETHER)], [0.0, 0.0]
    fronts, guard = Fronts(), Guard()
    lines = [legs[number % len(legs)] for number in range(TOGETHER)]
    for at in range(0, max(len(line) for line in lines), calls.RATE):
        parts = [line[at : at + calls.RATE] for line in lines]
        counts = [len(part) // 160 for part in parts]
        size = np.full(sum(counts), 160)
        place = np.concatenate([at + 160 * np.arange(count) for count in counts])
        packets = Packets(
            np.repeat(np.arange(TOGETHER, dtype=np.int32), counts), np.cumsum(size) - size, size, place, place
        )
        samples = np.concatenate([part[: 160 * count] for part, count in zip(parts, counts, strict=True)])
        begin = time.process_time()
        for runs in fronts.feed(samples, packets, guard):
            spent[0] += time.process_time() - begin
            begin = time.process_time()
            follow([voices[run.number] for run in runs.each], runs, detector, guard)
            spent[1] += time.process_time() - begin
            begin = time.process_time()
        spent[0] += time.process_time() - begin
    begin = time.process_time()
    finish(voices, detector, guard)
    spent[1] += time.process_time() - begin
    return 1000 * spent[0] / TOGETHER, 1000 * spent[1] / TOGETHER


# ---- what is said


def figures(tallies: dict[str, Tally], talked: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "kind": kind,
            "legs": one.legs,
            "full": round(one.states["full"] / one.legs, 4),
            "partial": round(one.states["partial"] / one.legs, 4),
            "none": round(one.states["none"] / one.legs, 4),
            "other_prompt_full": one.wrong_full,
            **({} if kind in ("full", "speed") else {"full_bound_95": round(bound(one.states["full"], one.legs), 5)}),
        }
        for kind, one in tallies.items()
    ]
    total = talked["legs"]
    rows.append({"kind": "talk", "legs": total, "full": talked["full"] / total, "partial": talked["partial"] / total})
    rows[-1] |= {"none": 1 - rows[-1]["full"] - rows[-1]["partial"], "full_bound_95": bound(talked["full"], total)}
    places = [
        {"kind": kind, **{name: round(value, 3) for name, value in _errors(tallies[kind]).items()}}
        for kind in ("full", "speed", "cut")
        if tallies[kind].begin_s
    ]
    present = [*tallies["full"].scores, *tallies["speed"].scores]
    lines = tallies["lines"].scores
    roc = [
        {
            "score": least,
            "found": round(sum(one >= least for one in present) / len(present), 4),
            "lines": round(sum(one >= least for one in lines) / len(lines), 5),
            "talk": round(talked["above"][place] / total, 6),
        }
        for place, least in enumerate(SCORES)
    ]
    ends = [{"end": least, **{kind: _above(tallies[kind].ends, least) for kind in tallies}} for least in ENDS]
    cut = [
        {
            "missing_s": f"{low} to {high}",
            "legs": len(these),
            "full": round(these.count("full") / max(1, len(these)), 4),
        }
        for low, high in MISSING
        for these in [[state for s, state in tallies["cut"].missing + tallies["short"].missing if low <= s < high]]
    ]
    by = [
        {
            "condition": name,
            "legs": sum(found.values()),
            "found": round(1 - found["none"] / sum(found.values()), 4),
            "full": round(found["full"] / sum(found.values()), 4),
        }
        for name, found in sorted(tallies["full"].by.items())
    ]
    return {"kinds": rows, "talk": talked, "places": places, "roc": roc, "ends": ends, "cut": cut, "conditions": by}


def _above(values: list[float], least: float) -> float:
    return round(sum(one >= least for one in values) / max(1, len(values)), 4)


def _errors(one: Tally) -> dict[str, float]:
    begin, end, share = (np.abs(np.array(part)) for part in (one.begin_s, one.end_s, one.share))
    return {
        "begin_median_s": float(np.median(begin)),
        "begin_p99_s": float(np.percentile(begin, 99)),
        "end_median_s": float(np.median(end)),
        "end_p99_s": float(np.percentile(end, 99)),
        "share_mean_error": float(share.mean()),
    }


def of_folder(folder: Path, given: calls.Material) -> calls.Material:
    """Return material whose prompts are sound files of a folder; a third of them are only lines of the same voice."""
    sounds = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".wav", ".flac", ".mp3", ".ogg"):
            continue
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ar", "8000", "-ac", "1", "-"]
        raw = np.frombuffer(subprocess.run(command, check=False, capture_output=True).stdout, np.int16)
        if len(raw) and not any(np.array_equal(raw[:8000], other[:8000]) for other in sounds):
            sounds.append(calls.trimmed(raw))
    prompts = [one for one in sounds if 1.5 * calls.RATE < len(one) < 20 * calls.RATE]
    lines = [one for one in sounds if not any(one is other for other in prompts)]
    lines = [one[: 10 * calls.RATE] for one in lines + prompts[::3]]
    prompts = [one for n, one in enumerate(prompts) if n % 3]
    line = np.concatenate([part for one in lines for part in (one, np.zeros(2400, np.int16))])
    line = np.tile(line, -(-40 * calls.RATE // len(line)))
    return calls.Material(prompts, [], [], line, given.talk, given.music, given.noise)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the default")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--save", action="store_true", help="add the result to results/")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split", choices=("test", "dev"), default="test", help="dev: the voices it was tuned with")
    parser.add_argument("--prompts", type=Path, help="a folder with recorded prompts, used besides")
    parser.add_argument("--talk-seed", type=int, help="of talk, if not the same")
    parser.add_argument("--legs", type=int, help="of talk, instead of 900 or 50 100")
    parser.add_argument("--only", choices=("kinds", "talk", "cost"), help="a part of it; only cost can be saved")
    parser.add_argument("--progress", type=Path, help="a file of what was done, to go on from")
    given = parser.parse_args()
    size = "full" if given.full else "quick"

    missing = [name for name in ("espeak-ng", "flite", "sox", "ffmpeg") if not shutil.which(name)]
    if missing:
        print(f"left out: {', '.join(missing)} is not installed here")
        return 0

    def say(text: str) -> None:
        print(time.strftime("%H:%M:%S"), text, flush=True)

    kinds = dict(SIZES[size])
    legs = given.legs or kinds["talk"]
    del kinds["talk"]
    material = calls.material(given.split, 1800, given.seed)
    detector = Detector([Reference(one) for one in material.prompts])
    say(f"{len(material.prompts)} prompts, {len(material.near)} near, {len(material.other)} other")
    if given.only == "kinds":
        for kind, tally in run(kinds, material, detector, given.seed, say, given.progress).items():
            print(kind, dict(tally.states))
        return 0
    if given.only == "cost":
        spent = cost(material.prompts, material, given.seed)
        print(report.table(spent))
        if given.save:
            report.save(report.result("announcement", {"seed": given.seed, "detector": VERSION}, {"cost": spent}))
        return 0
    if given.only is None:
        tallies = run(kinds, material, detector, given.seed, say, given.progress)
        spent = cost(material.prompts, material, given.seed)
    talk_seed = given.seed if given.talk_seed is None else given.talk_seed
    talked = talk(legs, CHUNK_S[size], material, detector, talk_seed, given.progress, say)
    if given.only == "talk":
        print(json.dumps(talked))
        return 0
    found = figures(tallies, talked) | {"cost": spent}
    if given.prompts is not None:
        recorded = of_folder(given.prompts, material)
        few = {kind: kinds[kind] // 4 for kind in ("full", "speed", "cut", "short", "lines")}
        detector = Detector([Reference(one) for one in recorded.prompts])
        mine = run(few, recorded, detector, given.seed, say, given.progress, "recorded")
        spoken = talk(min(legs, 1500), CHUNK_S[size], recorded, detector, given.seed + 1, given.progress, say)
        found["recorded"] = figures(mine, spoken)
        found["recorded"]["prompts"] = len(recorded.prompts)
    for part in ("", "recorded"):
        shown = found.get(part, found if not part else {})
        for name in ("kinds", "places", "cut", "roc", "ends", "conditions", "cost"):
            if name in shown:
                print(f"\n{part} {name}\n{report.table(shown[name])}")
    given_size = {"size": size, "seed": given.seed, "talk_seed": talk_seed, "split": given.split, "detector": VERSION}
    if given.save:
        report.save(report.result("announcement", given_size, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
