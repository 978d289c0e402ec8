"""Calls as files: what comes out of them is what went in, and the same every time."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from voice.making import I16, SECOND, START, encoded, ffmpeg, snr_db, speechlike, tone, track

from vittne.codecs.container import KINDS, Parties, available_kinds, chosen, write
from vittne.codecs.formats import STATIC, Format
from vittne.codecs.matroska import write_matroska
from vittne.codecs.timeline import lay_out

CALL = np.stack([speechlike(3, 8000), tone(3, 8000, 500)], axis=1)


def chunked(call: I16, size: int = 1234) -> Iterator[I16]:
    return (call[at : at + size] for at in range(0, len(call), size))


def heard(path: Path, *arguments: str) -> I16:
    command = ["ffmpeg", "-v", "error", "-i", str(path), *arguments, "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("parties", list(Parties))
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_what_loses_nothing_gives_back_every_sample(kind: str, parties: Parties, tmp_path: Path) -> None:
    path = tmp_path / "call"

    count = write(path, kind, chunked(CALL), 8000, parties)

    assert count == len(CALL)
    assert heard(path).tolist() == chosen(CALL, parties).ravel().tolist()


@pytest.mark.parametrize("kind", ["opus", "mp3"])
def test_what_loses_a_little_keeps_sides_and_length(kind: str, tmp_path: Path) -> None:
    if kind not in available_kinds():
        pytest.skip(f"this FFmpeg cannot write {kind}")
    path = tmp_path / "call"

    write(path, kind, chunked(CALL), 8000)

    played = heard(path, "-ar", "8000").reshape(-1, 2)
    assert abs(len(played) - len(CALL)) < 8000 * 0.2
    for side, hertz in ((0, 500), (1, 500)):
        spectrum = np.abs(np.fft.rfft(played[:16_000, side]))
        is_the_tone = abs(int(spectrum.argmax()) / 2 - hertz) < 2
        assert is_the_tone == (side == 1)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_call_is_the_same_file(kind: str, tmp_path: Path) -> None:
    if kind not in available_kinds():
        pytest.skip(f"this FFmpeg cannot write {kind}")
    write(tmp_path / "one", kind, chunked(CALL), 8000)
    write(tmp_path / "two", kind, chunked(CALL, 777), 8000)

    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_a_rate_that_a_file_cannot_hold_is_raised(tmp_path: Path) -> None:
    write(tmp_path / "call.ogg", "opus", chunked(CALL), 11_025)

    with av.open(str(tmp_path / "call.ogg"), "r") as container:
        seconds = (container.duration or 0) / 1e6
    assert seconds == pytest.approx(len(CALL) / 11_025, abs=0.05)


def test_an_empty_call_is_an_empty_file_that_opens(tmp_path: Path) -> None:
    assert write(tmp_path / "call.wav", "wav", [], 8000) == 0

    assert len(heard(tmp_path / "call.wav")) == 0


def test_a_file_can_be_a_stream() -> None:
    target = io.BytesIO()

    write(target, "flac", chunked(CALL), 8000)

    assert ffmpeg(target.getvalue(), "-f", "flac", "-i", "-").tolist() == CALL.ravel().tolist()


def test_matroska_keeps_opus_packets_as_they_were(tmp_path: Path) -> None:
    payloads = encoded(speechlike(2, 48_000), "libopus", 48_000, 24_000)
    caller = track(payloads, Format("opus", 48_000, 2))
    path = tmp_path / "call.mka"

    notes = write_matroska(path, [caller])

    assert notes == []
    with av.open(str(path), "r") as container:
        stored = [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]
    assert stored == payloads


def test_matroska_has_a_stream_for_each_track_at_its_time(tmp_path: Path) -> None:
    narrow = encoded(CALL[:, 0], "pcm_mulaw", 8000, size=160)
    caller = track(narrow, STATIC[0])
    callee = track(narrow, STATIC[0], seat=2, at_ns=START + SECOND)
    unheard = dataclasses.replace(track(narrow, Format("EVS", 16_000), seat=3), name="third")
    path = tmp_path / "call.mka"

    notes = write_matroska(path, [caller, callee, unheard])

    assert [note.track for note in notes] == ["third", "seat 1", "seat 2"]
    whole = lay_out([caller, callee]).whole()
    assert heard(path, "-map", "0:0").tolist() == whole[: len(CALL), 0].tolist()
    assert heard(path, "-map", "0:1").tolist() == whole[:, 1].tolist()
    assert snr_db(whole[: len(CALL), 0], CALL[:, 0]) > 30
    with av.open(str(path), "r") as container:
        titles = [stream.metadata["title"] for stream in container.streams]
    assert titles == ["caller seat 1", "callee seat 2"]


def test_matroska_is_the_same_every_time(tmp_path: Path) -> None:
    caller = track(encoded(CALL[:, 0], "pcm_alaw", 8000, size=160), STATIC[8])
    for name in ("one", "two"):
        write_matroska(tmp_path / name, [caller])

    assert digest(tmp_path / "one") == digest(tmp_path / "two")
