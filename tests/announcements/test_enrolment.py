"""What is made of a sound file: silence goes, speech stays, and what is no sound is refused in words."""

from __future__ import annotations

import io
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from prompts import I16, NOTICE, speech, write_wav

from vittne.appliance.announcements.decode import BadSound, decode
from vittne.appliance.announcements.enrol import prepare
from vittne.appliance.announcements.measure import Unfit, measure
from vittne.appliance.announcements.terms import BadTerms
from vittne.appliance.store.errors import StoreError


def music(seconds: float) -> I16:
    at = np.arange(int(seconds * 8000)) / 8000
    chord = sum(np.sin(2 * np.pi * hertz * at) for hertz in (220.0, 277.2, 329.6))
    return (3000 * chord * (1 + 0.2 * np.sin(2 * np.pi * 0.5 * at))).astype(np.int16)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff", "ulaw", "alaw", "sln", "gsm", "g722", "m4a"])
def test_what_pbxes_and_studios_give_is_read(tmp_path: Path, kind: str) -> None:
    spoken = speech(NOTICE)
    wav = write_wav(tmp_path / "prompt.wav", spoken)
    path = tmp_path / f"prompt.{kind}"
    raw = {"ulaw": "mulaw", "alaw": "alaw", "sln": "s16le"}.get(kind)
    rate = "16000" if kind == "g722" else "8000"
    if kind == "gsm":
        subprocess.run(["sox", "-V1", str(wav), "-t", "gsm", str(path)], check=True)
    elif kind != "wav":
        form = ["-f", raw] if raw else []
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(wav), "-ar", rate, *form, str(path)], check=True)

    samples = prepare(path).samples

    # What espeak-ng breathes at the ends differs from run to run, and GSM makes more of it: ffmpeg says what is there.
    form = ["-f", raw, "-ar", rate] if raw else []
    command = ["ffmpeg", "-v", "error", *form, "-i", str(path), "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    read = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2")
    best = measure(read)
    assert len(samples) / 8000 == pytest.approx(best.end_s - best.begin_s, abs=0.05)
    assert best.speech_s == pytest.approx(measure(spoken).speech_s, rel=0.1)
    assert np.abs(samples.astype(np.int32)).max() > np.abs(spoken.astype(np.int32)).max() / 2


def test_silence_around_the_speech_goes_and_nothing_of_the_speech(tmp_path: Path) -> None:
    spoken = speech(NOTICE)
    silence = np.zeros(24_000, np.int16)
    path = write_wav(tmp_path / "prompt.wav", np.concatenate([silence, spoken, silence]))

    sound = prepare(path)

    loud = np.flatnonzero(np.abs(spoken.astype(np.int32)) > 300)
    assert sound.cut_ms[0] / 1000 == pytest.approx(3 + loud[0] / 8000, abs=0.06)
    assert sound.cut_ms[0] / 1000 <= 3 + loud[0] / 8000
    assert sound.cut_ms[1] / 1000 >= 3 + loud[-1] / 8000


def test_music_behind_the_last_word_is_shown_and_can_be_cut_off(tmp_path: Path) -> None:
    spoken = speech(NOTICE)
    path = write_wav(tmp_path / "prompt.wav", np.concatenate([spoken, music(8)]))

    sound = prepare(path)
    (warning,) = sound.measures.warnings
    until = float(warning.split("--until ")[1].split()[0])
    cut = prepare(path, until_s=until)

    assert "music" in warning
    assert until == pytest.approx(len(spoken) / 8000, abs=1.0)
    assert not cut.measures.warnings
    assert until >= measure(spoken).end_s


def test_seconds_of_the_file_become_seconds_of_what_is_kept(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "prompt.wav", np.concatenate([np.zeros(16_000, np.int16), speech(NOTICE)]))

    sound = prepare(path, required=[(3.2, 7.9)])

    begin = sound.cut_ms[0]
    assert sound.required_ms == ((3200 - begin, 7900 - begin),)
    with pytest.raises(BadTerms, match="is not in the announcement"):
        prepare(path, required=[(0.2, 7.9)])


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(40_000, np.int16), "it is silent"),
        (music(6), "nothing in it sounds like speech"),
        ((np.random.default_rng(1).standard_normal(48_000) * 500).astype(np.int16), "nothing in it sounds like speech"),
        (speech(NOTICE)[:10_000], "too little"),
    ],
    ids=["silence", "music", "noise", "a word"],
)
def test_what_cannot_be_told_from_others_is_no_reference(tmp_path: Path, samples: I16, words: str) -> None:
    with pytest.raises((Unfit, BadTerms), match=words):
        prepare(write_wav(tmp_path / "prompt.wav", samples))


def test_speech_under_loud_music_is_taken_when_somebody_says_so(tmp_path: Path) -> None:
    spoken = speech(NOTICE)
    path = write_wav(tmp_path / "prompt.wav", spoken // 2 + music(len(spoken) / 8000)[: len(spoken)] // 2)

    with pytest.raises(Unfit, match="sounds like speech"):
        prepare(path)

    assert len(prepare(path, anyway=True).samples) == len(spoken)
    with pytest.raises(Unfit, match="silent"):
        prepare(write_wav(tmp_path / "silence.wav", np.zeros(40_000, np.int16)), anyway=True)


def test_what_is_faint_clipped_or_mostly_silent_is_said(tmp_path: Path) -> None:
    spoken = speech(NOTICE).astype(np.float64)
    gap = np.zeros(200_000, np.int16)
    first, second = np.array_split(spoken.astype(np.int16), 2)

    faint = prepare(write_wav(tmp_path / "faint.wav", (spoken / 40).astype(np.int16)))
    loud = prepare(write_wav(tmp_path / "loud.wav", np.clip(spoken * 20, -32768, 32767).astype(np.int16)))
    sparse = prepare(write_wav(tmp_path / "sparse.wav", np.concatenate([first, gap, second])))

    assert "faint" in faint.measures.warnings[0]
    assert "clipped" in loud.measures.warnings[0]
    assert "mostly silence" in sparse.measures.warnings[0]


def wav_of(rate: int, channels: int, frames: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as stream:
        stream.setparams((channels, 2, rate, 0, "NONE", ""))
        stream.writeframes(frames)
    return out.getvalue()


HOSTILE = ("empty", "noise", "text", "playlist", "concat", "header", "one hertz", "many channels", "lying", "picture")


def hostile(folder: Path) -> dict[str, bytes]:
    """Files that are no sound, or want to be more than one."""
    whole = wav_of(8000, 1, speech(NOTICE).tobytes())
    secret = folder / "secret.wav"
    secret.write_bytes(whole)
    return {
        "empty": b"",
        "noise": np.random.default_rng(3).bytes(100_000),
        "text": b"this is no sound\n" * 100,
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "header": whole[:44],
        "one hertz": wav_of(1, 1, speech(NOTICE).tobytes()),
        "many channels": wav_of(8000, 64, bytes(64 * 2 * 8000)),
        "lying": whole[:40] + struct.pack("<I", 0xFFFFFFF0)[:4] + b"\0" * 16,
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / "upload.wav"
    path.write_bytes(hostile(tmp_path)[name])

    with pytest.raises(StoreError) as refused:
        prepare(path)

    assert str(path) in str(refused.value)
    assert refused.value.next_step


def test_a_link_a_folder_and_a_pipe_are_no_upload(tmp_path: Path, notice: Path) -> None:
    link = tmp_path / "link.wav"
    link.symlink_to(notice)
    for path in (link, tmp_path, tmp_path / "not there", Path("/dev/zero")):
        with pytest.raises(StoreError):
            decode(path)


def test_a_small_file_that_decodes_to_much_is_cut_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    subprocess.run(["sox", "-V1", "-n", "-r", "8000", str(path), "trim", "0", "1200"], check=True)
    assert path.stat().st_size < 1 << 20

    assert decode(path).is_cut
    assert len(decode(path).samples) == 600 * 8000
    big = tmp_path / "big.wav"
    with big.open("wb") as stream:
        stream.truncate((128 << 20) + 1)
    with pytest.raises(BadSound, match="larger than"):
        decode(big)
