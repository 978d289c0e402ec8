"""Many packets of G.711 decoded at once give what one by one gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.appliance.analysis.messages import Rows
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.voices import Voices
from vittne.capture.columns import SECOND
from vittne.capture.handed import Voice
from vittne.codecs.formats import Format
from vittne.codecs.g711 import A_LAW, MU_LAW

FORMATS = {0: Format("PCMU", 8000), 8: Format("PCMA", 8000), 96: Format("PCMA", 8000)}
TABLES = {0: MU_LAW, 8: A_LAW, 96: A_LAW}


def rows_of(packets: list[tuple[int, int, int, bytes]], *, head: int = 0x80) -> Rows:
    """(voice, sequence number, payload type, payload) in order of arrival; a packet of 20 ms each."""
    raw = [bytes([head, kind]) + seq.to_bytes(2, "big") + bytes(8) + payload for _, seq, kind, payload in packets]
    length = np.array([len(one) for one in raw], np.int64)
    voices = sorted({voice for voice, *_ in packets})
    return Rows(
        np.array([seq * SECOND // 50 for _, seq, *_ in packets], np.int64),
        length,
        np.array([160 * seq for _, seq, *_ in packets], np.int64).astype(np.uint32),
        np.array([voice for voice, *_ in packets], np.int32),
        np.array([seq & 0xFFFF for _, seq, *_ in packets], np.uint16),
        np.array([kind for _, _, kind, _ in packets], np.uint8),
        np.cumsum(length) - length,
        np.frombuffer(b"".join(raw), np.uint8),
        [Voice(voice, FORMATS, (), is_new=True) for voice in voices],
        np.array([voice % 2 for voice, *_ in packets], np.uint8),
    )


def heard(rows: Rows) -> Sound:
    voices = Voices(lambda number: None)
    voices.describe(rows.voices)
    sound, findings = voices.decode(rows)
    assert not findings
    return sound


def samples(sound: Sound, number: int) -> list[int]:
    return [
        sample
        for place in np.flatnonzero(sound.number == number).tolist()
        for sample in sound.samples[sound.begin[place] :][: sound.length[place]].tolist()
    ]


PACKETS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(100, 130),
        st.sampled_from([0, 8, 96]),
        st.binary(min_size=1, max_size=170),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(PACKETS)
def test_every_voice_has_its_packets_once_in_sequence_under_its_law(packets: list[tuple[int, int, int, bytes]]) -> None:
    sound = heard(rows_of(packets))

    for voice in {voice for voice, *_ in packets}:
        mine: dict[int, tuple[int, bytes]] = {}
        for number, seq, kind, payload in packets:
            if number == voice:
                mine.setdefault(seq, (kind, payload))
        expected = [
            sample
            for _, (kind, payload) in sorted(mine.items())
            for sample in TABLES[kind][np.frombuffer(payload, np.uint8)].tolist()
        ]
        assert samples(sound, voice) == expected
        places = sound.at[sound.number == voice]
        assert np.diff(places).tolist() == [160 * step for step in np.diff(sorted(mine)).tolist()]
        assert sound.listen is not None
        assert set(sound.listen[sound.number == voice].tolist()) == {bool(voice % 2)}


@settings(max_examples=50, deadline=None)
@given(PACKETS)
def test_a_cut_between_two_pieces_changes_nothing(packets: list[tuple[int, int, int, bytes]]) -> None:
    packets = sorted(packets, key=lambda one: one[1])  # what comes too late in a later piece is left out
    voices = Voices(lambda number: None)
    cut = next(
        (place for place in range(len(packets) // 2, len(packets)) if packets[place][1] > packets[place - 1][1]), 0
    )
    pieces = [packets[:cut], packets[cut:]] if cut else [packets]
    known: set[int] = set()
    found: dict[int, list[int]] = {}
    for piece in pieces:
        rows = rows_of(piece)
        voices.describe([voice for voice in rows.voices if voice.number not in known])
        known |= {voice.number for voice in rows.voices}
        sound, _ = voices.decode(rows)
        for number in known:
            found.setdefault(number, []).extend(samples(sound, number))

    whole = heard(rows_of(packets))
    assert found == {number: samples(whole, number) for number in known}


@pytest.mark.parametrize("odd", ["padding", "extension"])
def test_packets_with_odd_headers_are_understood_too(odd: str) -> None:
    said = bytes(range(160))
    tail = b"\0\0\0\x04" if odd == "padding" else b""
    front = b"\xbe\xde\0\x01abcd" if odd == "extension" else b""
    rows = rows_of([(0, 1, 8, front + said + tail)], head=0xA0 if odd == "padding" else 0x90)

    assert samples(heard(rows), 0) == A_LAW[np.frombuffer(said, np.uint8)].tolist()
