"""What is left out early, because nothing can be found there, is what would not have been found."""

from __future__ import annotations

from hearing.prompts import LONGER, NOTICE, OTHER, RATE, RESUMED, STOPPED, line, said

from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.reference import Reference

VOICES = ("en-us+f3", "en-us+m3", "en-gb")
PROMPTS = [said(text, voice) for voice in VOICES for text in (NOTICE, LONGER, STOPPED, RESUMED)]
HALF = said(LONGER)[: int(2.6 * RATE)]


def test_what_is_left_out_would_not_have_been_found() -> None:
    references = [Reference(one) for one in PROMPTS] + [Reference(said(LONGER), ((1.0, 2.0),))]
    detector = Detector(references)
    left_out = looked_at = found = 0
    for seed, voice in enumerate(VOICES):
        samples = line(
            30, (0.5, said(OTHER, voice)), (8, said(NOTICE, voice)), (14, HALF), (19, said(STOPPED, voice, 140 + seed))
        )
        lost = [(n * 160, (n + 1) * 160) for n in range(seed, 1500, 17)] if seed else []
        every = detector.places(samples, lost)
        some = detector.places(samples, lost, found_only=True)

        assert [one for one in some if one[1].state != "none"] == [one for one in every if one[1].state != "none"]
        looked_at += len(every)
        left_out += len(every) - len(some)
        found += sum(one.state != "none" for _, one in some)
    assert found > 5
    assert looked_at > left_out > 3
