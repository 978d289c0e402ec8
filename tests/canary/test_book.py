"""Which calls are taken for canaries, and where these are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.canary.book import CanaryBook
from vittne.appliance.canary.mark import Sent, SentStream, is_ours, mark_of, with_rule
from vittne.appliance.canary.table import CanaryTable
from vittne.appliance.compliance.coverage import answered_calls
from vittne.appliance.compliance.inventory import bases
from vittne.appliance.compliance.outcomes import counted
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import find
from vittne.appliance.recordconfig import KeepingConfig, recording_rules
from vittne.appliance.seal.verdict import fails, holds
from vittne.appliance.store.catalogue import Catalogue, Search, matching
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.capture.conditions import Facts

EVERYTHING = Principal("user", "1", "anna", (BUILT_IN["compliance"],))
CALLER = SentStream(0xAABBCCDD, "192.0.2.10:20000", "198.51.100.10:20002", 50)
CALLEE = SentStream(0x11223344, "198.51.100.10:20002", "192.0.2.10:20000", 50)
SENT = Sent("run-1", "secret@canary.invalid", (CALLER, CALLEE))
OURS = "4e7aaf42-0f5c-4f0e-8a35-6f3b1f1b2d11"
THEIRS = "5e7aaf42-0f5c-4f0e-8a35-6f3b1f1b2d11"


def of(one: SentStream, **more: Any) -> dict[str, Any]:
    said = {"ssrc": f"{one.ssrc:08X}", "source": one.source, "destination": one.destination, "packets": one.packets}
    return {**said, **more}


def report(**more: Any) -> dict[str, Any]:
    return {"id": OURS, "call_ids": [SENT.call_id], "streams": [of(CALLER), of(CALLEE)], **more}


@pytest.mark.parametrize(
    "forged",
    [
        report(call_ids=[SENT.call_id, "another"]),
        report(call_ids=["another"]),
        report(streams=[of(CALLER), of(CALLEE), of(CALLER, ssrc="00000001")]),
        report(streams=[of(CALLER, source="10.0.0.1:20000"), of(CALLEE)]),
        report(streams=[of(CALLER, destination="10.0.0.1:20000"), of(CALLEE)]),
        report(streams=[of(CALLER, packets=51), of(CALLEE)]),
    ],
)
def test_a_call_that_holds_anything_else_is_none_of_ours(forged: dict[str, Any]) -> None:
    assert is_ours(report(), SENT)
    assert is_ours(report(streams=[of(CALLER, packets=7)]), SENT), "what is lost is what is looked for"
    assert not is_ours(forged, SENT)


@pytest.fixture
def catalogue(tmp_path: Path) -> Any:
    with Catalogue(tmp_path / "catalogue.db") as made:
        yield made


def test_a_call_that_begins_as_ours_and_gets_a_voice_more_is_an_ordinary_one_again(catalogue: Catalogue) -> None:
    book = CanaryBook(catalogue)
    book.await_(SENT)
    assert book.look([report()]) == [(SENT.run, OURS)]
    assert book.is_canary(report())

    found = book.look([report(streams=[of(CALLER), of(CALLEE), of(CALLEE, ssrc="00000001")])])

    assert found == []
    assert not book.is_canary(report())
    assert book.is_strange(SENT)
    run = book.table.get(SENT.run)
    assert run is not None
    assert run.recording == ""


def test_a_second_call_with_the_same_call_id_is_none_of_ours(catalogue: Catalogue) -> None:
    book = CanaryBook(catalogue)
    book.await_(SENT)
    book.look([report()])

    assert book.look([report(id=THEIRS)]) == []
    assert book.is_canary(report())
    assert not book.is_canary(report(id=THEIRS))


def test_a_run_is_known_after_a_restart_and_not_once_it_is_over(catalogue: Catalogue) -> None:
    CanaryBook(catalogue).await_(SENT)

    again = CanaryBook(catalogue)
    assert again.look([report()]) == [(SENT.run, OURS)]
    assert again.look([report()]) == [], "the ledger has one entry of each"
    again.sealed(OURS)
    again.table.end(SENT.run, "well", [holds("recorded", "yes")], 1)

    assert CanaryBook(catalogue).look([report(id=THEIRS)]) == []
    found = again.table.newest()[0]
    assert (found.result, found.recording, found.failed) == ("well", OURS, [])


def test_a_recording_that_was_begun_before_a_restart_is_ours_behind_it(catalogue: Catalogue) -> None:
    before = CanaryBook(catalogue)
    before.await_(SENT)
    before.look([report()])

    again = CanaryBook(catalogue)
    again.table.give_up(5)

    assert again.is_canary(report())
    left = again.table.newest()[0]
    assert (left.result, left.checks[0].result) == ("unsure", "unchecked")


def test_what_is_asked_where_none_is_placed_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(StoreError, match="no canary calls"):
        CanaryBook(catalogue).ask()


def test_the_newest_that_failed_says_what(catalogue: Catalogue) -> None:
    table = CanaryTable(catalogue)
    table.begin(SENT, 5)
    table.end(SENT.run, "unwell", [holds("recorded", ""), fails("audio", "160 of 8000 samples differ")], 9)

    assert table.newest()[0].failed == ["audio"]
    assert table.well_us() is None
    assert json.loads(json.dumps(table.newest()[0].as_json()))["checks"][1]["name"] == "audio"


def calls_of(catalogue: Catalogue) -> None:
    """One call of a customer, and a canary's."""
    for id_, call_id in ((OURS, SENT.call_id), (THEIRS, "theirs")):
        row = CallRow(
            id_, "finished", (call_id,), "a", "b", 1_000_000, 1_000_000, 2_000_000, outcome="recorded", folder="x"
        )
        catalogue.upsert_calls([row])
    table = CanaryTable(catalogue)
    table.begin(SENT, 1)
    table.recorded({SENT.run: OURS})


def test_no_list_and_no_sum_has_a_canary(catalogue: Catalogue, tmp_path: Path) -> None:
    calls_of(catalogue)

    def listed(**asked: Any) -> list[str]:
        page = find(catalogue, EVERYTHING, Query(**asked), 3_000_000, 10)
        return [one.sealed.id for one in page.calls]

    assert (listed(), listed(canary=True)) == ([THEIRS], [OURS])
    assert [call.id for call in catalogue.list_calls(Search())] == [THEIRS]
    assert [call.id for call in catalogue.list_calls(Search(canary=True))] == [OURS]
    with catalogue.reading() as connection:
        assert [row.id for row in connection.execute(matching(Search()))] == [THEIRS], "reviews and holds take no other"
    assert [one.id for one in answered_calls(catalogue, tmp_path, set(), 0, 5_000_000)] == [THEIRS]
    assert counted(catalogue, 0, 5_000_000) == {"recorded": 1}
    assert sum(one["recordings"] for one in bases(catalogue)) == 1
    assert catalogue.outcomes() == {"recorded": 1}


def test_the_mark_stays_and_its_rule_comes_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    mark = mark_of(tmp_path)
    config = KeepingConfig.model_validate({"record": [{"name": "nothing", "then": "exclude"}]})

    rules = recording_rules(config.model_copy(update=with_rule(config, mark)), b"k")

    assert mark_of(tmp_path) == mark
    assert (tmp_path / "keys" / "canary.key").stat().st_mode & 0o777 == 0o600
    (header,) = rules.headers
    assert rules.find(Facts(headers=(header.name,))).then == "record"
    assert rules.find(Facts()).then == "exclude"
    assert header.met_by([mark])
    assert not header.met_by([mark[:-1]])
