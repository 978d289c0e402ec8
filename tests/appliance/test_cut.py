"""`vittne cut`: what is cut is neither heard nor exported, everything else is as before, and as long."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import Scenario
from recordings import Recorded, samples_of
from running import running
from scenarios import basic, network

from vittne.appliance.control.operation import Caller, done_by
from vittne.appliance.cut import CutOrder, cut, cutting
from vittne.appliance.cutplan import CutPlan, Span, plan_cut
from vittne.appliance.opened import open_recording
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import records
from vittne.appliance.seal.keys import unlock
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock
from vittne.capture.columns import SECOND

Vittne = Callable[..., tuple[int, str, str]]
Record = Callable[[Scenario], Recorded]


@pytest.fixture
def found(recorded: Record) -> Recorded:
    return recorded(basic.basic_call(4.0))


def cut_it(vittne: Vittne, found: Recorded, begin: str, end: str, *more: object) -> str:
    arguments = ("--from", begin, "--to", end, "--reason", "card number", "--yes", *more)
    status, said, error = vittne("cut", found.call.id, *arguments, "--data", found.data)
    assert status == 0, error
    assert vittne("verify", found.call.id, "--data", found.data)[0] == 0
    assert vittne("verify", "--all", "--data", found.data)[0] == 0
    return said


def exported(vittne: Vittne, found: Recorded, target: Path, *more: object) -> Path:
    kind = target.suffix[1:]
    arguments = ("--format", kind, "-o", target, "--force", *more)
    status, _, error = vittne("export", found.call.id, "--data", found.data, *arguments)
    assert status == 0, error
    return target


def frames_of(path: Path) -> list[tuple[int, bytes]]:
    """Return (at_ns, frame) of a pcap with nanoseconds, read by hand."""
    data, at, frames = path.read_bytes(), 24, []
    while at < len(data):
        seconds, ns, length, _ = struct.unpack_from("<IIII", data, at)
        frames.append((seconds * SECOND + ns, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return frames


def is_media(frame: bytes) -> bool:
    """Whether a frame of an export is RTP or RTCP: the first byte behind Ethernet, IPv4 and UDP."""
    return frame[42] >> 6 == 2


def plan_of(found: Recorded, begin_s: float, end_s: float, party: str = "both") -> CutPlan:
    call = found.call
    assert call.answered_us is not None
    answered = call.answered_us * 1000
    span = Span(answered + round(begin_s * SECOND), answered + round(end_s * SECOND), party)
    with open_recording(found.data, call.folder, call.id) as opened:
        return plan_cut(opened, span)


def payloads_of(found: Recorded) -> list[bytes]:
    """Return every RTP packet that is stored, header and all."""
    with open_recording(found.data, found.call.folder, found.call.id) as opened:
        return [
            plain[int(rows.offset[n]) : int(rows.offset[n] + rows.length[n])]
            for _, plain, rows in opened.read()
            for n in np.flatnonzero(rows.type == records.RTP).tolist()
        ]


def snapshot(data: Path) -> dict[Path, bytes]:
    """Return all that is in a data directory, but for what SQLite's readers leave."""
    return {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix == ""} | {
        path: path.read_bytes() for path in (data / "recordings").rglob("*") if path.is_file()
    }


# What it does


def test_without_yes_nothing_changes_and_all_that_would_go_is_told(vittne: Vittne, found: Recorded) -> None:
    before = snapshot(found.data)

    status, said, _ = vittne(
        "cut", found.call.id, "--from", "+1", "--to", "+2.5", "--reason", "x", "--data", found.data
    )

    assert status == 0
    assert "150 RTP and" in said
    assert "caller" in said
    assert "with --yes it is cut" in said
    assert snapshot(found.data) == before


def test_a_cut_call_is_as_long_as_before_silent_in_the_span_and_the_same_outside(
    vittne: Vittne, found: Recorded, tmp_path: Path
) -> None:
    whole, rate = samples_of(exported(vittne, found, tmp_path / "whole.wav"))

    cut_it(vittne, found, "+1", "+2.5")

    left, _ = samples_of(exported(vittne, found, tmp_path / "left.wav"))
    assert len(left) == len(whole)
    inside, edge = slice(int(1.05 * rate), int(2.45 * rate)), int(0.05 * rate)
    assert np.abs(whole[inside]).max() > 1000
    assert not left[inside].any()
    assert np.array_equal(left[: rate - edge], whole[: rate - edge])
    assert np.array_equal(left[int(2.5 * rate) + edge :], whole[int(2.5 * rate) + edge :])


def test_a_call_whose_beginning_was_cut_is_as_long_as_before(vittne: Vittne, recorded: Record, tmp_path: Path) -> None:
    found = recorded(basic.early_media())
    whole, _ = samples_of(exported(vittne, found, tmp_path / "whole.wav", "--early-media"))

    cut_it(vittne, found, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")

    left, rate = samples_of(exported(vittne, found, tmp_path / "left.wav", "--early-media"))
    assert len(left) == len(whole)
    assert not left[: rate // 2].any()


def test_no_packet_of_the_span_is_in_the_pcap_and_all_others_are(
    vittne: Vittne, found: Recorded, tmp_path: Path
) -> None:
    whole = frames_of(exported(vittne, found, tmp_path / "whole.pcap"))
    plan = plan_of(found, 1, 2.5)

    cut_it(vittne, found, "+1", "+2.5")

    left = frames_of(exported(vittne, found, tmp_path / "left.pcap"))
    gone = [one for one in whole if is_media(one[1]) and plan.span.from_ns <= one[0] < plan.span.to_ns]
    assert len(gone) == plan.packets + plan.reports > 150
    assert [one[0] for one in left] == [one[0] for one in whole if one not in gone]
    assert not [at for at, frame in left if is_media(frame) and plan.span.from_ns <= at < plan.span.to_ns]


def test_one_party_is_cut_and_the_other_is_heard(vittne: Vittne, found: Recorded, tmp_path: Path) -> None:
    whole, rate = samples_of(exported(vittne, found, tmp_path / "whole.wav"))

    said = cut_it(vittne, found, "+1", "+2.5", "--party", "caller")

    assert "75 RTP" in said
    left, _ = samples_of(exported(vittne, found, tmp_path / "left.wav"))
    assert not left[int(1.05 * rate) : int(2.45 * rate), 0].any()
    assert np.array_equal(left[:, 1], whole[:, 1])


def test_catalogue_and_show_say_what_was_cut_by_whom(vittne: Vittne, found: Recorded) -> None:
    cut_it(vittne, found, "+1", "+2.5", "--by", "Ann Operator")

    shown = found.call.as_json()
    assert [stream["stored"] for stream in shown["streams"]] == [125, 125]
    assert [stream["dropped"] for stream in shown["streams"]] == [{"cut": 75}, {"cut": 75}]
    assert [stream["packets"] for stream in shown["streams"]] == [200, 200]
    assert shown["details"]["flags"] == ["cut"]
    (gap,) = shown["details"]["gaps"]
    assert gap == {"from": "2026-01-01T00:00:01.500000Z", "to": "2026-01-01T00:00:03.000000Z", "reason": "cut"}
    (told,) = shown["details"]["cuts"]
    assert (told["by"], told["reason"], told["milliseconds"], told["version"]) == (
        "Ann Operator",
        "card number",
        1500,
        2,
    )
    folder = found.data / found.call.folder
    assert shown["size_bytes"] == sum(path.stat().st_size for path in folder.glob("part-*"))
    assert "Ann Operator" in vittne("show", found.call.id, "--data", found.data)[1]
    assert "cut by Ann Operator" in vittne("explain", found.call.id, "--data", found.data)[1]


def test_the_sealed_description_is_brought_up_to_date(vittne: Vittne, found: Recorded) -> None:
    cut_it(vittne, found, "+1", "+2.5")

    with open_recording(found.data, found.call.folder, found.call.id) as opened:
        metas = [
            json.loads(plain[int(rows.offset[n]) : int(rows.offset[n] + rows.length[n])])
            for _, plain, rows in opened.read()
            for n in np.flatnonzero(rows.type == records.META).tolist()
        ]
    assert [[stream["stored"] for stream in meta["streams"]] for meta in metas] == [[200, 200], [125, 125]]
    assert metas[-1]["details"]["cuts"] == found.call.details["cuts"]
    assert metas[-1]["salt"] != metas[0]["salt"]


# Media of the span that came later


def test_a_packet_that_came_late_is_cut_by_its_media_time(recorded: Record) -> None:
    scenario = Scenario("late")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered, 4.0, call=dialog.call, late={70: 1.5, 90: 0.9, 120: 0.3})
    scenario.voice(bob, alice, answered, 4.0, call=dialog.call)
    dialog.bye(answered + 4.05)
    found = recorded(scenario)

    plan = plan_of(found, 1.0, 2.0)

    assert [stream.packets for stream in plan.streams] == [50, 50]
    assert plan.streams[0].to_ns > plan.span.to_ns + 0.8 * SECOND


def test_opus_packets_that_may_carry_the_end_of_the_span_go_too(recorded: Record) -> None:
    found = recorded(network.wideband("opus"))

    plan = plan_of(found, 0.5, 1.0)

    assert [stream.packets for stream in plan.streams] == [31, 31]
    assert all(stream.to_ns >= plan.span.to_ns + 0.1 * SECOND for stream in plan.streams)


# What is refused


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ("+2", "+1", "ends before it begins"),
        ("2", "+1", "--from is no time"),
        ("2026-01-01T00:00:01", "+2", "--from is no time"),
        ("+100", "+101", "nothing is stored in that span"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(
    vittne: Vittne, plain: Recorded, begin: str, end: str, words: str
) -> None:
    options = ("--from", begin, "--to", end, "--reason", "x", "--data", plain.data)

    status, _, error = vittne("cut", plain.call.id, *options)

    assert (status, words in error) == (1, True)


def test_a_directory_that_another_program_has_stays_as_it_is(vittne: Vittne, plain: Recorded) -> None:
    before = snapshot(plain.data)
    with DataLock(plain.data, "reading captures"):
        status, _, error = vittne(
            "cut", plain.call.id, "--from", "+1", "--to", "+2", "--reason", "x", "--yes", "--data", plain.data
        )

    assert status == 1
    assert "(reading captures, since" in error
    assert {path: data for path, data in snapshot(plain.data).items() if path.name != "lock"} == {
        path: data for path, data in before.items() if path.name != "lock"
    }


def test_a_recording_is_cut_while_a_recorder_runs(vittne: Vittne, found: Recorded) -> None:
    options = ("--from", "+1", "--to", "+2", "--reason", "x", "--by", "Ann", "--yes", "--data", found.data)
    with running(found.data):
        status, out, error = vittne("cut", found.call.id, *options)
        assert (status, "cut: version 2" in out) == (0, True), error

    status, out, _ = vittne("verify", found.call.id, "--data", found.data)
    assert status == 0, out
    with Catalogue(found.data / "catalogue.db", read_only=True) as catalogue:
        assert [one["by"] for one in catalogue.get(found.call.id).details["cuts"]] == ["Ann"]


def test_a_recording_that_does_not_verify_is_not_signed_anew(vittne: Vittne, found: Recorded) -> None:
    path = found.data / found.call.folder / "part-0.floe"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    status, _, error = vittne(
        "cut", found.call.id, "--from", "+1", "--to", "+2", "--reason", "x", "--yes", "--data", found.data
    )

    assert status == 1
    assert "does not verify (files: part-0.floe was altered" in error
    assert path.read_bytes() == data


def of_the_ledger(path: Path) -> bool:
    return "ledger" in path.parts or path.name == "ledger.head"


def test_a_new_version_that_is_not_right_is_given_up_before_anything_is_lost(found: Recorded) -> None:
    plan = plan_of(found, 1, 2)
    plan.parts.clear()  # a fault of ours: the part is taken over with all that is in it
    before = snapshot(found.data)
    registrar = Registrar(found.data)
    key = unlock(found.data)

    with pytest.raises(StoreError, match="packets of the span that was cut are there"):
        cut(found.data, done_by(registrar, Caller("Ann")), key, found.call, CutOrder("Ann", "x", plan))

    assert registrar.keys.parts(found.call.id) == [0]
    registrar.close()
    after = snapshot(found.data)
    assert {path: data for path, data in before.items() if not of_the_ledger(path)} == {
        path: data for path, data in after.items() if not of_the_ledger(path)
    }


def test_the_next_start_brings_a_cut_to_its_end(vittne: Vittne, found: Recorded, tmp_path: Path) -> None:
    recording_id = found.call.id
    registrar = Registrar(found.data)
    key = unlock(found.data)
    do = done_by(registrar, Caller("Ann"))
    for step in cutting(found.data, do, key, found.call, CutOrder("Ann", "x", plan_of(found, 1, 2))):
        if step == "entered in the ledger":
            break
    registrar.close()
    assert vittne("verify", found.call.id, "--data", found.data)[0] == 1

    other = network.one_direction().write(tmp_path / "other.pcap")
    assert vittne("record", "--pcap", other, "--data", found.data)[0] == 0

    assert vittne("verify", "--all", "--data", found.data)[0] == 0
    with Catalogue(found.data / "catalogue.db", read_only=True) as catalogue:
        row = catalogue.get(recording_id)
    assert [stream.stored for stream in row.streams] == [150, 150]
    assert row.details["cuts"][0]["packets"] == 100
