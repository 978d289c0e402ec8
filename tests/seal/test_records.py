"""Records as bytes, one by one and as columns."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.seal import records

Plain = tuple[int, int, bytes, int, int]  # type, at_ns, body, stream, flags

KINDS = st.sampled_from([1, 1, 1, 2, 3, 4, 5, 6, 8, 9, 77])
PLAIN = st.tuples(
    KINDS,
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=80),
    st.integers(0, 65_535),
    st.integers(0, 255),
)
# Calls are mostly runs of one size; hypothesis alone would hardly draw one.
RUNS = st.lists(st.tuples(PLAIN, st.integers(1, 90)), max_size=8).map(
    lambda runs: [record for record, times in runs for _ in range(times)]
)


def encoded(plain: list[Plain]) -> bytes:
    return b"".join(records.encode(*record) for record in plain)


def as_plain(record: records.Record) -> Plain:
    return record.type, record.at_ns, bytes(record.body), record.stream, record.flags


def test_a_record_is_laid_out_as_the_format_says() -> None:
    record = records.encode(records.RTP, 0x0102030405060708, b"voice", stream=0x0A0B, flags=1)

    assert record.hex() == "0807060504030201050000000b0a0101" + b"voice".hex() + "00" * 11
    assert struct.calcsize("<qIHBB") == records.RECORD.itemsize == 16


@given(plain=RUNS)
def test_reading_undoes_writing(plain: list[Plain]) -> None:
    assert [as_plain(record) for record in records.iter_records(encoded(plain))] == plain


@given(plain=RUNS)
def test_columns_say_what_reading_one_by_one_says(plain: list[Plain]) -> None:
    plaintext = encoded(plain)

    columns = records.columns(plaintext)

    assert [
        (int(kind), int(at), plaintext[offset : offset + length], int(stream), int(flags))
        for kind, at, offset, length, stream, flags in zip(
            columns.type,
            columns.at_ns,
            columns.offset,
            columns.length,
            columns.stream,
            columns.flags,
            strict=True,
        )
    ] == plain


@given(plain=RUNS)
def test_rtp_columns_keep_the_rtp_records_in_order(plain: list[Plain]) -> None:
    plaintext = encoded(plain)

    rtp = records.rtp_columns(plaintext)

    expected = [record for record in records.iter_records(plaintext) if record.type == records.RTP]
    assert rtp.at_ns.tolist() == [record.at_ns for record in expected]
    assert rtp.offset.tolist() == [record.offset + 16 for record in expected]
    assert rtp.length.tolist() == [len(record.body) for record in expected]
    assert rtp.stream.tolist() == [record.stream for record in expected]


@given(plain=RUNS.filter(bool), data=st.data())
def test_records_cut_anywhere_give_the_whole_ones_before(plain: list[Plain], data: st.DataObject) -> None:
    plaintext = encoded(plain)
    cut = data.draw(st.integers(0, len(plaintext) - 1))
    borders = [0, *np.cumsum([len(records.encode(*record)) for record in plain]).tolist()]
    read: list[Plain] = []

    if cut in borders:
        read.extend(as_plain(record) for record in records.iter_records(plaintext[:cut]))
    else:
        with pytest.raises(records.RecordsDamaged) as damaged:
            read.extend(as_plain(record) for record in records.iter_records(plaintext[:cut]))
        assert damaged.value.offset == borders[len(read)]
        with pytest.raises(records.RecordsDamaged):
            records.columns(plaintext[:cut])

    assert read == plain[: len(read)]
    assert borders[len(read)] <= cut < borders[len(read) + 1]


@given(garbage=st.binary(max_size=400))
def test_garbage_is_records_or_refused(garbage: bytes) -> None:
    try:
        one_by_one = sum(1 for _ in records.iter_records(garbage))
    except records.RecordsDamaged:
        one_by_one = -1
    try:
        columns = len(records.columns(garbage))
    except records.RecordsDamaged:
        return
    assert one_by_one in (columns, -1)  # columns do not look at the zeros after a body


def test_a_record_without_a_type_is_refused_with_its_place() -> None:
    plaintext = records.encode(records.RTP, 1, b"good") + bytes(32)

    with pytest.raises(records.RecordsDamaged, match="no type") as damaged:
        list(records.iter_records(plaintext))
    assert damaged.value.offset == 32
    with pytest.raises(records.RecordsDamaged) as damaged:
        records.columns(plaintext)
    assert damaged.value.offset == 32


def test_a_record_longer_than_what_is_left_is_refused_with_its_place() -> None:
    plaintext = records.encode(records.RTP, 1, bytes(40)) * 30 + records.HEADER.pack(1, 2**32 - 1, 0, 1, 0)

    with pytest.raises(records.RecordsDamaged) as damaged:
        list(records.iter_records(plaintext))
    assert damaged.value.offset == 30 * 64
    with pytest.raises(records.RecordsDamaged) as damaged:
        records.columns(plaintext)
    assert damaged.value.offset == 30 * 64


def test_something_in_the_padding_is_refused() -> None:
    plaintext = records.encode(records.RTP, 1, b"good")[:-1] + b"x"

    with pytest.raises(records.RecordsDamaged, match="not zero"):
        list(records.iter_records(plaintext))


def test_padding_at_the_start_of_a_group_is_passed_over() -> None:
    padding = records.HEADER.pack(0, 6, 0, records.PADDING, 0) + bytes(6)

    read = list(records.iter_records(padding + records.encode(records.END, 7, b"")))

    assert [(record.type, record.offset) for record in read] == [(records.END, 22)]
