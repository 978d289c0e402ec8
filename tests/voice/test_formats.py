"""Ticks in a payload, format by format."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, sampled_from, text

from vittne.codecs.decoder import NotDecodable, open_decoder
from vittne.codecs.formats import STATIC, Format, parameters, ptime_ms, sample_rate, ticks, ticks_by_length

ENCODINGS = (
    *("PCMU", "PCMA", "G722", "G723", "G728", "G729", "GSM", "MS-GSM", "iLBC", "speex", "AMR", "AMR-WB"),
    *("opus", "L8", "L16", "DVI4", "CN", "telephone-event", "red", "G726-16", "G726-24", "AAL2-G726-40"),
)

LENGTHS = [
    (STATIC[0], bytes(160), 160),
    (STATIC[8], bytes(80), 80),
    (STATIC[9], bytes(160), 160),  # 320 samples, but the clock says 8000
    (STATIC[18], bytes(20), 160),
    (STATIC[18], bytes(12), 160),  # one frame and a SID frame
    (STATIC[18], bytes(2), 80),
    (STATIC[3], bytes(66), 320),
    (Format("MS-GSM", 8000), bytes(65), 320),
    (Format("iLBC", 8000, 1, "mode=20"), bytes(38), 160),
    (Format("iLBC", 8000), bytes(50), 240),
    (Format("iLBC", 8000, 1, "mode=20"), bytes(50), 240),  # the length knows better
    (STATIC[4], bytes(24), 240),
    (STATIC[4], bytes([1]) + bytes(19), 240),
    (STATIC[4], bytes([2, 0, 0, 0]), 240),
    (STATIC[2], bytes(80), 160),
    (Format("G726-24", 8000), bytes(60), 160),
    (Format("AAL2-G726-40", 8000), bytes(100), 160),
    (STATIC[10], bytes(1764), 441),
    (STATIC[5], bytes(84), 160),
    (STATIC[15], bytes(40), 160),
    (STATIC[13], bytes(1), 0),
    (Format("telephone-event", 8000), bytes(4), 0),
    (Format("opus", 48000, 2), bytes([0x78, 1, 2]), 960),  # CELT-like config 15, one frame of 20 ms
    (Format("opus", 48000, 2), bytes([0x18]), 2880),  # config 3: 60 ms
    (Format("opus", 48000, 2), bytes([0x80]), 120),  # config 16: 2.5 ms
    (Format("opus", 48000, 2), bytes([0xFB, 0x06]), 5760),  # six frames of 20 ms
    (Format("opus", 48000, 2), bytes([0xFB, 0x07]), 0),  # seven would be 140 ms
    (Format("G722", 16000), bytes(160), 320),  # a wrong rtpmap: ticks of that clock
    (Format("H264", 90000), bytes(100), None),
]


@pytest.mark.parametrize(("format_", "payload", "wanted"), LENGTHS)
def test_a_payload_has_the_ticks_its_rfc_says(format_: Format, payload: bytes, wanted: int | None) -> None:
    assert ticks(format_, payload) == wanted


def test_ptime_follows_from_the_payload() -> None:
    assert ptime_ms(STATIC[9], bytes(240)) == 30
    assert ptime_ms(Format("opus", 48000, 2), bytes([0x00])) == 10
    assert ptime_ms(Format("X", 0), b"") is None


def test_g722_and_opus_have_rates_of_their_own() -> None:
    assert sample_rate(STATIC[9]) == 16_000
    assert sample_rate(Format("OPUS", 8000)) == 48_000
    assert sample_rate(Format("speex", 32_000)) == 32_000


@given(payload=binary(max_size=300), encoding=sampled_from(ENCODINGS), rate=integers(0, 2**32))
def test_garbage_has_some_ticks_and_never_raises(payload: bytes, encoding: str, rate: int) -> None:
    format_ = Format(encoding, rate, 1, "mode=20")

    count = ticks(format_, payload)

    assert count is not None
    assert count >= 0
    by_length = ticks_by_length(format_, len(payload))
    assert by_length in (None, count)


def test_counting_ticks_loads_neither_numpy_nor_ffmpeg() -> None:
    code = "import sys, vittne.codecs.formats; print([name for name in ('av', 'numpy') if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


@given(fmtp=text(max_size=60))
def test_any_fmtp_is_read(fmtp: str) -> None:
    assert all(name == name.strip() for name in parameters(fmtp))


@given(payload=binary(min_size=1, max_size=200), encoding=sampled_from(ENCODINGS))
def test_decoders_give_the_samples_that_were_promised_whatever_the_bytes(payload: bytes, encoding: str) -> None:
    format_ = Format(encoding, 16_000 if encoding == "AMR-WB" else 48_000 if encoding == "opus" else 8000)
    try:
        decoder = open_decoder(format_)
    except NotDecodable:
        return

    voice = decoder.decode([payload, payload[: len(payload) // 2], payload])

    promised = [decoder.samples_in(part) for part in (payload, payload[: len(payload) // 2], payload)]
    assert len(voice) == sum(promised)
    assert len(decoder.conceal(333)) == 333
    assert len(decoder.silence(333)) == 333
