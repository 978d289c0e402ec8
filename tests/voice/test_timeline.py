"""What a listener hears of a call: every sample in its place, whatever happened to the packets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import binary, integers, lists, permutations
from voice.making import I16, SECOND, START, encoded, joined, picked, pieces, speechlike, tone, track

from vittne.codecs.concealment import ComfortNoise
from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import STATIC, Format
from vittne.codecs.level import dbov
from vittne.codecs.timeline import lay_out
from vittne.codecs.tracks import I64, FormatFrom, Gap, PackedPayloads, Side, Track

PCMU = STATIC[0]
VOICE = encoded(speechlike(4, 8000), "pcm_mulaw", 8000, size=160)  # 200 packets of 20 ms
MS = 8  # samples of a millisecond


def sound(payloads: list[bytes], format_: Format = PCMU) -> I16:
    return open_decoder(format_).decode(payloads)


CLEAN = sound(VOICE)
NARROW = speechlike(2, 8000)


def left(*tracks: Track, from_ns: int | None = None, to_ns: int | None = None) -> I16:
    return lay_out(tracks, (), from_ns, to_ns).whole()[:, 0]


def shifted(whole: Track, rows: slice, at_ns: int = 0, ticks: int = 0, seq: int = 0) -> Track:
    """Return a copy whose rows arrive later, have other timestamps or other sequence numbers."""
    moved = dataclasses.replace(whole, at_ns=whole.at_ns.copy(), timestamp=whole.timestamp.copy(), seq=whole.seq.copy())
    moved.at_ns[rows] += at_ns
    moved.timestamp[rows] += ticks
    moved.seq[rows] += seq
    return moved


def test_the_caller_is_left_the_callee_right_and_every_sample_is_there() -> None:
    other = VOICE[::-1]

    rendering = lay_out([track(other, PCMU, seat=2), track(VOICE, PCMU, seat=1)])

    stereo = rendering.whole()
    assert rendering.sample_rate == 8000
    assert stereo[:, 0].tolist() == CLEAN.tolist()
    assert stereo[:, 1].tolist() == sound(other).tolist()
    assert rendering.notes == []


def test_a_late_start_is_a_gap_of_its_true_length() -> None:
    stereo = lay_out([track(VOICE, PCMU), track(VOICE, PCMU, seat=2, at_ns=START + 3 * SECOND)]).whole()

    assert len(stereo) == 7 * 8000
    assert not stereo[: 3 * 8000, 1].any()
    assert stereo[3 * 8000 :, 1].tolist() == CLEAN.tolist()


def test_the_span_of_the_call_is_kept_when_it_is_told() -> None:
    rendering = lay_out([track(VOICE, PCMU)], from_ns=START - SECOND, to_ns=START + 10 * SECOND)

    whole = rendering.whole()[:, 0]
    assert rendering.samples == len(whole) == 11 * 8000
    assert whole[8000 : 5 * 8000].tolist() == CLEAN.tolist()
    assert not whole[:8000].any()
    assert not whole[5 * 8000 :].any()


def test_a_call_without_a_sound_is_silent_for_its_whole_length() -> None:
    assert lay_out([], from_ns=START, to_ns=START + SECOND).whole().shape == (8000, 2)
    assert lay_out([]).samples == 0


def test_reordered_and_repeated_packets_change_nothing() -> None:
    order = [0, 1, 3, 2, 4, 4, 5, 8, 7, 6, *range(9, 200), 150]
    mixed = picked(track(VOICE, PCMU), order)
    mixed.at_ns[:] = np.sort(mixed.at_ns)

    assert left(mixed).tolist() == CLEAN.tolist()


def test_a_loss_is_concealed_fades_out_and_moves_nothing() -> None:
    lossy = picked(track(VOICE, PCMU), [*range(5), *range(15, 200)])

    heard = left(lossy)

    assert len(heard) == len(CLEAN)
    hole = slice(5 * 160, 15 * 160)
    assert heard[: hole.start].tolist() == CLEAN[: hole.start].tolist()
    assert heard[hole.stop :].tolist() == CLEAN[hole.stop :].tolist()
    assert dbov(heard[hole.start : hole.start + 20 * MS]) > -60
    assert not heard[hole.start + 60 * MS : hole.stop].any()


def test_what_was_paused_is_silent_and_not_concealed() -> None:
    lossy = picked(track(VOICE, PCMU), [*range(5), *range(15, 200)])
    pause = Gap(START + 100_000_000, START + 300_000_000, "paused")

    heard = lay_out([lossy], [pause]).whole()[:, 0]

    assert not heard[5 * 160 : 15 * 160].any()
    assert heard[15 * 160 :].tolist() == CLEAN[15 * 160 :].tolist()


def test_silence_suppression_is_silence_of_its_length() -> None:
    quiet = shifted(track(VOICE, PCMU), slice(100, None), at_ns=2 * SECOND, ticks=16_000)

    heard = left(quiet)

    assert len(heard) == len(CLEAN) + 16_000
    assert not heard[100 * 160 : 100 * 160 + 16_000].any()
    assert heard[100 * 160 + 16_000 :].tolist() == CLEAN[100 * 160 :].tolist()


def test_comfort_noise_fills_the_silence_at_its_level() -> None:
    before = track(VOICE[:100], PCMU, payload_type=0)
    noise = track([bytes([45])], STATIC[13], payload_type=13, at_ns=START + 2 * SECOND, first_seq=1100)
    noise.timestamp[:] = 50_000 + 16_000
    after = track(
        VOICE[100:],
        PCMU,
        payload_type=0,
        at_ns=START + 4 * SECOND,
        first_seq=1101,
        first_timestamp=50_000 + 32_000,
    )

    heard = left(joined(before, noise, after))

    assert dbov(heard[16_000:32_000]) == pytest.approx(-45, abs=0.5)
    assert heard[:16_000].tolist() == CLEAN[:16_000].tolist()
    assert heard[32_000:].tolist() == CLEAN[16_000:].tolist()


def test_the_noise_of_g729_annex_b_lasts_until_the_next_voice() -> None:
    speech = pieces(np.random.default_rng(9).bytes(2000), 20)
    sid = speech[49] + bytes([0, 20 << 1])  # voice that ends in a SID frame of gain 20
    whole = track([*speech[:49], sid, *speech[50:]], STATIC[18])
    quiet = shifted(whole, slice(50, None), at_ns=2 * SECOND, ticks=16_000)

    heard = left(quiet)

    gap = heard[50 * 160 : 50 * 160 + 16_000]
    assert len(heard) == 100 * 160 + 80 + 16_000
    assert -50 < dbov(gap) < -25
    assert np.abs(gap.reshape(100, -1).astype(int)).max(axis=1).min() > 0


def test_amr_makes_its_own_noise_between_sid_frames() -> None:
    storage = encoded(NARROW, "libopencore_amrnb", 8000, 12_200)
    sid = bytes([8 << 3 | 4, 0x35, 0x12, 0x48, 0x9A, 0x80])  # the codec's noise, whatever it says
    payloads = [b"\xf0" + frame for frame in [*storage[:50], sid, *storage[50:]]]
    whole = track(payloads, Format("AMR", 8000, 1, "octet-align=1"))

    heard = left(shifted(whole, slice(51, None), at_ns=2 * SECOND, ticks=16_000))

    silent = left(
        shifted(picked(whole, [*range(50), *range(51, 100)]), slice(50, None), at_ns=2 * SECOND, ticks=16_000)
    )
    assert heard[51 * 160 : 51 * 160 + 16_000].any()
    assert not silent[51 * 160 + 8000 : 51 * 160 + 15_000].any()


def test_timestamps_that_stand_still_over_a_hold_do_not_shorten_it() -> None:
    held = shifted(track(VOICE, PCMU), slice(100, None), at_ns=10 * SECOND)

    heard = left(held)

    assert len(heard) == len(CLEAN) + 80_000
    assert not heard[16_000:96_000].any()
    assert heard[96_000:].tolist() == CLEAN[16_000:].tolist()


@pytest.mark.parametrize("ticks", [-3_000_000, 3_000_000, -40_000])
@pytest.mark.parametrize("seq", [0, -500, 9000])
def test_restarted_timestamps_are_anchored_by_arrival(ticks: int, seq: int) -> None:
    restarted = shifted(track(VOICE, PCMU), slice(100, None), at_ns=SECOND, ticks=ticks, seq=seq)

    heard = left(restarted)

    assert len(heard) == len(CLEAN) + 8000
    assert heard[16_000 + 8000 :].tolist() == CLEAN[16_000:].tolist()
    assert not heard[16_000:24_000].any()


def test_a_network_that_stalls_and_catches_up_leaves_no_gap() -> None:
    stalled = track(VOICE, PCMU)
    late = slice(100, 150)
    stalled.at_ns[late] = np.maximum(stalled.at_ns[late], int(stalled.at_ns[150]))

    assert left(stalled).tolist() == CLEAN.tolist()


def test_jitter_is_not_heard() -> None:
    shaken = track(VOICE, PCMU)
    shaken.at_ns += np.random.default_rng(1).integers(0, 60_000_000, len(shaken))
    order = np.argsort(shaken.at_ns, kind="stable")

    heard = left(picked(shaken, order), from_ns=START, to_ns=START + 4 * SECOND + SECOND // 10)

    start = int(np.flatnonzero(heard)[0]) - int(np.flatnonzero(CLEAN)[0])
    assert 0 <= start <= 20 * MS
    assert heard[start : start + len(CLEAN)].tolist() == CLEAN.tolist()


def test_the_drift_of_a_clock_is_taken_out() -> None:
    seconds = 900
    slow = track([b"\xff" * 160] * (seconds * 50), PCMU)
    slow.payloads = [*slow.payloads[:-50], *VOICE[60:110]]
    # This sender's crystal is 200 ppm slow: after 15 minutes it is 180 ms behind.
    slow.at_ns = START + (slow.at_ns - START) * 10_002 // 10_000

    heard = left(slow, from_ns=START, to_ns=int(slow.at_ns[-1]) + 20_000_000)

    last_second = sound(VOICE[60:110])
    place = len(heard) - len(last_second)
    lag = np.arange(-50 * MS, 1)
    match = [np.dot(heard[place + k :][: len(last_second)] / 1e4, last_second / 1e4) for k in lag.tolist()]
    assert abs(lag[int(np.argmax(match))]) <= 21 * MS
    assert dbov(heard) > -60


def test_a_file_that_is_played_at_once_keeps_its_voice() -> None:
    payloads = VOICE * 10
    rushed = track(payloads, PCMU)
    rushed.at_ns = START + np.arange(len(rushed)) * 100_000

    heard = left(rushed)

    assert abs(len(heard) - 40 * 8000) < 1600
    assert heard[: 4 * 8000].tolist() == CLEAN.tolist()


def test_packets_may_change_their_length() -> None:
    stream = b"".join(VOICE)
    sizes = [160] * 50 + [240] * 40 + [80] * 60 + [160] * 50
    ends = np.cumsum(sizes)
    payloads = [stream[end - size : end] for end, size in zip(ends.tolist(), sizes, strict=True)]

    heard = left(track(payloads, PCMU))

    assert heard.tolist() == CLEAN[: ends[-1]].tolist()


def test_a_change_of_codec_in_the_middle_keeps_the_clock() -> None:
    wide = encoded(tone(2, 16_000, 1000), "g722", 16_000, size=320)
    narrow = track(VOICE[:100], PCMU, payload_type=0)
    after = track(
        wide,
        STATIC[9],
        payload_type=9,
        at_ns=START + 2 * SECOND,
        first_seq=1100,
        first_timestamp=50_000 + 16_000,
    )

    rendering = lay_out([joined(narrow, after)])

    heard = rendering.whole()[:, 0]
    assert rendering.sample_rate == 16_000
    assert len(heard) == 64_000
    assert np.corrcoef(heard[:32_000:2], CLEAN[:16_000])[0, 1] > 0.99
    assert heard[32_000:].tolist() == open_decoder(STATIC[9]).decode(wide).tolist()


def test_one_payload_type_may_change_its_meaning() -> None:
    first, second = track(VOICE[:100], PCMU), track(VOICE[:100], STATIC[8], at_ns=START + 2 * SECOND)
    second.seq += 100
    second.timestamp += 16_000
    both = joined(first, second)
    both.formats = {100: [FormatFrom(START + 2 * SECOND, STATIC[8]), FormatFrom(0, PCMU)]}

    heard = left(both)

    assert heard.tolist() == [*CLEAN[:16_000].tolist(), *sound(VOICE[:100], STATIC[8]).tolist()]


def test_digits_are_silent_and_are_no_loss() -> None:
    before = track(VOICE[:100], PCMU, payload_type=0)
    digit = track(
        [bytes(4)] * 10, Format("telephone-event", 8000), payload_type=101, at_ns=START + 2 * SECOND, first_seq=1100
    )
    digit.at_ns += np.arange(10) * 20_000_000
    digit.timestamp[:] = 50_000 + 16_000
    after = track(
        VOICE[100:],
        PCMU,
        payload_type=0,
        at_ns=START + SECOND * 22 // 10,
        first_seq=1110,
        first_timestamp=50_000 + 17_600,
    )

    rendering = lay_out([joined(before, digit, after)])
    heard = rendering.whole()[:, 0]

    assert not heard[16_000:17_600].any()
    assert heard[17_600:].tolist() == CLEAN[16_000:].tolist()
    assert rendering.notes == []


def test_voices_of_one_side_are_added_up_without_running_over() -> None:
    loud = encoded(tone(1, 8000, 400, 30_000), "pcm_mulaw", 8000, size=160)
    second = dataclasses.replace(track(loud, PCMU, seat=3), side=Side.LEFT)

    heard = left(track(loud, PCMU), second)

    wanted = np.clip(2 * sound(loud).astype(int), -32768, 32767)
    assert heard.tolist() == wanted.tolist()


def test_pieces_of_any_length_give_the_same_call() -> None:
    rendering = lay_out([track(VOICE, PCMU), track(VOICE[:50], STATIC[9], seat=2)])

    whole = rendering.whole()

    assert np.concatenate([*rendering.chunks(0.0371)]).tolist() == whole.tolist()
    assert rendering.whole().tolist() == whole.tolist()


def test_payloads_in_one_buffer_are_the_same_as_a_list() -> None:
    listed = track(VOICE, PCMU)
    length = np.full(200, 160, np.int64)
    packed = dataclasses.replace(listed, payloads=PackedPayloads(b"".join(VOICE), np.cumsum(length) - length, length))

    assert left(packed).tolist() == CLEAN.tolist()
    assert list(packed.payloads[3:5]) == VOICE[3:5]


def test_what_cannot_be_decoded_is_silent_and_noted() -> None:
    rendering = lay_out([track(VOICE, PCMU), track(VOICE, Format("EVS", 16_000), seat=2)])

    assert not rendering.whole()[:, 1].any()
    assert [(note.track, note.packets) for note in rendering.notes] == [("seat 2", 200)]


def test_damaged_payloads_are_counted() -> None:
    payloads = [*pieces(bytes(33 * 50), 33), b"short"]

    rendering = lay_out([track(payloads, STATIC[3])])
    rendering.whole()

    assert [note.packets for note in rendering.notes] == [1]


def test_red_is_heard_as_its_primary_block() -> None:
    red = [bytes([0]) + payload for payload in VOICE]
    stream = track(VOICE, Format("red", 8000), payload_type=121)
    stream.timestamp = 50_000 + 160 * np.arange(200)
    stream.at_ns = START + 20_000_000 * np.arange(200)
    stream.payloads = red

    assert left(stream).tolist() == CLEAN.tolist()


@pytest.mark.parametrize("wrong", [0, 2])
def test_timestamps_of_a_wrong_clock_are_not_believed(wrong: int) -> None:
    mad = track(VOICE, PCMU)
    mad.timestamp = 50_000 + (mad.timestamp - 50_000) * wrong

    assert left(mad).tolist() == CLEAN.tolist()


def test_an_ssrc_that_takes_over_goes_on_in_the_same_column() -> None:
    first = track(VOICE[:100], PCMU)
    second = dataclasses.replace(track(VOICE[100:], PCMU, at_ns=START + 2 * SECOND, first_timestamp=7), ssrc=9)

    assert left(first, second).tolist() == CLEAN.tolist()


@given(order=permutations(range(200)), kept=lists(integers(0, 199), min_size=1, max_size=200, unique=True))
@settings(max_examples=30, deadline=None)
def test_a_call_has_its_length_whatever_was_lost(order: list[int], kept: list[int]) -> None:
    rows = sorted({0, 199, *kept})
    some = picked(track(VOICE, PCMU), rows)

    heard = left(some)

    assert len(heard) == len(CLEAN)
    for row in rows:
        assert np.array_equal(heard[row * 160 : row * 160 + 160], CLEAN[row * 160 : row * 160 + 160])
    assert np.array_equal(left(picked(some, [row for row in order if row < len(rows)])), heard)


times = arrays(np.int64, 12, elements=integers(0, 3 * SECOND))
numbers = arrays(np.int64, 12, elements=integers(-(2**33), 2**33))


@given(
    at=arrays(np.int64, 12, elements=integers(0, 3 * SECOND)), seq=numbers, timestamp=numbers, body=binary(max_size=90)
)
@settings(max_examples=60, deadline=None)
def test_nonsense_gives_a_call_of_its_span(at: I64, seq: I64, timestamp: I64, body: bytes) -> None:
    types = [0, 8, 9, 13, 18, 3, 4, 2, 77, 0, 0, 0]
    wild = Track("wild", 1, Side.LEFT, 1, START + at, seq, timestamp, np.array(types, np.uint8), [body] * 12, {})

    rendering = lay_out([wild], from_ns=START, to_ns=START + 4 * SECOND)

    assert rendering.whole().shape == (4 * rendering.sample_rate, 2)


def test_comfort_noise_is_the_same_every_time_and_in_every_cut() -> None:
    one, two = ComfortNoise(-50, 8000), ComfortNoise(-50, 8000)

    assert one.silence(1000).tolist() == [*two.silence(300).tolist(), *two.silence(700).tolist()]
