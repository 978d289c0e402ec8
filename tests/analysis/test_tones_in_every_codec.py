"""Digits keyed as tones in voices that must be decoded: nothing of them is stored, in whatever codec."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from analysis.keyed import Keyed, a_call
from building.coded import codec_of
from building.sdp import Crypto
from rig.stored import stored_plain, stored_rtp

from vittne.appliance.analysis.narrow import Narrow
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun, Summary
from vittne.appliance.seal.records import rtp_columns
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings
from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import Format

CODECS = ("G722", "opus", "GSM", "G729", "AMR", "speex", "G726-32", "G723")
DIGITS_S = (3.0, 6.41, 9.777)
SECONDS = 13.0
MASKING = PauseSettings(auto_digits=0)


def record(keyed: Keyed, where: Path, pause: PauseSettings, processes: int = 1) -> tuple[dict[str, Any], Summary]:
    """Record a scenario from its capture file; return the call and the run's summary."""
    capture = keyed.scenario.write(where / "capture.pcap")
    registrar = Registrar(where / "data")
    try:
        run = FileRun(registrar, Settings(pause=pause), slab_bytes=16 << 20, processes=processes)
        summary = run.run([str(capture)], "test")
    finally:
        registrar.close()
    assert not summary.faults
    with Catalogue(where / "data" / "catalogue.db", read_only=True) as catalogue:
        (row,) = catalogue.list_calls(Search())
        call = {**row.as_json(), "details": row.details}
    return call, summary


def stored_times(where: Path, call: dict[str, Any]) -> npt.NDArray[np.int64]:
    return rtp_columns(stored_plain(where / "data", call)).at_ns


def digits_in(payloads: list[bytes], format_: Format) -> int:
    """Return how many digits can be found in a voice by who decodes all of it."""
    decoder = open_decoder(format_)
    samples = Narrow(decoder.sample_rate).feed(decoder.decode(payloads))
    number, whole = np.zeros(1, np.int32), np.array([len(samples)], np.int64)
    mono = np.zeros(1, np.int64)
    return len(ToneListener().hear(Sound(number, mono, mono, whole, samples, mono)))


@pytest.mark.parametrize("codec", CODECS)
def test_no_stored_packet_decodes_to_a_digit(codec: str, tmp_path: Path) -> None:
    keyed = a_call(codec, DIGITS_S, SECONDS)

    call, _ = record(keyed, tmp_path, MASKING)

    times = stored_times(tmp_path, call)
    assert not keyed.leaked(times)
    assert call["details"]["digits"] == len(DIGITS_S)
    assert all(stream["dropped"]["muted"] for stream in call["streams"]), "both legs"
    assert len(times) > 0.6 * sum(stream["packets"] for stream in call["streams"])
    assert "tones-not-searched" not in call["details"]["flags"]
    chosen = codec_of(codec)
    format_ = Format(chosen.encoding, chosen.clock_rate, chosen.channels, chosen.fmtp)
    for stream in call["streams"]:
        payloads = [p[12:] for p in stored_rtp(tmp_path / "data", call) if p[8:12].hex().upper() == stream["ssrc"]]
        assert payloads
        assert not digits_in(payloads, format_)
    assert digits_in(list(keyed.scenario.truth.calls[0].streams[0].payloads), format_), "they could be found before"


def test_a_sealed_voice_whose_key_was_told_is_opened_for_it(tmp_path: Path) -> None:
    keyed = a_call("PCMU", DIGITS_S, SECONDS, (Crypto(bytes(range(30))), Crypto(bytes(range(30, 60)))))

    call, _ = record(keyed, tmp_path, MASKING)

    assert not keyed.leaked(stored_times(tmp_path, call))
    assert call["details"]["digits"] == len(DIGITS_S)


def test_packets_that_overtake_each_other_hide_nothing(tmp_path: Path) -> None:
    keyed = a_call("G722", DIGITS_S, SECONDS, swapped=tuple(range(4, 640, 3)))

    call, summary = record(keyed, tmp_path, MASKING)

    assert not keyed.leaked(stored_times(tmp_path, call))
    assert call["details"]["digits"] == len(DIGITS_S)
    assert not summary.problems


def test_tones_stay_where_the_policy_says_so(tmp_path: Path) -> None:
    call, _ = record(a_call("G722", DIGITS_S, SECONDS), tmp_path, replace(MASKING, digit_policy="keep"))

    assert len(stored_times(tmp_path, call)) == sum(stream["packets"] for stream in call["streams"])
    assert call["details"]["flags"] == []


def test_a_codec_that_is_not_listened_to_is_kept_and_said_so(tmp_path: Path) -> None:
    call, summary = record(a_call("G722", DIGITS_S, SECONDS), tmp_path, replace(MASKING, listen=("OPUS",)))

    packets = sum(stream["packets"] for stream in call["streams"])
    assert len(stored_times(tmp_path, call)) == packets
    assert call["details"]["flags"] == ["tones-not-searched"]
    assert call["details"]["tones_not_searched"] == packets
    assert summary.drops["media"]["tones not searched: codec"] == packets


def test_or_it_is_left_out_where_nothing_unheard_may_be_stored(tmp_path: Path) -> None:
    pause = replace(MASKING, listen=(), unheard="drop")

    call, summary = record(a_call("G722", DIGITS_S, SECONDS), tmp_path, pause, processes=0)

    packets = sum(stream["packets"] for stream in call["streams"])
    assert call["outcome"] == "discarded-by-policy"
    assert [stream["dropped"] for stream in call["streams"]] == [{"not-analysed": packets // 2}] * 2
    assert summary.drops["media"]["left out, tones not searched: codec"] == packets
    assert {gap["reason"] for gap in call["details"]["gaps"]} == {"not-analysed"}


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    keyed = a_call("opus", DIGITS_S, SECONDS)
    times = []
    for processes in (1, 2):
        where = tmp_path / str(processes)
        where.mkdir()
        call, _ = record(keyed, where, MASKING, processes)
        times.append(stored_times(where, call).tolist())

    assert times[0] == times[1]
