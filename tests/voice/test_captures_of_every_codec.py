"""Real RTP of every codec, where the captures are at hand: is it the sound that it should be?"""

from __future__ import annotations

import subprocess
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from voice.making import CAPTURES, I16

from vittne.codecs.formats import Format
from vittne.codecs.level import clipped, dbov, levels
from vittne.codecs.resample import resample
from vittne.codecs.timeline import lay_out
from vittne.codecs.tracks import FormatFrom, Side, Track

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captures at {CAPTURES}")

PROMPT = "realjimmy__sample-captures__wireshark-samples__files__sip-and-rtp__sip-rtp-{}.pcap"
FIELDS = ("rtp.ssrc", "frame.time_epoch", "rtp.seq", "rtp.timestamp", "rtp.p_type", "rtp.payload")


@cache
def rtp_of(name: str) -> list[list[str]]:
    command = ["tshark", "-r", str(CAPTURES / name), "--enable-heuristic", "rtp_udp", "-Y", "rtp", "-T", "fields"]
    for field in FIELDS:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return [row for row in rows if len(row) == len(FIELDS) and all(row)]


def unwrapped(values: list[str], bits: int) -> npt.NDArray[np.int64]:
    numbers = np.array(values, np.int64)
    half = 1 << bits - 1
    return np.asarray(numbers[0] + np.cumsum((np.diff(numbers, prepend=numbers[0]) + half) % (2 * half) - half))


def nanoseconds(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def tracks_of(name: str, format_: Format | None = None) -> list[Track]:
    """Return a track for each SSRC; format_: what dynamic payload types mean."""
    found: dict[str, list[list[str]]] = {}
    for row in rtp_of(name):
        found.setdefault(row[0], []).append(row)
    formats = {} if format_ is None else {kind: [FormatFrom(0, format_)] for kind in range(96, 128) if kind != 101}
    return [
        Track(
            ssrc,
            1,
            Side.LEFT,
            int(ssrc, 16),
            np.array([nanoseconds(row[1]) for row in rows], np.int64),
            unwrapped([row[2] for row in rows], 16),
            unwrapped([row[3] for row in rows], 32),
            np.array([row[4] for row in rows], np.uint8),
            [bytes.fromhex(row[5]) for row in rows],
            formats,
        )
        for ssrc, rows in found.items()
    ]


def heard(track: Track) -> tuple[I16, int]:
    """Return samples and rate, after checking that the length is what the arrivals say, within a packet."""
    rendering = lay_out([track])
    voice = rendering.whole()[:, 0]
    span = float(track.at_ns.max() - track.at_ns.min()) / 1e9
    assert -0.021 <= len(voice) / rendering.sample_rate - span <= 0.041
    return voice, rendering.sample_rate


def loudest_hertz(voice: I16, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(voice * np.hanning(len(voice))))
    spectrum[: 100 * len(voice) // rate] = 0
    return float(spectrum.argmax()) * rate / len(voice)


def loudness(voice: I16, rate: int) -> npt.NDArray[np.float64]:
    """Return the level of every 50 ms, from -45 dBov, below 4 kHz: what every codec has."""
    return np.asarray(np.maximum(levels(resample(voice, rate, 8000), 400), -45)[:160])


# In the order in which the file's SSRCs begin.
G726_CALLS = [f"{packing}G726-{kbits}" for packing in ("", "AAL2-") for kbits in (16, 24, 32, 40)]
PROMPTS = [
    ("g722", 0, None),
    ("g729a", 0, None),
    ("ilbc", 0, Format("iLBC", 8000, 1, "mode=30")),
    ("opus", 0, Format("opus", 48_000, 2)),
    *[("speex", n, Format("speex", rate)) for n, rate in enumerate((8000, 16_000, 32_000))],
    *[("g726", n, Format(name, 8000)) for n, name in enumerate(G726_CALLS)],
]


@pytest.mark.parametrize(("name", "number", "format_"), PROMPTS)
def test_one_prompt_sounds_alike_in_every_codec(name: str, number: int, format_: Format | None) -> None:
    reference, rate = heard(tracks_of(PROMPT.format("g711"))[0])

    voice, voice_rate = heard(tracks_of(PROMPT.format(name), format_)[number])

    assert dbov(voice) == pytest.approx(dbov(reference), abs=2)
    assert np.corrcoef(loudness(voice, voice_rate), loudness(reference, rate))[0, 1] > 0.92
    assert clipped(voice) < 50


def test_a_tone_of_440_hertz_behind_g722() -> None:
    (track,) = tracks_of("babblevoice__projectrtp__test__interface__pcaps__440hzinbackgroundg722.pcap")

    assert loudest_hertz(*heard(track)) == pytest.approx(440, abs=15)


def test_the_milliwatt_is_1004_hertz() -> None:
    (track,) = tracks_of("signalwire__freeswitch__tests__unit__pcap__milliwatt.pcmu.rtp.pcap")

    assert loudest_hertz(*heard(track)) == pytest.approx(1004, abs=1)


def test_losses_of_an_opus_call_are_concealed_and_shorten_nothing() -> None:
    name = "asterisk__testsuite__tests__codecs__opus__fec__16_bit_48khz_60_fec_{}.pcapng"
    opus = Format("opus", 48_000, 2)

    whole, rate = heard(tracks_of(name.format("rtp"), opus)[0])
    lossy, _ = heard(tracks_of(name.format("dropped"), opus)[0])

    # 29 of 3000 packets are missing. Their copies (FEC) cannot be reached, they are concealed.
    assert len(lossy) == len(whole) == 60 * rate
    assert np.corrcoef(lossy, whole)[0, 1] > 0.98


@pytest.mark.parametrize(
    "name",
    [
        "osmocom__libosmo-netif__tests__osmo-pcap-test__pcaps__rtp-nanobts-2-phones-amr.pcap",
        "hdiniz__rtpdump__samples__sample1_ipv4_amr-nb.pcap",
    ],
)
def test_amr_of_real_phones_is_speech(name: str) -> None:
    for track in tracks_of(name, Format("AMR", 8000)):
        rendering = lay_out([track])
        voice = rendering.whole()[:, 0]

        assert rendering.notes == []
        assert -40 < dbov(voice) < -15
        assert 100 < loudest_hertz(voice, 8000) < 1000


@pytest.mark.parametrize(
    "name",
    [
        "ahmedelemamn__Wireshark-Captures__collab_pcap__sip__sip_hold_resume.pcapng",
        "ahmedelemamn__Wireshark-Captures__collab_pcap__sip__sip_recording_ora.pcapng",
        "asterisk__testsuite__tests__channels__pjsip__rtp_ptime__transcode__sipp__40msalaw.pcap",
        "cisco-system-traffic-generator__trex-core__scripts__cap2__Voice_calls_rtp_only.pcap",
        "sippy__rtpproxy__tests__rtp_analyze__lost.a.rtp",
    ],
)
def test_a_call_is_as_long_as_its_packets_say(name: str) -> None:
    for track in tracks_of(name):
        heard(track)
