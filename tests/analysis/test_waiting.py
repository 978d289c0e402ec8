"""What has time waits in the analysis process, in bounded memory, whatever comes meanwhile."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hearing.sounds import quiet, speech

from vittne.appliance.analysis import messages, tasks
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.child import Analysis
from vittne.appliance.analysis.messages import Rows, parse_reply
from vittne.appliance.analysis.references import Loaded, pack_references
from vittne.appliance.analysis.tasks import Queue
from vittne.capture.handed import Voice
from vittne.capture.heard import Prompt
from vittne.codecs.formats import STATIC

PACKETS = 50
MOST = 3 * PACKETS * 160  # samples


def second(place: int) -> Rows:
    """Return a second of one voice, G.711, that is searched for tones and listened to."""
    packet = np.frombuffer(b"\x80\x08" + bytes(10) + b"\xd5" * 160, np.uint8)
    every = np.arange(place * PACKETS, (place + 1) * PACKETS)
    size = np.full(PACKETS, len(packet), np.int64)
    return Rows(
        every * 20_000_000,
        size,
        (every * 160).astype(np.uint32),
        np.zeros(PACKETS, np.int32),
        every.astype(np.uint16),
        np.full(PACKETS, 8, np.uint8),
        np.cumsum(size) - size,
        np.tile(packet, PACKETS),
        [Voice(0, dict(STATIC), (), is_new=not place)] if not place else [],
        np.ones(PACKETS, np.uint8),
    )


@pytest.mark.parametrize("must", [True, False])
def test_sound_that_waits_takes_bounded_memory_also_where_nothing_may_be_left_out(
    must: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_WAITING", MOST)
    area = Area.make(1 << 20)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        queue = Queue(Analysis(area), area, area, theirs)
        for place in range(10):
            queue._search(place, second(place), False, must)

        assert sum(work.samples for work in queue._work) == queue._samples
        assert 0 < queue._samples <= MOST
        assert sum(1 for work in queue._work if work.samples) == 3
    area.close()


def test_tones_are_searched_while_announcements_are_learned() -> None:
    prompts = [speech(2 + place / 4) for place in range(6)]
    loaded = [Loaded(Prompt("", "", "notice"), (), one.astype("<i2").tobytes()) for one in (*prompts, quiet(1))]
    data = np.frombuffer(pack_references(loaded), np.uint8)
    area = Area.make(1 << 20)
    area.data[: len(data)] = data
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        queue = Queue(Analysis(area), area, area, theirs)
        queue._take(7, 0, len(data), 0, messages.REFERENCES, 0)
        ours.setblocking(False)
        answers = []
        for number in range(20):
            if not queue._work:
                break
            queue._do_a_step()
            if number < 4:
                queue._search(100 + number, second(number), False, True)
            while (message := received(ours)) is not None:
                answers.append(parse_reply(message))
    area.close()

    numbers = [one.number for one in answers if one.number != messages.HEARD]
    assert numbers == [100, 101, 102, 103, 7]
    (learned,) = [one for one in answers if one.number == 7]
    assert [(one.kind, one.number) for one in learned.findings] == [(messages.NOT_DECODED, 6)]


def received(ours: socket.socket) -> bytes | None:
    try:
        return ours.recv(1 << 16)
    except BlockingIOError:
        return None
