"""Hearing a recording over the API: any range is a piece of the whole, and nobody hears without an entry."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from api.harness import Answer
from api.hearing import ME, Hearing, Shared, run_hearing
from builders import Scenario
from foreign import archive, rows, vcon, voice, wav, written
from foreign import recording as foreign_recording
from recordings import Recorded, record, samples_of
from scenarios import basic, changes
from scenarios.catalogue import ALL

from vittne.appliance.__main__ import run as run_command
from vittne.appliance.life.operations import RESTRICT, Restrict
from vittne.appliance.opened import open_recording
from vittne.appliance.playback import Playback
from vittne.codecs.timeline import lay_out

I16 = npt.NDArray[np.int16]


def spoken() -> Scenario:
    return basic.basic_call(25.0)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Twenty-five seconds of PCMU, a dozen blocks."""
    found = record(spoken(), tmp_path_factory.mktemp("heard"))
    shutil.copytree(found.data, found.data.with_name("as-recorded"))
    return found


@pytest.fixture(scope="module")
def heard(recording: Recorded) -> Iterator[Shared]:
    """A server for it, for all tests that change nothing."""
    one = Shared(recording.data, recording.call)
    yield one
    one.close()


@pytest.fixture
def alone(recording: Recorded, tmp_path: Path) -> Recorded:
    """A copy of it, for a test that changes something."""
    shutil.copytree(recording.data.with_name("as-recorded"), tmp_path / "data")
    return replace(recording, data=tmp_path / "data")


def rendered(recording: Recorded) -> I16:
    """Return the whole call as `vittne export` writes it."""
    call = recording.call
    with open_recording(recording.data, call.folder, call.id) as opened:
        voices = Playback(opened).voices(call)
        return lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns).whole()


def samples(found: Answer, where: Path, kind: str = "wav") -> I16:
    path = where / f"heard.{kind}"
    path.write_bytes(found.body)
    return samples_of(path)[0]


def test_the_file_is_what_is_exported_as_ffmpeg_reads_it(recording: Recorded, heard: Shared, tmp_path: Path) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        found = await one.get("anna", "audio")
        assert (found.status, found.headers["Content-Type"]) == (200, "audio/wav")
        assert int(found.headers["Content-Length"]) == len(found.body)
        assert np.array_equal(samples(found, tmp_path), rendered(recording))
        alone = await one.get("anna", "audio?party=callee&from_ms=9000&to_ms=12000")
        assert np.array_equal(samples(alone, tmp_path)[:, 0], rendered(recording)[72_000:96_000, 1])

    heard.run(use)


def test_every_range_is_that_piece_of_the_whole(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = await one.get("anna", "audio")
        size = len(whole.body)
        for asked, piece in (
            ("bytes=0-0", slice(0, 1)),
            ("bytes=0-43", slice(0, 44)),
            ("bytes=40-50", slice(40, 51)),
            ("bytes=45-", slice(45, size)),
            ("bytes=320041-320048", slice(320_041, 320_049)),  # over the end of a block, amid samples
            (f"bytes=640000-{size + 5}", slice(640_000, size)),
            ("bytes=-7", slice(size - 7, size)),
            (f"bytes=-{size + 9}", slice(0, size)),
        ):
            found = await one.get("anna", "audio", headers={"Range": asked})
            begin, end, _ = piece.indices(size)
            assert found.status == 206, asked
            assert found.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
            assert found.body == whole.body[piece], asked
            assert found.headers["ETag"] == whole.headers["ETag"]

    heard.run(use)


def test_ranges_that_are_none_get_the_whole_and_those_behind_the_end_nothing(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = await one.get("anna", "audio")
        size, etag = len(whole.body), whole.headers["ETag"]
        for asked in ("bytes=0-1,4-5", "bytes=9-3", "bytes=-", "lines=0-1", "bytes=x-", "bytes=0-1-2"):
            found = await one.get("anna", "audio", headers={"Range": asked})
            assert (found.status, len(found.body)) == (200, size), asked
        for asked in (f"bytes={size}-", "bytes=99999999999999999-", "bytes=-0"):
            found = await one.get("anna", "audio", headers={"Range": asked})
            assert found.problem["type"] == "/problems/range-not-satisfiable", asked
            assert (found.status, found.headers["Content-Range"]) == (416, f"bytes */{size}")
        piece = await one.get("anna", "audio", headers={"Range": "bytes=9-19", "If-Range": etag})
        assert (piece.status, piece.body) == (206, whole.body[9:20])
        for other in ('"another"', f"W/{etag}", "Thu, 01 Jan 2026 00:00:00 GMT"):
            found = await one.get("anna", "audio", headers={"Range": "bytes=9-19", "If-Range": other})
            assert (found.status, len(found.body)) == (200, size), other
        same = await one.get("anna", "audio", headers={"If-None-Match": etag})
        assert (same.status, same.body) == (304, b"")

    heard.run(use)


@pytest.mark.parametrize("kind", ["flac", "opus", "mp3"])
def test_other_kinds_are_encoded_as_they_are_sent_and_then_have_ranges(
    recording: Recorded, heard: Shared, tmp_path: Path, kind: str
) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = await one.get("anna", f"audio?format={kind}", headers={"Range": "bytes=0-"})
        assert whole.status == 200
        assert "Content-Length" not in whole.headers
        heard = samples(whole, tmp_path, kind)
        if kind == "flac":
            assert np.array_equal(heard, rendered(recording))
            said = subprocess.run(
                [
                    "ffprobe",
                    "-v",
                    "error",
                    "-show_entries",
                    "format=duration",
                    "-of",
                    "csv=p=0",
                    str(tmp_path / "heard.flac"),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            assert abs(float(said) - len(heard) / 8000) < 0.001  # its header says how long it is
        again = await one.get("anna", f"audio?format={kind}", headers={"Range": "bytes=100-299"})
        assert (again.status, again.body) == (206, whole.body[100:300])
        assert again.headers["Content-Range"] == f"bytes 100-299/{len(whole.body)}"

    heard.run(use)


def test_a_party_that_a_role_hides_is_silent_and_alone_refused(
    recording: Recorded, heard: Shared, tmp_path: Path
) -> None:
    async def use(one: Hearing) -> None:
        await one.role("half", may=["read", "listen"], fields={"audio-callee": "full", "audio-caller": "masked"})
        await one.user("bo", "half")
        heard = samples(await one.get("bo", "audio"), tmp_path)
        assert not heard[:, 0].any()
        assert np.array_equal(heard[:, 1], rendered(recording)[:, 1])
        refused = await one.get("bo", "audio?party=caller")
        assert refused.problem["type"] == "/problems/party-hidden"
        shown = (await one.get("bo", "peaks")).json
        assert "caller" not in shown
        assert max(shown["callee"]) > 10
        encoded = samples(await one.get("bo", "audio?format=flac"), tmp_path, "flac")
        assert not encoded[:, 0].any()

    heard.run(use)


def test_few_rows_tell_which_seconds_were_heard(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("tove", "supervisor")
        player = await one.open("tove")
        (seen,) = one.trail("tove", "view", "play")
        assert seen.kind == "view"
        for second in [2, 3, 3, 4, *range(20, 23)]:
            first = 44 + second * 32_000
            headers = {"Range": f"bytes={first}-{first + 31_999}"}
            assert (await one.get("tove", f"audio?listening={player['id']}", headers=headers)).status == 206
        assert (await one.ask("tove", "DELETE", f"listening/{player['id']}")).status == 204

        view, play, ended = one.trail("tove")
        assert [row.kind for row in (view, play, ended)] == ["view", "play", "play.heard"]
        assert ended.details["look"] == play.id
        assert ended.details["spans"] == [[2, 6], [20, 24]]
        assert ended.details["seconds"] == 8
        assert all(row.entry is not None for row in (view, play, ended))
        over = await one.get("tove", f"audio?listening={player['id']}")
        assert over.problem["type"] == "/problems/listening-over"

    heard.run(use)


def test_who_asks_without_a_player_is_entered_all_the_same(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("liv", "supervisor")
        for asked in ("bytes=44-32043", "bytes=32-1000"):
            assert (await one.get("liv", "audio", headers={"Range": asked})).status == 206
        await one.get("liv", "audio", headers={"Range": "bytes=640044-640050"})
        rows = one.trail("liv", "play")
        assert [row.details.get("to_ms") for row in rows] == [1001, 20001]
        for player in [player for player in one.desk.listenings._open.values() if player.caller.name == "liv"]:
            await one.desk.listenings.end(player)
        assert [row.details["spans"] for row in one.trail("liv", "play.heard")] == [[[0, 2]], [[20, 21]]]

    heard.run(use)


def test_nothing_is_handed_out_when_the_look_cannot_be_entered(alone: Recorded) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        await one.operator.perform(RESTRICT, Restrict(recording=one.call.id, reason="asked for"), ME)
        refused = await one.get("anna", "audio")
        assert refused.problem["asks"] == ["purpose"]
        assert "legal-claims" in refused.problem["purposes"]
        assert (await one.get("anna", "timeline")).json["asks"] == ["purpose"]
        player = await one.open("anna", purpose="legal-claims")
        assert (await one.get("anna", f"audio?listening={player['id']}")).status == 200
        assert one.trail("anna", "play")[0].details["purpose"] == "legal-claims"

    run_hearing(alone.data, alone.call, use)


def test_who_needs_a_reason_gives_it_and_it_is_in_the_trail(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("kim", "auditor")
        await one.user("anna", "supervisor")
        refused = await one.ask("kim", "POST", "listening", json={"reason": "  "})
        assert refused.problem["asks"] == ["reason"]
        player = await one.open("kim", reason="complaint 7")
        assert (await one.get("kim", f"audio?listening={player['id']}&download=true")).status == 200
        assert [row.details["reason"] for row in one.trail("kim", "view", "export")] == ["complaint 7"] * 2
        stolen = await one.get("anna", f"audio?listening={player['id']}")
        assert stolen.status == 410
        refused = await one.get("anna", "audio?download=true")
        assert refused.problem["scope"] == "export"

    heard.run(use)


def test_who_sees_no_recording_learns_nothing_of_it(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("far", "agent", own=("nobody",))
        await one.user("eng", "engineer")
        for path in ("audio", "peaks", "timeline"):
            found = await one.get("far", path)
            assert found.problem["type"] == "/problems/no-such-recording"
        assert (await one.get("eng", "audio")).problem["scope"] == "listen"
        assert "caller_speech" not in (await one.get("eng", "timeline")).json
        assert one.trail("far") == one.trail("eng") == []

    heard.run(use)


def test_a_locked_archive_says_so_and_closes_what_was_open(alone: Recorded) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        locked = await one.ask("anna", "POST", "listening")
        assert (locked.status, locked.problem["type"]) == (423, "/problems/locked")
        await one.keys.unlock(None)
        player = await one.open("anna")
        assert (await one.get("anna", f"audio?listening={player['id']}")).status == 200
        await one.keys.lock()
        found = await one.get("anna", f"audio?listening={player['id']}", headers={"Range": "bytes=50-60"})
        assert found.status == 423
        assert not one.desk.sounds._open

    run_hearing(alone.data, alone.call, use, unlocked=False)


def test_a_process_that_breaks_is_replaced(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = (await one.get("anna", "audio")).body
        found = one.desk.sounds._open[one.call.id]
        assert found.process._process is not None
        found.process._process.kill()
        await found.process._process.wait()
        assert (await one.get("anna", "audio")).body == whole

    heard.run(use)


def test_many_hear_at_once_and_each_hears_all(heard: Shared) -> None:
    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = (await one.get("anna", "audio")).body
        kinds = ["wav", "flac", "wav", "opus", "wav"]
        found = await asyncio.gather(*(one.get("anna", f"audio?format={kind}") for kind in kinds))
        assert [answer.body == whole for answer in found] == [kind == "wav" for kind in kinds]

    heard.run(use)


@pytest.mark.parametrize("name", ["opus", "g722"])
def test_codecs_that_remember_sound_the_same_from_any_place(tmp_path: Path, name: str) -> None:
    recording = record(ALL[name](), tmp_path)

    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        whole = (await one.get("anna", "audio")).body
        for first in (44, 1000, len(whole) // 2, len(whole) - 9):
            found = await one.get("anna", "audio", headers={"Range": f"bytes={first}-{first + 4999}"})
            assert found.body == whole[first : first + 5000]

    run_hearing(recording.data, recording.call, use)


def test_the_time_line_shows_holds_where_they_are(tmp_path: Path) -> None:
    recording = record(changes.hold("inactive"), tmp_path)
    ((start, end, _),) = recording.scenario.truth.calls[0].held

    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        player = await one.open("anna")
        shown = (await one.get("anna", f"timeline?listening={player['id']}")).json
        assert shown["is_exact"]
        holds = [mark for mark in shown["marks"] if mark["kind"] == "hold"]
        assert holds
        assert abs((holds[0]["to_ms"] - holds[0]["from_ms"]) - (end - start) / 1e6) < 100
        assert abs(shown["length_ms"] - 1000 * (recording.call.duration_s or 0)) < 100

    run_hearing(recording.data, recording.call, use)


def test_the_waveform_is_loud_where_somebody_speaks(recording: Recorded, heard: Shared) -> None:
    whole = rendered(recording).astype(np.int64)

    async def use(one: Hearing) -> None:
        await one.user("ebba", "supervisor")
        shown = (await one.get("ebba", "peaks?points=50")).json
        assert (shown["points"], shown["from_ms"]) == (50, 0)
        high = np.array(shown["caller"][1::2])
        wanted = np.array([piece.max() * 1000 // 32768 for piece in np.array_split(whole[:, 0], 50)])
        assert np.abs(high - wanted).mean() < 25
        fine = (await one.get("ebba", "peaks?points=8000&from_ms=1000&to_ms=2000")).json
        assert fine["points"] == 50  # no finer than 20 ms: it is no copy of the sound
        assert [row.kind for row in one.trail("ebba")] == ["view"]

    heard.run(use)


def test_a_call_that_goes_on_is_heard_as_far_as_it_is_written(alone: Recorded) -> None:
    call = alone.call
    folder = alone.data / call.folder
    folder.rename(folder.with_name(f".{folder.name}"))
    whole = rendered(alone)

    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        player = await one.open("anna")
        assert player["is_live"]
        path = f"audio?listening={player['id']}&to_ms={player['length_ms']}"
        begun = await one.get("anna", path)
        piece = await one.get("anna", path, headers={"Range": "bytes=5000-9000", "If-Range": begun.headers["ETag"]})
        assert (piece.status, piece.body) == (206, begun.body[5000:9001])
        heard = np.frombuffer(begun.body[44:], "<i2").reshape(-1, 2)
        assert np.array_equal(heard[:80_000], whole[:80_000])
        part = folder.with_name(f".{folder.name}") / "part-0.floe"
        part.write_bytes(part.read_bytes() + bytes(100))  # a group that is being written
        again = await one.get("anna", path, headers={"Range": "bytes=5000-9000", "If-Range": begun.headers["ETag"]})
        assert (again.status, again.body) == (206, piece.body)  # what was open goes on

    run_hearing(alone.data, call, use)


def test_a_recording_of_another_system_is_heard_sample_by_sample(tmp_path: Path) -> None:
    left, right = voice(3.0, 300), voice(3.0, 500)
    data = archive(tmp_path / "data")
    path = written(tmp_path, vcon(foreign_recording(wav(left, right))))
    assert run_command(["vcon", "import", str(path), "--data", str(data)]) == 0
    (call,) = rows(data)

    async def use(one: Hearing) -> None:
        await one.user("anna", "supervisor")
        heard = samples(await one.get("anna", "audio"), tmp_path)
        assert np.array_equal(heard, np.stack([left, right], axis=1))
        piece = await one.get("anna", "audio?from_ms=2000", headers={"Range": "bytes=44-1043"})
        assert np.array_equal(np.frombuffer(piece.body, "<i2").reshape(-1, 2)[:, 1], right[16_000:16_250])

    run_hearing(data, call, use)
