"""The catalogue: what is written is read, found, shown, and never half there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from vittne.appliance.store.catalogue import Catalogue, NoSuchCall, Search
from vittne.appliance.store.database import Where
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, RECORDING, CallRow, RunRow, StreamRow
from vittne.appliance.store.tables import calls, corrections, listing, pauses, runs

START = 1_700_000_000_000_000
SECOND = 1_000_000
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
COUNTS = st.integers(0, 2**53)
TIMES = st.integers(0, 2**52)
STREAMS = st.builds(
    StreamRow,
    party=st.sampled_from(["caller", "callee", ""]),
    codec=WORDS,
    payload_type=st.integers(0, 127),
    clock_rate=st.integers(0, 2**31 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    source=WORDS,
    destination=WORDS,
    packets=COUNTS,
    stored=COUNTS,
    first_at_us=TIMES,
    last_at_us=TIMES,
    dropped=st.dictionaries(WORDS, COUNTS, max_size=3),
    lost=COUNTS,
    jitter_ms=st.floats(0, 1e6),
    ptime_ms=st.none() | st.floats(0, 1e6),
    mos=st.none() | st.floats(1, 5),
)
CALLS = st.builds(
    CallRow,
    id=st.integers(0, 5).map(lambda n: str(UUID(int=n))),
    state=st.sampled_from([RECORDING, FINISHED]),
    call_ids=st.lists(WORDS, max_size=3).map(tuple),
    caller=WORDS,
    callee=WORDS,
    started_us=TIMES,
    answered_us=st.none() | TIMES,
    ended_us=st.none() | TIMES,
    parties=st.lists(WORDS | st.fixed_dictionaries({"uri": WORDS, "seat": st.integers(1, 9)}), max_size=3).map(tuple),
    outcome=WORDS,
    outcome_reasons=st.lists(WORDS, max_size=2).map(tuple),
    streams=st.lists(STREAMS, max_size=3).map(tuple),
    details=st.dictionaries(WORDS, WORDS, max_size=2),
    site=WORDS,
    retention_class=WORDS,
    locked_until_us=st.none() | TIMES,
    expires_us=st.none() | TIMES,
    restricted_us=st.none() | TIMES,
    erased_us=st.none() | TIMES,
    basis=st.dictionaries(WORDS, WORDS, max_size=2),
    tags=st.lists(WORDS, max_size=2).map(tuple),
)


def stream(n: int = 1, codec: str = "PCMA") -> StreamRow:
    return StreamRow(
        "caller", codec, 8, 8000, n, "192.0.2.1:4000", "[2001:db8::1]:5000", 300, 299, START, START + SECOND
    )


def call(n: int, **changes: object) -> CallRow:
    row = CallRow(
        id=str(UUID(int=n << 96)),
        state=FINISHED,
        call_ids=(f"{n}@a", f"{n}@b"),
        caller="sip:+49301234@example.org",
        callee="sip:200@example.org",
        started_us=START + n * SECOND,
        answered_us=START + (n + 1) * SECOND,
        ended_us=START + (n + 4) * SECOND,
        end_reason="bye",
        outcome="recorded",
        streams=(stream(1), stream(2)),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def where(place: Callable[[], Where]) -> Where:
    """A catalogue of all tests here, one after the other, in each kind of database."""
    found = place()
    Catalogue(found).close()
    return found


@pytest.fixture(scope="module")
def shared(where: Where) -> Iterator[Catalogue]:
    with Catalogue(where) as found:
        yield found


@pytest.fixture
def catalogue(shared: Catalogue) -> Catalogue:
    return emptied(shared)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "catalogue.db") as found:
        yield found


def emptied(catalogue: Catalogue) -> Catalogue:
    with catalogue.writing() as connection:
        for table in (calls, listing, corrections, pauses, runs):
            connection.execute(delete(table))
    return catalogue


def found(catalogue: Catalogue, search: Search) -> list[int]:
    return [int(UUID(row.id).int >> 96) for row in catalogue.list_calls(search)]


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(CALLS, max_size=8))
def test_the_last_row_written_of_each_call_is_read(shared: Catalogue, rows: list[CallRow]) -> None:
    emptied(shared)
    for row in rows:
        shared.upsert_call(row)

    read = list(shared.list_calls(Search(unanswered=True)))

    last = {row.id: row for row in rows}
    assert read == sorted(last.values(), key=lambda row: (row.started_us, row.id))


@given(CALLS)
def test_a_call_can_be_made_again_from_what_is_shown(row: CallRow) -> None:
    assert CallRow.from_json(json.loads(json.dumps(row.as_json()))) == row


def test_a_call_is_shown_as_the_contract_says(catalogue: Catalogue) -> None:
    catalogue.upsert_call(call(1, outcome_reasons=("one-way",)))

    (shown,) = [row.as_json() for row in catalogue.list_calls()]

    assert shown["call_ids"] == ["1@a", "1@b"]
    assert (shown["started_at"], shown["duration_s"]) == ("2023-11-14T22:13:21.000000Z", 3.0)
    assert (shown["outcome"], shown["outcome_reasons"]) == ("recorded", ["one-way"])
    assert shown["streams"][0]["ssrc"] == "00000001"
    assert shown["streams"][0]["first_at"] == "2023-11-14T22:13:20.000000Z"
    assert set(shown["streams"][0]) >= {
        "party",
        "codec",
        "payload_type",
        "dropped",
        "late",
        "mos",
        "ptime_ms",
    }


def test_calls_never_answered_are_listed_only_when_asked_for(catalogue: Catalogue) -> None:
    catalogue.upsert_calls([call(1), call(2, answered_us=None, outcome="unanswered")])

    assert found(catalogue, Search()) == [1]
    assert found(catalogue, Search(unanswered=True)) == [1, 2]
    assert catalogue.outcomes() == {"recorded": 1, "unanswered": 1}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (Search(number="4930"), [1, 2, 4]),
        (Search(number="EXAMPLE.com"), [3]),
        (Search(number="_%"), []),
        (Search(since_us=START + 2 * SECOND), [2, 3, 4]),
        (Search(since_us=START + 2 * SECOND, until_us=START + 4 * SECOND), [2, 3]),
        (Search(outcome="partial"), [4]),
        (Search(call_id="2@b"), [2]),
        (Search(call_id="2"), []),
        (Search(codec="opus"), [4]),
        (Search(limit=2), [3, 4]),
        (Search(limit=1, number="4930", codec="PCMA"), [2]),
    ],
)
def test_calls_are_found_by(search: Search, expected: list[int], catalogue: Catalogue) -> None:
    catalogue.upsert_calls([call(1), call(2), call(3, caller="sip:a@example.com")])
    catalogue.upsert_call(call(4, outcome="partial", streams=(stream(7, "opus"),)))

    assert found(catalogue, search) == expected


def test_a_call_is_found_by_the_beginning_of_its_id(catalogue: Catalogue) -> None:
    catalogue.upsert_calls([call(0x10000000), call(0x10000001), call(0x20000000)])

    assert catalogue.get("2") == call(0x20000000)
    assert catalogue.get(call(0x10000001).id.upper()) == call(0x10000001)
    with pytest.raises(NoSuchCall, match="several calls"):
        catalogue.get("1")
    for nothing in ("3", "", "%", "_"):
        with pytest.raises(NoSuchCall, match="no call"):
            catalogue.get(nothing)


def test_more_calls_than_one_reading_come_in_order(catalogue: Catalogue) -> None:
    rows = [call(n, streams=(stream(n),)) for n in range(1203)]
    catalogue.upsert_calls(rows[::-1])

    assert list(catalogue.list_calls()) == rows


def test_a_write_that_fails_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.upsert_call(call(1))

    with pytest.raises(StoreError, match="cannot write the catalogue"):
        catalogue.upsert_calls([call(1, outcome="partial"), call(2, caller=None)])

    assert list(catalogue.list_calls()) == [call(1)]


def test_runs_and_streams_without_signalling_are_kept(catalogue: Catalogue) -> None:
    run = catalogue.put_run(RunRow(source=("a.pcap",), started_us=START, version="1"))
    assert run.id is not None
    ended = replace(run, ended_us=START + 1, packets=9, drops={"ring": {"full": 2}}, calls={"recorded": 1})
    catalogue.put_run(ended)
    catalogue.put_unsignalled(run.id, [stream(5)])
    catalogue.put_unsignalled(run.id, [stream(6), stream(7)])

    assert catalogue.runs() == [ended]
    assert catalogue.unsignalled() == catalogue.unsignalled(run.id) == [stream(6), stream(7)]
    assert catalogue.unsignalled(run.id + 1) == []


def test_streams_of_a_run_that_is_not_there_are_refused(catalogue: Catalogue) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        catalogue.put_unsignalled(7, [stream()])


def test_a_reader_reads_while_the_writer_is_in_the_middle(where: Where, catalogue: Catalogue) -> None:
    catalogue.upsert_calls([call(n) for n in range(5)])
    with Catalogue(where, read_only=True) as reader:
        reading = reader.list_calls()
        next(reading)
        catalogue.upsert_call(call(9))

        assert len(list(reading)) == 4
        assert found(reader, Search()) == [0, 1, 2, 3, 4, 9]


def test_a_reader_cannot_write(where: Where, catalogue: Catalogue) -> None:
    with (
        Catalogue(where, read_only=True) as reader,
        pytest.raises(StoreError, match=r"read-?only"),
    ):
        reader.upsert_call(call(1))


def test_two_writers_wait_for_each_other(catalogue: Catalogue) -> None:
    # the daemon is one writer with several threads; each write is one transaction that begins at once
    threads = [threading.Thread(target=catalogue.upsert_calls, args=([call(n)],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found(catalogue, Search()) == list(range(8))


def test_the_file_is_private_and_in_wal_mode(tmp_path: Path, file: Catalogue) -> None:
    file.upsert_call(call(1))

    files = list(tmp_path.glob("catalogue.db*"))
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    with sqlite3.connect(tmp_path / "catalogue.db") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_reading_where_nothing_was_recorded_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no catalogue yet"):
        Catalogue(tmp_path / "catalogue.db", read_only=True)

    assert not list(tmp_path.iterdir())


def test_a_catalogue_on_a_read_only_medium_is_read(tmp_path: Path, file: Catalogue) -> None:
    file.upsert_call(call(1))
    file.close()
    code = (
        "import sys; from vittne.appliance.store.catalogue import Catalogue\n"
        "print(len(list(Catalogue(sys.argv[1], read_only=True).list_calls())))"
    )
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*unshare, mount, str(tmp_path), "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")

    command = [*unshare, mount, str(tmp_path), sys.executable, "-c", code, str(tmp_path / "catalogue.db")]
    run = subprocess.run(command, check=True, capture_output=True, text=True)

    assert run.stdout == "1\n"


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "catalogue.db").write_bytes(b"not a database at all" * 100)

    for read_only in (True, False):
        with pytest.raises(StoreError, match="cannot be read"):
            Catalogue(tmp_path / "catalogue.db", read_only=read_only)


def test_reading_the_catalogue_loads_nothing_heavy(tmp_path: Path, file: Catalogue) -> None:
    code = (
        "import sys; from vittne.appliance.store.catalogue import Catalogue\n"
        f"list(Catalogue({str(tmp_path / 'catalogue.db')!r}, read_only=True).list_calls())\n"
        "print(*{'alembic', 'pydantic', 'rich', 'numpy', 'cryptography', 'av'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout.strip() == ""
