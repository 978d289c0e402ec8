"""Vectors of the standards and of other programs, where the captures are at hand (they are not part of this tree)."""

from __future__ import annotations

import numpy as np
import pytest
from voice.making import CAPTURES, I16, ffmpeg, pieces, snr_db

from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import STATIC, Format

CODEC = CAPTURES / "extras" / "codec"
RTPLIB = "lemenkov__rtplib__test__samples__"
ITU_G729A = "dwaybright__g729a_python__resources__g729AnnexA__test_vectors__"

pytestmark = pytest.mark.skipif(not CODEC.is_dir(), reason=f"no codec vectors at {CODEC}")


def read(name: str) -> bytes:
    return (CODEC / name).read_bytes()


def samples(name: str, kind: str = "<i2") -> I16:
    return np.frombuffer(read(name), kind).astype(np.int16)


def decoded(payloads: list[bytes], format_: Format) -> I16:
    decoder = open_decoder(format_)
    voice = decoder.decode(payloads)
    assert decoder.damaged == 0
    return voice


@pytest.mark.parametrize(("law", "payload_type"), [("u", 0), ("a", 8)])
def test_the_itu_sweep_through_g711(law: str, payload_type: int) -> None:
    coded = samples(f"openitu__STL__src__g711__test_data__sweep-r.{law}").astype(np.uint8).tobytes()
    wanted = samples(f"openitu__STL__src__g711__test_data__sweep-r.re{law}")

    assert decoded(pieces(coded, 160), STATIC[payload_type]).tolist() == wanted.tolist()


@pytest.mark.parametrize("law", ["u", "a"])
def test_g711_of_another_program(law: str) -> None:
    coded = read(f"{RTPLIB}pcm{law}__raw-{law}law.raw")

    voice = decoded(pieces(coded, 160), STATIC[0 if law == "u" else 8])

    assert voice.tolist() == samples(f"{RTPLIB}pcm{law}__raw-pcm16.from_{law}law").tolist()


def test_gsm_of_another_program() -> None:
    voice = decoded(pieces(read(f"{RTPLIB}gsm__sample-gsm-16-mono-8khz.raw"), 33), STATIC[3])

    assert voice.tolist() == samples(f"{RTPLIB}gsm__sample-pcm-16-mono-8khz.raw").tolist()


@pytest.mark.parametrize("name", ["lemenkov__rtplib__test__samples__g722__conf-adminmenu-162.g722"])
def test_g722_equals_ffmpeg_and_resembles_the_eight_kilohertz_reference(name: str) -> None:
    data = read(name)
    voice = decoded(pieces(data, 160), STATIC[9])

    assert voice.tolist() == ffmpeg(data, "-f", "g722", "-i", "-").tolist()
    reference = samples(f"{RTPLIB}g722__conf-adminmenu-162.raw")
    assert np.corrcoef(voice[12::2], reference[: len(voice[12::2])])[0, 1] > 0.98


# FFmpeg's G.729 is not bit-exact: this is how far it is from the ITU's own output (dB, measured).
@pytest.mark.parametrize(("name", "at_least"), [("ALGTHM", 22), ("FIXED", 17), ("TAME", 29), ("TEST", 22)])
def test_g729a_resembles_the_itu_vectors(name: str, at_least: float) -> None:
    words = np.frombuffer(read(f"{ITU_G729A}{name}.BIT"), "<i2").reshape(-1, 82)
    frames = [np.packbits(row[2:] == 0x81).tobytes() for row in words]
    suffix = "pst" if name == "TEST" else "PST"

    voice = decoded(frames, STATIC[18])

    assert snr_db(voice, samples(f"{ITU_G729A}{name}.{suffix}")) > at_least
    assert voice.tolist() == ffmpeg(b"".join(frames), "-f", "g729", "-i", "-").tolist()


@pytest.mark.parametrize(("mode", "size", "late"), [(20, 38, 40), (30, 50, 80)])
def test_ilbc_resembles_its_vectors(mode: int, size: int, late: int) -> None:
    voice = decoded(pieces(read(f"{RTPLIB}ilbc__F01.BIT{mode}"), size), Format("iLBC", 8000, 1, f"mode={mode}"))

    wanted = samples(f"{RTPLIB}ilbc__F01.OUT{mode}")
    assert len(voice) == len(wanted)
    # The reference has an enhancer that FFmpeg leaves out, so it is later. FFmpeg's first frames are wrong: its
    # decoder starts from another state than the reference (and this vector starts in the middle of a word).
    heard, reference = voice[800:-late], wanted[800 + late :]
    assert np.corrcoef(heard, reference)[0, 1] > 0.97


def test_speex_resembles_its_own_decoder() -> None:
    payloads = pieces(read(f"{RTPLIB}speex__sample-speex-16-mono-8khz.raw"), 38)

    voice = decoded(payloads, Format("speex", 8000))[80:]

    reference = samples(f"{RTPLIB}speex__sample-pcm-16-mono-8khz.from_spx")[: len(voice)]
    assert np.corrcoef(voice[: len(reference)], reference)[0, 1] > 0.99


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_opus_vectors_have_every_sample(number: int) -> None:
    data = read(f"{RTPLIB}opus__testvector0{number}.bit")
    payloads, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        payloads.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    decoder = open_decoder(Format("opus", 48_000, 2))

    voice = decoder.decode(payloads[:400])

    assert decoder.damaged == 0
    assert len(voice) == sum(decoder.samples_in(payload) for payload in payloads[:400])
    assert np.abs(voice).max() > 1000
