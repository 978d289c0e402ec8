"""Sealed parts: what is written is read, also by the program in FORMAT.md; what is not whole is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.appliance.seal import part, records
from vittne.appliance.seal.part import PartDamaged, PartReader, PartWriter
from vittne.appliance.store.errors import StoreError

VECTORS = Path(__file__).parent.parent / "vectors" / "seal"
FORMAT = Path(__file__).parents[2] / "appliance" / "seal" / "FORMAT.md"
KEY = bytes(range(32))
RECORDING = "3f0c2d5e-8f6a-4b7e-9a51-0c1d2e3f4a5b"
SOME = records.encode(records.RTP, 5, bytes(172), stream=1)

Plain = tuple[int, int, int, int, bytes]  # type, at_ns, stream, flags, body
StrangersReader = Callable[[bytes, bytes, str, int], Iterator[Plain]]
COMMITS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 5, 6, 8]),
            st.integers(0, 2**62),
            st.integers(0, 9),
            st.just(0),
            st.binary(max_size=50) | st.integers(4000, 9000).map(bytes),
        ),
        max_size=4,
    ),
    max_size=4,
)


@pytest.fixture(scope="session")
def read_part() -> StrangersReader:
    """The program that FORMAT.md hands to strangers, as it stands there."""
    code = re.findall(r"```python\n(.*?)```", FORMAT.read_text(), re.DOTALL)
    assert len(code) == 1
    names: dict[str, StrangersReader] = {}
    exec(code[0], names)
    return names["read_part"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "part-0.floe"


def encoded(commit: list[Plain]) -> bytes:
    return b"".join(records.encode(type_, at, body, stream, flags) for type_, at, stream, flags, body in commit)


def write(path: Path, commits: list[bytes], part_no: int = 0) -> part.PartSummary:
    writer = PartWriter(path, RECORDING, part_no, KEY)
    for commit in commits:
        writer.append([commit])
    return writer.finish()


def read(path: Path, key: bytes = KEY, finished: bool = True) -> bytes:
    with PartReader(path, RECORDING, 0, key, finished) as reader:
        return reader.plaintext()


def as_plain(plaintext: bytes) -> list[Plain]:
    return [(r.type, r.at_ns, r.stream, r.flags, bytes(r.body)) for r in records.iter_records(plaintext)]


@pytest.mark.parametrize("vector", sorted(VECTORS.glob("part_*.json")), ids=lambda vector: vector.stem)
def test_a_part_of_another_program_is_read_or_refused_where_it_is_bad(vector: Path, path: Path) -> None:
    case = json.loads(vector.read_text())
    path.write_bytes(base64.b64decode(case["file"]))
    read_records: list[Plain] = []
    damaged = None

    key, where = bytes.fromhex(case["key"]), (case["recording_id"], case["part_no"])
    with PartReader(path, *where, key, case["finished"]) as reader:
        try:
            for group in reader.groups():
                read_records += as_plain(group)
        except PartDamaged as error:
            damaged = error

    assert [[*record[:4], record[4].hex()] for record in read_records] == case["records"]
    if case["damaged"] is None:
        assert damaged is None
    else:
        assert damaged is not None
        assert (damaged.group, damaged.offset) == (case["damaged"]["group"], case["damaged"]["offset"])
        assert case["damaged"]["reason"] in damaged.reason


@pytest.mark.parametrize("vector", sorted(VECTORS.glob("part_*.json")), ids=lambda vector: vector.stem)
def test_the_program_in_the_format_agrees_on_every_vector(vector: Path, read_part: StrangersReader) -> None:
    case = json.loads(vector.read_text())
    where = (bytes.fromhex(case["key"]), case["recording_id"], case["part_no"])
    read_records = []
    is_damaged = False

    try:
        for record in read_part(base64.b64decode(case["file"]), *where):
            read_records.append([*record[:4], record[4].hex()])
    except (ValueError, InvalidTag):
        is_damaged = True

    assert read_records == case["records"]
    assert is_damaged == (case["damaged"] is not None or not case["finished"])


@given(commits=COMMITS, direct=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_by_us_and_by_strangers(
    read_part: StrangersReader, commits: list[list[Plain]], direct: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        writer = PartWriter(path, RECORDING, 7, KEY, direct)
        for commit in commits:
            writer.append([encoded([record]) for record in commit])
        summary = writer.finish(at_ns=99)
        data = path.read_bytes()
        with PartReader(path, RECORDING, 7, KEY) as reader:
            groups = list(reader.groups())
            index = reader.index()

    expected = [record for commit in commits for record in commit] + [(records.END, 99, 0, 0, b"")]
    assert as_plain(b"".join(groups)) == expected
    assert list(read_part(data, KEY, RECORDING, 7)) == expected
    assert summary.sha256 == hashlib.sha256(data).hexdigest()
    assert (summary.n, summary.bytes, summary.groups, summary.ended) == (7, len(data), len(groups), True)
    assert [offset for offset, _ in summary.index] == index
    assert [first for _, first in summary.index] == [as_plain(group)[0][1] for group in groups]
    assert all(offset % 4096 == 0 for offset in [*index, len(data)])


@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_part_cut_anywhere_gives_exactly_the_whole_groups_before(sizes: list[int], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        commits = [records.encode(records.EVENT, 1, bytes(size)) for size in sizes]
        borders = [offset for offset, _ in write(path, commits).index]
        size = path.stat().st_size
        cut = data.draw(st.integers(0, size - 1) | st.sampled_from(borders))
        os.truncate(path, cut)
        read_groups: list[bytes] = []

        with PartReader(path, RECORDING, 0, KEY) as reader, pytest.raises(PartDamaged) as damaged:
            read_groups.extend(reader.groups())
        whole = part.scan_whole_groups(path)

    expected = [border for border in [*borders, size] if border <= cut]
    assert read_groups == commits[: len(expected) - 1]
    assert whole == expected[-1] == damaged.value.offset
    assert damaged.value.group == len(read_groups)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_flipped_bit_is_found_in_its_group(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        write(path, [SOME, SOME * 2])
        sealed = bytearray(path.read_bytes())
        header = st.integers(0, 2).map(lambda group: group * 4096).flatmap(lambda at: st.integers(at, at + 90))
        byte = data.draw(header | st.integers(0, len(sealed) - 1))
        sealed[byte] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(sealed)

        with pytest.raises(PartDamaged) as damaged:
            read(path)

    assert damaged.value.group == byte // 4096
    assert damaged.value.offset == byte // 4096 * 4096
    assert f"group {byte // 4096} at byte {byte // 4096 * 4096}" in str(damaged.value)


@pytest.mark.parametrize(
    ("recording_id", "part_no", "key"),
    [(RECORDING, 1, KEY), (RECORDING.replace("3f", "4f"), 0, KEY), (RECORDING, 0, bytes(32))],
)
def test_another_part_recording_or_key_is_refused(path: Path, recording_id: str, part_no: int, key: bytes) -> None:
    write(path, [SOME])

    with (
        PartReader(path, recording_id, part_no, key) as reader,
        pytest.raises(PartDamaged, match="other key"),
    ):
        reader.plaintext()


def test_a_body_that_ends_like_the_end_does_not_end_a_part(path: Path) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY)
    writer.append([records.encode(records.RTP, 1, records.encode(records.END, 1, b""))])
    assert not writer.abandon().ended

    with pytest.raises(PartDamaged, match="without END"):
        read(path)


def test_a_commit_over_a_megabyte_becomes_several_groups_of_whole_records(path: Path) -> None:
    mixed = [records.encode(records.RTP, n, bytes(n % 300)) for n in range(15_000)]
    writer = PartWriter(path, RECORDING, 0, KEY)

    writer.append([mixed[0], b"".join(mixed[1:])])
    summary = writer.finish()

    with PartReader(path, RECORDING, 0, KEY) as reader:
        groups = list(reader.groups())
    assert len(groups) == 4
    assert b"".join(groups[:-1]) == b"".join(mixed)
    assert all(len(list(records.iter_records(group))) for group in groups)
    assert [first for _, first in summary.index][:2] == [0, len(list(records.iter_records(groups[0])))]


def test_the_largest_record_fills_a_group_and_a_larger_one_is_refused(path: Path) -> None:
    largest = records.encode(records.META, 1, bytes(1_048_432))
    writer = PartWriter(path, RECORDING, 0, KEY)

    writer.append([largest])
    assert writer.size == 1 << 20
    with pytest.raises(ValueError, match="a record is over"):
        writer.append([records.encode(records.META, 1, bytes(1_048_433))])
    writer.finish()

    assert read(path)[: len(largest)] == largest


def test_columns_of_numpy_are_taken_as_they_are(path: Path) -> None:
    rows = np.zeros(3, np.dtype([("header", records.RECORD), ("body", "V176")]))
    rows["header"]["length"] = 172
    rows["header"]["type"] = records.RTP
    writer = PartWriter(path, RECORDING, 0, KEY)

    writer.append([rows.data, rows.tobytes()])
    writer.finish()

    assert len(records.rtp_columns(read(path))) == 6


def test_nothing_is_written_for_an_empty_commit_and_half_records_are_refused(path: Path) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY)

    writer.append([])
    writer.append([b""])
    assert writer.size == 0
    with pytest.raises(ValueError, match="whole records"):
        writer.append([SOME[:-1]])
    writer.finish()

    with pytest.raises(ValueError, match="takes nothing more"):
        writer.append([SOME])


def test_a_part_is_for_its_owner_and_never_overwritten(path: Path) -> None:
    write(path, [SOME])

    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="already"):
        PartWriter(path, RECORDING, 0, KEY)
    assert read(path).startswith(SOME)


def test_a_part_on_a_file_system_in_memory_is_written_all_the_same() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "part"
        summary = write(path, [SOME, SOME])

        assert read(path).startswith(SOME * 2)
        assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("direct", [True, False])
def test_a_full_disk_costs_what_was_being_written_and_nothing_else(path: Path, direct: bool) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY, direct)
    writer.append([SOME])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # a write over it stops short, like one to a full disk
    try:
        with pytest.raises(StoreError, match="cannot write a sealed part"):
            writer.append([records.encode(records.EVENT, 1, bytes(9000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(ValueError, match="takes nothing more"):
        writer.append([SOME])
    summary = writer.abandon()

    assert read(path, finished=False) == SOME
    assert (summary.bytes, summary.sha256) == (4096, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_part_can_be_read_while_it_is_written(path: Path) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY)
    writer.append([SOME])
    with PartReader(path, RECORDING, 0, KEY, finished=False) as reader:
        assert list(reader.groups()) == [SOME]
        writer.append([SOME * 2])

        assert list(reader.groups(1, writer.index[1][0])) == [SOME * 2]
    writer.finish()


def test_reading_begins_at_the_group_of_a_time(path: Path) -> None:
    commits = [records.encode(records.RTP, at, bytes(172)) for at in range(100, 200, 10)]
    summary = write(path, commits)

    group = part.group_at(summary.index, 155)

    assert group == 5
    with PartReader(path, RECORDING, 0, KEY) as reader:
        assert list(reader.groups(group, summary.index[group][0]))[:-1] == commits[5:]
        assert list(reader.groups(2, reader.index()[2]))[:-1] == commits[2:]
    assert part.group_at(summary.index, 5) == 0
    assert part.group_at(summary.index, 1000) == 9  # and not the group of END, whose time nobody gave
    assert part.group_at([(0, None), (4096, None)], 1000) == 0


def test_a_cut_part_is_brought_to_whole_groups_and_summed_up_without_its_key(path: Path) -> None:
    write(path, [SOME, SOME])
    os.truncate(path, 10_000)

    size = part.scan_whole_groups(path)
    part.truncate_to(path, size)
    summary = part.summarise(path, 0, size)

    assert (size, path.stat().st_size) == (8192, 8192)
    assert summary == part.PartSummary(
        0, 8192, 2, hashlib.sha256(path.read_bytes()).hexdigest(), ((0, None), (4096, None)), False
    )
    assert read(path, finished=False) == SOME * 2


@pytest.mark.parametrize("size", [1, 4095, 8191, 12_289, 20_000])
def test_a_part_is_not_cut_within_a_group_nor_after_its_end(path: Path, size: int) -> None:
    write(path, [SOME, SOME])
    before = path.read_bytes()

    with pytest.raises(PartDamaged, match="no group ends"):
        part.truncate_to(path, size)
    with pytest.raises(PartDamaged, match="no group ends"):
        part.summarise(path, 0, size)
    assert path.read_bytes() == before


@given(garbage=st.binary(max_size=200), tail=st.integers(0, 9000))
@settings(deadline=None)
def test_garbage_is_no_part(garbage: bytes, tail: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        path.write_bytes(garbage + bytes(tail))

        assert part.scan_whole_groups(path) == 0
        with pytest.raises(PartDamaged):
            read(path)


@pytest.mark.parametrize("recording_id", ["", "x", RECORDING.upper(), RECORDING + "\n", "{" + RECORDING + "}"])
def test_a_recording_has_a_uuid_in_lower_case(path: Path, recording_id: str) -> None:
    with pytest.raises(ValueError, match=r"no recording|badly formed"):
        PartWriter(path, recording_id, 0, KEY)
    assert not path.exists()


def test_a_missing_part_is_told(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read a sealed part"):
        PartReader(path, RECORDING, 0, KEY)
    with pytest.raises(StoreError, match="cannot read a sealed part"):
        part.scan_whole_groups(path)


def test_a_writer_forgets_the_key_of_what_it_wrote(path: Path) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY)
    writer.append([SOME])

    held = writer._key

    assert held == part.next_key(KEY)
    with pytest.raises(PartDamaged):
        read(path, held)
    writer.abandon()
    assert writer._key == b""


def test_a_forked_child_does_not_write_into_our_group(tmp_path: Path) -> None:
    write(tmp_path / "ours", [SOME])
    before = bytes(part._shared_scratch().sealed_view[:4096])

    child = multiprocessing.get_context("fork").Process(target=write, args=(tmp_path / "child", [SOME * 9]))
    child.start()
    child.join()

    assert child.exitcode == 0
    assert bytes(part._shared_scratch().sealed_view[:4096]) == before


def keep_writing(path: Path, told: Connection) -> None:
    writer = PartWriter(path, RECORDING, 0, KEY)
    rows = random.Random(1)
    while True:
        writer.append([records.encode(records.RTP, len(writer.index), bytes(172)) * rows.randint(1, 400)])
        told.send(len(writer.index))


@pytest.mark.parametrize("turn", range(10))
def test_what_append_returned_from_is_read_after_a_kill(path: Path, turn: int) -> None:
    heard, told = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=keep_writing, args=(path, told))
    child.start()
    told.close()
    acknowledged = heard.recv()
    time.sleep(random.Random(turn).random() / 20)
    child.kill()
    while heard.poll():
        try:
            acknowledged = heard.recv()
        except EOFError:
            break
    child.join()

    part.truncate_to(path, part.scan_whole_groups(path))

    with PartReader(path, RECORDING, 0, KEY, finished=False) as reader:
        groups = list(reader.groups())
    assert acknowledged <= len(groups) <= acknowledged + 1
    assert [as_plain(group)[0][1] for group in groups] == list(range(len(groups)))
