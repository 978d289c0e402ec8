"""Every decoder against the ffmpeg program's decode of the same payloads.

Voices are of our own making. Where FFmpeg has no encoder the payloads are random
bits, which any of these decoders turns into some sound.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from voice.making import I16, encoded, ffmpeg, pieces, snr_db, speechlike, tone

from vittne.codecs.decoder import NotDecodable, is_decodable, open_decoder
from vittne.codecs.formats import STATIC, Format
from vittne.codecs.g726 import G726

NARROW = speechlike(3, 8000)
WIDE = speechlike(3, 16_000)


def decoded(payloads: list[bytes], format_: Format) -> I16:
    decoder = open_decoder(format_)
    voice = np.concatenate([decoder.decode(payloads[:7]), decoder.decode(payloads[7:])])
    assert decoder.damaged == 0
    return voice


def noise_frames(count: int, size: int) -> list[bytes]:
    return pieces(np.random.default_rng(729).bytes(count * size), size)


def test_all_256_bytes_of_g711() -> None:
    every = bytes(range(256))
    for format_, demuxer in ((STATIC[0], "mulaw"), (STATIC[8], "alaw")):
        wanted = ffmpeg(every, "-f", demuxer, "-ar", "8000", "-i", "-")

        assert decoded(pieces(every, 32), format_).tolist() == wanted.tolist()


def test_g722() -> None:
    payloads = encoded(WIDE, "g722", 16_000, size=320)
    wanted = ffmpeg(b"".join(payloads), "-f", "g722", "-i", "-")

    voice = decoded(payloads, STATIC[9])

    assert voice.tolist() == wanted.tolist()
    assert snr_db(voice[22:], WIDE[: len(voice) - 22]) > 15  # the filter bank takes 22 samples


@pytest.mark.parametrize("kbits", [16, 24, 32])
@pytest.mark.parametrize("packing", ["", "AAL2-"])
def test_g726_in_both_packings(kbits: int, packing: str) -> None:
    name = "g726" if packing else "g726le"
    payloads = encoded(NARROW, f"adpcm_{name}", 8000, kbits * 1000, size=160)
    stream = b"".join(payloads)
    wanted = ffmpeg(stream, "-f", name, "-code_size", str(kbits // 8), "-ar", "8000", "-i", "-")

    voice = decoded(payloads, Format(f"{packing}G726-{kbits}", 8000))

    assert voice.tolist() == wanted.tolist()
    if kbits > 16:
        assert snr_db(voice, NARROW[: len(voice)]) > 10


@pytest.mark.parametrize("kbits", [16, 24, 32, 40])
def test_g726_is_bit_exact_where_it_is_decoded_here(kbits: int) -> None:
    vector = json.loads(Path(__file__).with_name("g726_by_spandsp.json").read_text())[str(kbits)]
    payload = base64.b64decode(vector["payload_base64"])

    voice = G726(Format(f"G726-{kbits}", 8000), kbits // 8, is_big_endian=False).decode(
        pieces(payload, kbits // 8 * 20)
    )

    assert len(voice) == vector["samples"]
    assert hashlib.sha256(voice.astype("<i2").tobytes()).hexdigest() == vector["samples_sha256"]


def test_g726_40_comes_in_two_packings() -> None:
    codes = np.random.default_rng(40).integers(0, 32, 800)
    bits = codes[:, None] >> np.arange(5) & 1
    low_first = np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes()
    high_first = np.packbits(bits[:, ::-1].astype(np.uint8).ravel()).tobytes()

    one = decoded([low_first], Format("G726-40", 8000))

    assert len(one) == 800
    assert one.tolist() == decoded([high_first], Format("AAL2-G726-40", 8000)).tolist()


def test_static_type_2_is_g726_32_with_the_first_code_in_the_low_bits() -> None:
    payloads = encoded(NARROW, "adpcm_g726le", 8000, 32_000, size=160)

    assert decoded(payloads, STATIC[2]).tolist() == decoded(payloads, Format("G726-32", 8000)).tolist()
    voice = decoded(payloads, STATIC[2])[: len(NARROW)]
    assert snr_db(voice, NARROW[: len(voice)]) > 15


def test_l16_in_mono_and_mixed_from_stereo() -> None:
    mono = NARROW.astype(">i2").tobytes()
    stereo = np.repeat(NARROW, 2).astype(">i2").tobytes()

    assert decoded(pieces(mono, 320), Format("L16", 8000)).tolist() == NARROW.tolist()
    assert decoded(pieces(stereo, 640), Format("L16", 8000, 2)).tolist() == NARROW.tolist()


def test_dvi4_is_ima_with_the_halves_of_each_byte_swapped() -> None:
    payloads = [struct.pack(">hBx", n * 100 - 3000, n % 89) + body for n, body in enumerate(noise_frames(60, 80))]
    blocks = b"".join(
        struct.pack("<hBx", n * 100 - 3000, n % 89) + bytes(byte >> 4 | (byte & 15) << 4 for byte in payload[4:])
        for n, payload in enumerate(payloads)
    )
    form = struct.pack("<HHIIHHHH", 0x11, 1, 8000, 4174, 84, 4, 2, 161)
    header = b"RIFF" + struct.pack("<I", 40 + len(blocks)) + b"WAVEfmt " + struct.pack("<I", 20) + form
    file = header + b"data" + struct.pack("<I", len(blocks)) + blocks
    # sox, because FFmpeg rounds the steps of IMA in a way of its own.
    wanted = np.frombuffer(_run(file, "sox", "-t", "wav", "-", "-t", "s16", "-"), "<i2")

    voice = decoded(payloads, STATIC[5])

    # In WAV the predictor of the header is the first sample of a block.
    assert voice.tolist() == wanted.reshape(-1, 161)[:, 1:].ravel().tolist()


def test_g723_1_at_both_rates() -> None:
    frames = encoded(NARROW, "g723_1", 8000, 6300)
    frames += [bytes([frame[0] & 0xFC | 1, *frame[1:]]) for frame in noise_frames(20, 20)]
    wanted = ffmpeg(b"".join(frames), "-f", "g723_1", "-i", "-")

    assert decoded(frames, STATIC[4]).tolist() == wanted.tolist()


def test_g729() -> None:
    frames = noise_frames(300, 10)
    wanted = ffmpeg(b"".join(frames), "-f", "g729", "-i", "-")

    assert decoded(pieces(b"".join(frames), 20), STATIC[18]).tolist() == wanted.tolist()


def test_gsm_in_both_packings() -> None:
    raw = NARROW.tobytes()
    gsm = _program(raw, "-f", "s16le", "-ar", "8000", "-i", "-", "-c:a", "libgsm", "-f", "gsm", "-")
    wav49 = _program(raw, "-f", "s16le", "-ar", "8000", "-i", "-", "-c:a", "libgsm_ms", "-f", "wav", "-")
    ms = wav49[wav49.index(b"data") + 8 :]
    ms = ms[: len(ms) // 65 * 65]

    assert decoded(pieces(gsm, 33), STATIC[3]).tolist() == ffmpeg(gsm, "-f", "gsm", "-i", "-").tolist()
    voice = decoded(pieces(ms, 65), Format("MS-GSM", 8000))
    wanted = ffmpeg(wav49, "-f", "wav", "-i", "-")
    assert voice.tolist() == wanted[: len(voice)].tolist()


@pytest.mark.parametrize(("mode", "size"), [(20, 38), (30, 50)])
def test_ilbc(mode: int, size: int) -> None:
    # The last bit of a frame says that it is empty; random frames are not.
    frames = [frame[:-1] + bytes([frame[-1] & 0xFE]) for frame in noise_frames(100, size)]
    wanted = ffmpeg(f"#!iLBC{mode}\n".encode() + b"".join(frames), "-f", "ilbc", "-i", "-")
    format_ = Format("iLBC", 8000, 1, f"mode={mode}")

    assert decoded(pieces(b"".join(frames), size * 2), format_).tolist() == wanted.tolist()


@pytest.mark.parametrize("rate", [8000, 16_000, 32_000])
def test_speex(rate: int) -> None:
    raw = speechlike(2, rate).tobytes()
    form = ("-f", "s16le", "-ar", str(rate), "-i", "-", "-c:a", "libspeex", "-frames_per_packet", "1")
    ogg = _program(raw, *form, "-f", "ogg", "-")
    with av.open(io.BytesIO(ogg), "r") as container:
        payloads = [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]
    wanted = ffmpeg(ogg, "-c:a", "speex", "-f", "ogg", "-i", "-")

    voice = decoded(payloads, Format("speex", rate))

    # The file says how many samples its encoder is late, and ffmpeg leaves those out.
    skipped = len(voice) - len(wanted)
    assert 0 <= skipped < rate // 10
    assert max(snr_db(voice[at : at + len(wanted)], wanted) for at in (0, skipped)) > 60


@pytest.mark.parametrize("aligned", [False, True])
def test_amr(aligned: bool) -> None:
    storage = encoded(NARROW, "libopencore_amrnb", 8000, 12_200)
    speech = ffmpeg(b"#!AMR\n" + b"".join(storage), "-f", "amr", "-i", "-")
    if aligned:
        payloads = [b"\xf0" + frame for frame in storage]
    else:
        payloads = []
        for frame in storage:
            number = 15 << 250 | frame[0] >> 2 << 244 | int.from_bytes(frame[1:32], "big") >> 4
            payloads.append((number << 2).to_bytes(32, "big"))

    voice = decoded(payloads, Format("AMR", 8000, 1, f"octet-align={int(aligned)}"))

    # FFmpeg's own decoder in floats is the oracle, ours is OpenCORE's in integers.
    assert len(voice) == len(speech)
    assert snr_db(voice, speech) > 20


def test_amr_wb() -> None:
    frames = [bytes([2 << 3 | 4]) + frame for frame in noise_frames(50, 32)]
    wanted = ffmpeg(b"#!AMR-WB\n" + b"".join(frames), "-f", "amr", "-i", "-")

    voice = decoded([b"\xf0" + frame for frame in frames], Format("AMR-WB", 16_000, 1, "octet-align=1"))

    assert len(voice) == len(wanted) == 50 * 320
    assert np.corrcoef(voice, wanted)[0, 1] > 0.9


def test_opus() -> None:
    payloads = encoded(speechlike(2, 48_000), "libopus", 48_000, 24_000)
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.codec_context.layout = "mono"
        for number, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream = stream
            packet.time_base = Fraction(1, 48_000)
            packet.pts = packet.dts = number * 960
            container.mux(packet)
    wanted = ffmpeg(file.getvalue(), "-c:a", "libopus", "-f", "ogg", "-i", "-")

    voice = decoded(payloads, Format("opus", 48_000, 2))

    skipped = 312  # the encoder's pre-skip, which a file's player leaves out
    count = min(len(wanted), len(voice) - skipped)
    assert count > 90_000
    assert snr_db(voice[skipped : skipped + count], wanted[:count]) > 60


def test_stereo_opus_is_mixed_to_one_voice() -> None:
    context = AudioCodecContext.create("libopus", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    context.time_base = Fraction(1, 48_000)
    context.bit_rate = 64_000
    context.open()
    both = np.stack([tone(1, 48_000, 500), tone(1, 48_000, 900)], axis=1)
    payloads = []
    for at in range(0, 48_000, 960):
        frame = AudioFrame.from_ndarray(both[at : at + 960].reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, at
        payloads += [bytes(packet) for packet in context.encode(frame)]

    voice = decoded(payloads, Format("opus", 48_000, 2))[4800:43_200]

    spectrum = np.abs(np.fft.rfft(voice * np.hanning(38_400))) / 9600
    assert spectrum[400] == pytest.approx(4000, rel=0.02)  # 500 Hz, half as loud as it was on its side
    assert spectrum[720] == pytest.approx(4000, rel=0.02)


def test_what_cannot_be_decoded_says_why() -> None:
    for format_ in (Format("EVS", 16_000), Format("AMR", 8000, 1, "interleaving=4"), Format("speex", 11_025)):
        with pytest.raises(NotDecodable) as caught:
            open_decoder(format_)
        assert caught.value.reason
    assert not is_decodable(Format("telephone-event", 8000))
    assert not is_decodable(Format("PCMU", 0))


def _program(data: bytes, *arguments: str) -> bytes:
    return _run(data, "ffmpeg", "-v", "error", *arguments)


def _run(data: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout
