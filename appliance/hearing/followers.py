"""Many voices followed at once: the steps that one needs (following.py), made for all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from vittne.appliance.hearing.detector import HINT, Detector, Match
from vittne.appliance.hearing.features import WHOLE, bands_of, features_of
from vittne.appliance.hearing.following import TURN, Following
from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard

Found = list[tuple[int, list[Match]]]  # by a voice's number


def follow(each: Sequence[Following], runs: Runs, detector: Detector, guard: Guard) -> Found:
    """Return what each finds in its run, as if it were fed alone. No voice has two runs.

    What fails in a voice is the guard's matter; it then finds nothing more.
    """
    if not detector.patterns:
        return []
    found: Found = []
    bands, whole = bands_of(runs.power), runs.present >= WHOLE
    for one, run in zip(each, runs.each, strict=True):
        with guard.of(one.number):
            found.append((one.number, one.begin(run.first, len(run.power))))
    left = list(zip(each, runs.begins[:-1], runs.begins[1:], strict=True))
    while left:
        ready = []
        for one, begin, end in left:
            with guard.of(one.number):
                part = slice(begin, min(begin + TURN, end))
                if one.put(bands[part].copy(), whole[part].copy()):
                    ready.append(one)
        found += _look([one for one in ready if one.number not in guard.faulty], detector, guard)
        left = [(one, begin + TURN, end) for one, begin, end in left if begin + TURN < end]
    return [(number, matches) for number, matches in found if matches]


def finish(each: Sequence[Following], detector: Detector, guard: Guard) -> Found:
    """Return what is new of voices that are over."""
    if not detector.patterns:
        return []
    places: list[tuple[Following, tuple[F32, int]]] = []
    for one, features in zip(each, features_of([one.asked(is_last=True) for one in each]), strict=True):
        with guard.of(one.number):
            places.append((one, one.ending(features)))
    found: Found = []
    hints = detector.live_bank.hints_of([place for _, place in places], HINT)
    for (one, _), some in zip(places, hints, strict=True):
        with guard.of(one.number):
            found.append((one.number, one.ended(some)))
    return found


def _look(ready: list[Following], detector: Detector, guard: Guard) -> Found:
    if not ready:
        return []
    found: Found = []
    for one, features in zip(ready, features_of([one.asked() for one in ready]), strict=True):
        with guard.of(one.number):
            one.take(features)
    places = [one.places() for one in ready]
    for one, hints in zip(ready, detector.live_bank.hints_of(places, HINT), strict=True):
        with guard.of(one.number):
            found.append((one.number, one.look(hints)))
    return found
