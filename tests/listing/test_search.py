"""Searching recordings: what is found, page by page, by whom, and that what is forgotten is found no more."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cuts import REC
from lives import NAMES, archive, erasing

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import BUILT_IN, Only, Profile
from vittne.appliance.control.operation import Caller
from vittne.appliance.life.operations import CORRECT, Correct
from vittne.appliance.listing.operations import TAG, WRITE_NOTE, Tag, WriteNote
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import BadCursor, count, find
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.database import Where
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_700_000_000 * SECOND
ME = Caller("anna")
EVERYTHING = Principal("user", "1", "anna", (BUILT_IN["compliance"],))
STREAM = StreamRow("caller", "PCMA", 8, 8000, 1, "10.0.0.1:1", "10.0.0.2:2", 9, 9, NOW, NOW, mos=4.1)


def call(n: int, **more: object) -> CallRow:
    begin = NOW - n * 3600 * SECOND
    row = CallRow(
        f"{n:08x}-1111-4000-8000-000000000000",
        FINISHED,
        (f"dialog-{n}@pbx",),
        f"sip:+4930{n:05}@carrier.example",
        "sip:2041@pbx.example",
        begin,
        begin,
        begin + (60 + n) * SECOND,
        parties=({"seat": 0, "uri": f"sip:+4930{n:05}@carrier.example", "name": f"Caller {n}"},),
        outcome="recorded",
        streams=(STREAM,),
        details={"facts": {"agents": ["Anna Berg" if n % 2 else "Bo Ek"]}},
        site="hq" if n % 3 else "branch",
    )
    return replace(row, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def catalogue(place: Callable[[], Where]) -> Iterator[Catalogue]:
    with Catalogue(place()) as found:
        found.upsert_calls(
            [
                *(call(n) for n in range(1, 31)),
                call(31, tags=("VIP", "order-77"), outcome="partial"),
                call(32, streams=(replace(STREAM, codec="opus", mos=2.2), replace(STREAM, mos=4.0))),
                call(33, details={"pauses": [{"id": "p"}]}, announced="none"),
                call(34, answered_us=None),
                call(35, parties=({"seat": 0, "uri": "sip:x", "name": "GROẞE Ćosić"},)),
            ]
        )
        yield found


def numbers(catalogue: Catalogue, who: Principal = EVERYTHING, limit: int = 100, **asked: Any) -> list[int]:
    page = find(catalogue, who, Query.model_validate(asked), NOW, limit)
    return [int(one.sealed.id[:8], 16) for one in page.calls]


def test_the_newest_comes_first_and_what_nobody_answered_only_when_asked_for(catalogue: Catalogue) -> None:
    assert numbers(catalogue, limit=3) == [1, 2, 3]
    assert 34 not in numbers(catalogue)
    assert 34 in numbers(catalogue, unanswered=True)
    assert numbers(catalogue, order="asc", limit=2) == [35, 33]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "+49 30 00-007"}, [7]),
        ({"q": "00012"}, [12]),
        ({"q": "große"}, [35]),
        ({"q": "ĆOSIĆ grosse"}, [35]),
        ({"q": "caller anna 31"}, [31]),
        ({"q": "caller bo 31"}, []),
        ({"q": "dialog-13@"}, [13]),
        ({"q": "0000001f-11"}, [31]),
        ({"q": "%"}, []),
        ({"q": "_____"}, []),
        ({"number": "3000002"}, [2]),
        ({"call_id": "DIALOG-9@pbx"}, [9]),
        ({"tag": "order-77"}, [31]),
        ({"tag": "order-7"}, []),
        ({"outcome": "partial,no-media"}, [31]),
        ({"codec": "OPUS"}, [32]),
        ({"worse_mos": 3.0}, [32]),
        ({"paused": True}, [33]),
        ({"announced": "none"}, [33]),
        ({"longer_s": 95}, [35]),
        ({"shorter_s": 61}, [1]),
        ({"since": "2023-11-14T20:13:20Z"}, [1, 2]),
        ({"until": "2023-11-13T13:13:20Z"}, [35]),
        ({"days": 1, "site": "branch"}, [3, 6, 9, 12, 15, 18, 21, 24]),
    ],
)
def test_each_condition_finds_what_it_says(catalogue: Catalogue, asked: dict[str, Any], found: list[int]) -> None:
    assert numbers(catalogue, **asked) == found


@pytest.mark.parametrize("sort", ["time", "duration", "outcome", "quality"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("q", ["", "caller"])
def test_pages_together_are_the_whole_whatever_they_are_sorted_by(
    catalogue: Catalogue, sort: str, order: str, q: str
) -> None:
    query = Query.model_validate({"sort": sort, "order": order, "q": q})
    whole = [one.sealed.id for one in find(catalogue, EVERYTHING, query, NOW, 100).calls]
    pages, cursor = [], ""
    while True:
        page = find(catalogue, EVERYTHING, query, NOW, 7, cursor)
        pages += [one.sealed.id for one in page.calls]
        cursor = page.cursor
        if not cursor:
            break

    assert pages == whole
    assert len(set(pages)) == len(pages) > 30


def test_a_page_stays_where_it_was_when_calls_come(place: Callable[[], Where]) -> None:
    with Catalogue(place()) as catalogue:
        catalogue.upsert_calls([call(n) for n in range(1, 10)])
        first = find(catalogue, EVERYTHING, Query(), NOW, 4)
        catalogue.upsert_calls([call(0), call(-1)])
        second = find(catalogue, EVERYTHING, Query(), NOW, 4, first.cursor)
        assert [one.sealed.id[:8] for one in second.calls] == [f"{n:08x}" for n in (5, 6, 7, 8)]


def test_a_cursor_is_of_one_search(catalogue: Catalogue) -> None:
    cursor = find(catalogue, EVERYTHING, Query(sort="duration"), NOW, 4).cursor
    with pytest.raises(BadCursor, match="of another search"):
        find(catalogue, EVERYTHING, Query(sort="time"), NOW, 4, cursor)
    mark = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    forged = base64.urlsafe_b64encode(json.dumps([mark, "1 OR 1", 1, "x"]).encode()).decode()
    for wrong in (forged, "?", "e30", "bnVsbA"):
        with pytest.raises(BadCursor):
            find(catalogue, EVERYTHING, Query(sort="duration"), NOW, 4, wrong)


@pytest.mark.parametrize(
    ("only", "own", "found"),
    [
        (Only(agents=("anna *",), days=1), (), [n for n in range(1, 25) if n % 2]),
        (Only(numbers=("+49300000?",)), (), list(range(1, 10))),
        (Only(numbers=("+4930000[12]1",)), (), [11, 21]),
        (Only(sites=("branch",), days=1), (), [3, 6, 9, 12, 15, 18, 21, 24]),
        (Only(tags=("VIP",)), (), [31]),
        (Only(tags=("vip",)), (), []),
        (Only(own=True, days=1), ("bo ek",), list(range(2, 25, 2))),
        (Only(own=True), ("2041",), None),
        (Only(own=True), (), []),
    ],
)
def test_what_a_role_does_not_show_is_not_found(
    catalogue: Catalogue, only: Only, own: tuple[str, ...], found: list[int] | None
) -> None:
    role = BUILT_IN["compliance"].model_copy(update={"only": only})
    who = Principal("user", "1", "anna", (role,), own)
    assert numbers(catalogue, who) == (numbers(catalogue) if found is None else found)
    small: list[int] = []
    cursor = ""
    while len(small) < 40:
        page = find(catalogue, who, Query(), NOW, 2, cursor)
        small += [int(one.sealed.id[:8], 16) for one in page.calls]
        cursor = page.cursor
        if not cursor:
            break
    assert small == numbers(catalogue, who)


def test_a_search_by_what_is_hidden_is_refused(catalogue: Catalogue) -> None:
    agent = Principal("user", "1", "bo", (BUILT_IN["agent"],), ("2041",))
    for asked in ({"number": "7"}, {"name": "caller"}, {"call_id": "x"}, {"tag": "x"}):
        with pytest.raises(Hidden):
            find(catalogue, agent, Query.model_validate(asked), NOW, 5)
    # Words are looked for where everything is seen: among agents, not among numbers.
    assert numbers(catalogue, agent, q="anna", days=1, limit=2) == [1, 3]
    assert numbers(catalogue, agent, q="00007") == []
    blind = Principal("user", "1", "x", (Profile(name="blind", may=frozenset({"read"})),))
    with pytest.raises(Hidden):
        find(catalogue, blind, Query(q="anna"), NOW, 5)


def test_how_many_there_are_is_counted(catalogue: Catalogue) -> None:
    assert count(catalogue, EVERYTHING, Query(days=1), NOW) == 24


def test_corrections_tags_and_restrictions_are_found_at_once(tmp_path: Path) -> None:
    archive(tmp_path)
    registrar = Registrar(tmp_path)
    order = Correct(recording=REC, field="caller", value="sip:+46700@x", reason="written wrongly")
    list(CORRECT.do(registrar, order, ME))
    list(TAG.do(registrar, Tag(recording=REC, tag="Complaint"), ME))
    registrar.life.change(REC, restricted_us=NOW)

    def hits(**asked: object) -> int:
        return len(find(registrar.catalogue, EVERYTHING, Query.model_validate(asked), NOW, 5).calls)

    assert hits(number="+46700") == 1
    assert hits(number="4930555123") == 0
    assert hits(tag="complaint") == 1
    assert hits(restricted=True) == 1
    assert hits(restricted=False) == 0
    registrar.close()


def test_what_is_erased_leaves_nothing_to_be_found_by(tmp_path: Path) -> None:
    archive(tmp_path)
    registrar = Registrar(tmp_path)
    list(TAG.do(registrar, Tag(recording=REC, tag="gabler"), ME))
    list(WRITE_NOTE.do(registrar, WriteNote(recording=REC, text="Hedda Gabler called again"), ME))
    registrar.close()
    before = b"".join(path.read_bytes() for path in tmp_path.glob("catalogue.db*"))
    assert b"hedda gabler" in before

    for _ in erasing(tmp_path):
        pass

    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        assert find(catalogue, EVERYTHING, Query(q="gabler", erased=True), NOW, 5).calls == ()
        (left,) = find(catalogue, EVERYTHING, Query(erased=True), NOW, 5).calls
        assert left.sealed.erased_us is not None
        assert catalogue.empty_log()
    stored = (tmp_path / "catalogue.db").read_bytes().lower()
    for name in (*NAMES, b"called again"):
        assert name.lower() not in stored
