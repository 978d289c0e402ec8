"""The compliance side over the API: holds, two persons, cases, the trail and its proofs, reports."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from api.people import House, run_house
from cuts import REC
from lives import FAR_US, archive, classed, several

from vittne.appliance.access import operations as ops
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.control.caller import API, Caller
from vittne.appliance.life.approving import APPROVE, Approve, CannotApprove
from vittne.appliance.review.table import Draw, Review, ReviewTable
from vittne.appliance.store.times import rfc3339

TWO = {"approval": {"operations": ["erase", "hold-release"]}}
TEAM = {"anna": "compliance", "bo": "compliance", "olle": "auditor", "ada": "administrator", "sven": "supervisor"}


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("one") / "data"
    archive(data)
    return data


@pytest.fixture
def data(one: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(one, tmp_path / "data"))


def test_a_hold_is_previewed_placed_listed_and_let_go_by_two(data: Path) -> None:
    async def use(house: House) -> None:
        anna, bo = house["anna"], house["bo"]
        on = {"search": {"number": "4930555"}}
        seen = (await anna.post("holds/preview", on)).json
        assert seen["count"] == 1
        assert seen["recordings"][0]["caller"] == "+4930555123"

        (searched,) = (await house["olle"].get("audit?looks=true&limit=1")).json["rows"]
        assert (searched["kind"], searched["actor"]) == ("search", "anna")

        placed = await anna.post("holds", {"label": "case 7", "reason": "court", **on})
        assert placed.status == 201
        hold = placed.json["hold"]
        (listed,) = (await house["olle"].get("holds")).json["holds"]
        assert (listed["label"], listed["recordings"], listed["placed_by"]) == ("case 7", 1, "anna")
        assert listed["search"] == {"number": "4930555"}
        assert "search" not in (await house["ada"].get(f"holds/{hold}")).json  # numbers are not hers to see
        assert (await house["olle"].get(f"holds/{hold}/recordings")).json["recordings"][0]["id"] == REC

        refused = await anna.post(f"recordings/{REC}/erase", {"reason": "asked"})
        assert refused.status == 409
        assert "legal hold" in refused.problem["title"]

        waits = await anna.post(f"holds/{hold}/release", {"reason": "settled"})
        assert waits.status == 202
        request = waits.json["waits"]
        himself = await anna.post(f"requests/{request}/approve")
        assert himself.status == 409
        assert "himself" in himself.problem["title"]
        assert (await house["olle"].post(f"requests/{request}/approve")).status == 403
        (shown,) = (await bo.get("requests")).json["requests"]
        assert (shown["asked_by"], shown["may_approve"], shown["is_mine"]) == ("anna", True, False)
        assert (await bo.post(f"requests/{request}/approve")).status == 200
        assert (await bo.get("holds")).json["holds"] == []

    run_house(data, TEAM, use, TWO)


def test_a_user_with_another_name_is_still_the_same_person(data: Path) -> None:
    async def use(house: House) -> None:
        waits = await house["anna"].post(f"recordings/{REC}/erase", {"reason": "asked"})
        request = waits.json["waits"]
        house.registrar.life.set_request(request, asked_by="Anna before she married")
        assert (await house["anna"].post(f"requests/{request}/approve")).status == 409
        assert (await house["bo"].post(f"requests/{request}/approve")).status == 200
        assert house.registrar.catalogue.get(REC).erased_us is not None
        sheet = (await house["olle"].get(f"recordings/{REC}/certificate")).json
        assert sheet["approvers"] == ["Anna before she married", "bo"]

    run_house(data, TEAM, use, TWO)


def test_what_nobody_decides_is_over_and_what_is_taken_back_is_not_refused(data: Path) -> None:
    async def use(house: House) -> None:
        anna, bo = house["anna"], house["bo"]
        request = (await anna.post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        (shown,) = (await bo.get("requests")).json["requests"]
        assert shown["expires_at"] is not None
        house.registrar.life.set_request(request, asked_us=1)
        assert (await bo.get("requests")).json["requests"] == []
        (over,) = (await bo.get("requests?decided=true")).json["requests"]
        assert (over["state"], over["may_approve"]) == ("expired", False)
        late = await bo.post(f"requests/{request}/approve")
        assert (late.status, "over" in late.problem["title"]) == (409, True)
        assert house.registrar.catalogue.get(REC).erased_us is None
        again = (await anna.post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        assert again != request
        assert (await anna.post(f"requests/{again}/refuse")).json["state"] == "withdrawn"
        third = (await anna.post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        assert (await bo.post(f"requests/{third}/refuse")).json["state"] == "refused"
        states = [one["state"] for one in (await bo.get("requests?decided=true")).json["requests"]]
        assert sorted(states) == ["expired", "refused", "withdrawn"]

    run_house(data, TEAM, use, TWO)


def test_a_token_is_nobody_where_two_persons_are_needed(data: Path) -> None:
    async def use(house: House) -> None:
        token = house.served.token("read", "erase", "approve", days=None)
        asked = await house.served.post(f"recordings/{REC}/erase", token, json={"reason": "asked"})
        assert asked.status == 403
        assert asked.problem["type"] == "/problems/two-persons"
        request = (await house["anna"].post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        assert (await house.served.post(f"requests/{request}/approve", token)).status == 403
        assert house.registrar.catalogue.get(REC).erased_us is None

    run_house(data, TEAM, use, TWO)


def test_what_is_sent_twice_with_one_key_is_done_once(data: Path) -> None:
    async def use(house: House) -> None:
        body = {"label": "case 7", "reason": "court", "recordings": [REC]}
        key = {"Idempotency-Key": "a-key"}
        first = await house["anna"].post("holds", body, **key)
        second = await house["anna"].post("holds", body, **key)
        assert (first.status, second.json) == (201, first.json)
        assert len((await house["anna"].get("holds")).json["holds"]) == 1

    run_house(data, TEAM, use)


def test_who_may_not_see_a_recording_is_told_that_there_is_none(data: Path) -> None:
    async def use(house: House) -> None:
        role = {
            "name": "elsewhere",
            "may": ["read", "hold", "erase", "retention", "audit", "approve"],
            "fields": {"party": "full", "audit": "full"},
            "only": {"sites": ["other"]},
        }
        perform = house.served.app[OPERATOR].perform
        await perform(ops.PUT_ROLE, ops.PutRole(role=role), Caller("test"))
        await perform(ops.CHANGE_USER, ops.ChangeUser(user="sven", roles=("elsewhere",)), Caller("test"))
        request = (await house["anna"].post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        sven = house["sven"]
        for method, path, body in (
            ("GET", f"recordings/{REC}/retention", None),
            ("POST", f"recordings/{REC}/erase", {"reason": "x"}),
            ("POST", "holds", {"label": "x", "reason": "x", "recordings": [REC]}),
            ("POST", f"requests/{request}/approve", None),
            ("GET", f"requests/{request}", None),
        ):
            found = await (sven.get(path) if method == "GET" else sven.post(path, body))
            assert found.status == 404, path
        assert (await sven.post("holds/preview", {"search": {"number": "49"}})).status == 403
        assert (await sven.get("retention/plan")).status == 403
        assert (await sven.get("requests")).json["requests"] == []
        assert not [row for row in (await sven.get("audit")).json["rows"] if row["recording"]]

    run_house(data, TEAM, use, TWO)


def test_a_role_for_one_site_reaches_no_hold_and_no_review_of_another_though_its_calls_may_be_seen(data: Path) -> None:
    async def use(house: House) -> None:
        elsewhere = {"name": "elsewhere", "may": ["hold", "review"], "fields": {}, "only": {"sites": ["other"]}}
        perform = house.served.app[OPERATOR].perform
        await perform(ops.PUT_ROLE, ops.PutRole(role=elsewhere), Caller("test"))
        await perform(ops.PUT_ROLE, ops.PutRole(role={"name": "looks", "may": ["read"]}), Caller("test"))
        await perform(ops.CHANGE_USER, ops.ChangeUser(user="sven", roles=("elsewhere", "looks")), Caller("test"))
        hold = (await house["anna"].post("holds", {"label": "case 7", "reason": "court", "recordings": [REC]})).json
        at = house.registrar.catalogue.get(REC).started_us
        review = Review("ab" * 8, "desk", "2026-01", REC, "all", "Anna", (), "sven", at + 10**12)
        ReviewTable(house.registrar.catalogue).put_draw(
            Draw("desk", "2026-01", 1, "00", ["all"], [[REC, 0, []]], at, "test", False, ""), [review]
        )

        sven = house["sven"]
        assert (await sven.get(f"holds/{hold['hold']}")).status == 404
        assert (await sven.get("holds")).json["holds"] == []
        assert (await sven.post(f"holds/{hold['hold']}/release", {"reason": "x"})).status == 404
        body = {"label": "x", "reason": "x"}
        assert (await sven.post("holds", {**body, "recordings": [REC]})).status == 403
        assert (await sven.post("holds", {**body, "search": {"codec": "PCMA"}})).status == 403
        assert (await sven.get("reviews")).json["reviews"] == []
        assert (await sven.get(f"reviews/{review.id}")).status == 404
        assert (await sven.post(f"reviews/{review.id}/score", {"outcome": "good"})).status == 404
        assert len((await house["anna"].get("holds")).json["holds"]) == 1

    run_house(data, TEAM, use)


def test_the_plan_goes_page_by_page_and_the_forecast_has_its_month(data: Path) -> None:
    ids = [REC, *several(data, 4)]
    for one_ in ids:
        classed(data, "brief", None, 1_000_000, one_)

    async def use(house: House) -> None:
        olle, found, cursor = house["olle"], [], ""
        while True:
            page = (await olle.get(f"retention/plan?limit=2&cursor={cursor}")).json
            found += [row["id"] for row in page["due"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert sorted(found) == sorted(ids)
        assert sum(one["recordings"] for one in page["totals"]) == 5
        ahead = (await olle.get("retention/forecast?months=3")).json
        assert ahead["months"][0]["recordings"] == 1  # of the others nothing is kept
        assert (await olle.get("retention/plan?cursor=nonsense")).status == 422

    run_house(data, TEAM, use)


def test_other_rules_are_tried_and_nothing_is_changed(data: Path) -> None:
    async def use(house: House) -> None:
        olle = house["olle"]
        rules = '[[classes]]\nname = "brief"\ngreatest = "1d"\n\n[[retention]]\nname = "all"\nclass = "brief"\n'
        said = (await olle.post("retention/what-if", {"rules": rules})).json
        assert (said["changed"], said["more_go"]) == (1, 1)
        assert said["changes"][0]["then"]["retention_class"] == "brief"
        assert (await olle.get(f"recordings/{REC}/retention")).json["retention_class"] == ""
        wrong = await olle.post("retention/what-if", {"rules": '[[retention]]\nname = "all"\nclass = "none"\n'})
        assert wrong.status == 422
        assert (await olle.post("rules/check", {"rules": "x = ["})).status == 422
        assert (await olle.post("rules/check", {"rules": rules})).json["tables"]["retention"] == 1

    run_house(data, TEAM, use)


def test_a_case_finds_restricts_and_erases_and_says_why_not(data: Path) -> None:
    async def use(house: House) -> None:
        anna = house["anna"]
        opened = await anna.post("subjects", {"kind": "erasure", "numbers": ["+4930555123"]})
        assert opened.status == 201
        case = opened.json["case"]
        shown = (await anna.get(f"subjects/{case}")).json
        assert [(row["id"], row["how"], row["party"]) for row in shown["recordings"]] == [(REC, "sure", "caller")]
        assert (await house["sven"].get(f"subjects/{case}")).status == 403

        would = (await anna.post(f"subjects/{case}/erase", {"dry_run": True})).json
        assert [row["result"] for row in would["done"]] == ["done"]
        assert house.registrar.catalogue.get(REC).erased_us is None
        assert [row["result"] for row in (await anna.post(f"subjects/{case}/restrict", {})).json["done"]] == ["done"]
        refused = (await anna.post(f"subjects/{case}/erase", {})).json["done"]
        assert (refused[0]["result"], "Art. 18" in refused[0]["text"]) == ("refused", True)
        assert (await anna.post(f"recordings/{REC}/unrestrict", {"reason": "wants it gone"})).status == 200
        assert [row["result"] for row in (await anna.post(f"subjects/{case}/erase", {})).json["done"]] == ["done"]
        assert house.registrar.catalogue.get(REC).erased_us is not None

        acts = (await anna.get(f"subjects/{case}")).json["acts"]
        assert [(row["act"], row["result"]) for row in acts] == [
            ("restrict", "done"),
            ("erase", "refused"),
            ("erase", "done"),
        ]
        assert (await anna.post(f"subjects/{case}/close", {"outcome": "granted"})).status == 200
        assert (await anna.post(f"subjects/{case}/notes", {"text": "late"})).status == 409
        searches = (await house["olle"].get("audit?kind=search")).json["rows"]
        assert all(row["actor"] == "anna" for row in searches)
        assert searches

    run_house(data, TEAM, use)


def test_a_row_of_the_trail_is_proven_and_an_altered_one_is_not(data: Path) -> None:
    async def use(house: House) -> None:
        olle = house["olle"]
        await house["anna"].post("holds", {"label": "case 7", "reason": "court", "recordings": [REC]})
        house.registrar.ledger.publish()
        rows = (await olle.get("audit?limit=2")).json
        assert rows["rows"][0]["kind"] == "hold.place"
        assert rows["next"]
        name = rows["rows"][0]["id"]
        found = (await olle.get(f"audit/{name}/proof")).json
        assert [(one["name"], one["state"]) for one in found["checks"]] == [
            ("row", "holds"),
            ("ledger", "holds"),
            ("stamp", "unchecked"),
        ]
        assert found["proof"].startswith("c2sp.org/tlog-proof@v1")
        assert (await olle.post("audit/check")).json["differences"] == []
        with house.registrar.catalogue.writing() as connection:
            connection.exec_driver_sql("UPDATE audit SET actor = 'somebody' WHERE id = ?", (name,))
        assert (await olle.get(f"audit/{name}/proof")).json["checks"][0]["state"] == "fails"
        assert len((await olle.post("audit/check")).json["differences"]) == 1

    run_house(data, TEAM, use)


def test_an_incident_has_its_72_hours_and_is_over_when_it_is_closed(data: Path) -> None:
    async def use(house: House) -> None:
        anna = house["anna"]
        account = {"actor": "Ann", "since": "2020-01-01T00:00:00Z"}
        opened = await anna.post(
            "incidents", {"title": "a laptop", "known": "2026-01-01T00:00:00Z", "account": account}
        )
        assert opened.status == 201
        name = opened.json["incident"]
        shown = (await house["olle"].get(f"incidents/{name}")).json
        assert shown["due_at"].startswith("2026-01-04T00:00:00")
        assert shown["scope"]["exposed"] == "content"  # Ann took a copy
        assert (await house["olle"].post(f"incidents/{name}/lines", {"text": "x"})).status == 403
        await anna.post(f"incidents/{name}/lines", {"text": "told them", "authority_told": True})
        assert (await anna.post(f"incidents/{name}/close", {"text": "done"})).status == 200
        assert (await anna.post(f"incidents/{name}/lines", {"text": "more"})).status == 409
        assert (await anna.get("incidents")).json["incidents"] == []

    run_house(data, TEAM, use)


def test_reports_are_made_as_json_html_and_pdf(data: Path) -> None:
    async def use(house: House) -> None:
        olle = house["olle"]
        said = (await olle.get("reports/compliance?regime=gdpr,pci&since=2020-01-01T00:00:00Z")).json
        assert {row["regime"] for row in said["rows"]} == {"gdpr", "pci"}
        page = await olle.get("reports/compliance?format=html&regime=sox")
        assert b"<h2>SOX</h2>" in page.body
        assert "sandbox" in page.headers["Content-Security-Policy"]
        paper = await olle.get("reports/compliance?format=pdf&regime=sox")
        assert paper.body.startswith(b"%PDF-")
        assert "attachment" in paper.headers["Content-Disposition"]
        assert (await olle.get("reports/compliance?regime=nonsense")).status == 422
        assert b"lawful_basis" in (await olle.get("reports/processing?format=csv")).body
        assert (await olle.get("reports/processing")).json["lines"]
        for path in ("coverage?day=2026-01-01", "coverage/outcomes", "coverage/not-recorded", "coverage/announcements"):
            assert (await olle.get(path)).status == 200, path
        for path in ("coverage/unannounced", "coverage/pauses?since=2020-01-01T00:00:00Z", "announcements", "rules"):
            assert (await olle.get(path)).status == 200, path

    run_house(data, TEAM, use)


def times(answer: Any) -> str:
    return str(answer["expires_at"])


def test_a_recording_stays_longer_and_an_auditor_changes_nothing(data: Path) -> None:
    classed(data, "brief", None, FAR_US)

    async def use(house: House) -> None:
        later = rfc3339(FAR_US + 10**12)
        body = {"until": later, "reason": "longer"}
        assert (await house["olle"].post(f"recordings/{REC}/retention", body)).status == 403
        changed = await house["anna"].post(f"recordings/{REC}/retention", body)
        assert changed.status == 200, changed.body
        assert times(changed.json) == later
        assert (await house["anna"].post(f"recordings/{REC}/retention", {"reason": "what"})).status == 422

    run_house(data, TEAM, use)


def test_somebody_who_is_known_in_two_places_is_no_second_person(data: Path) -> None:
    """A local user and one of the house's directory: two users, and perhaps one person."""

    async def use(house: House) -> None:
        operator = house.served.app[OPERATOR]
        request = (await house["anna"].post(f"recordings/{REC}/erase", {"reason": "asked"})).json["waits"]
        for name, full_name, is_refused in (("anna@ad", "", True), ("aberg@ad", "", False)):
            order = ops.AddUser(name=name, full_name=full_name, roles=("compliance",), origin="ad")
            user = await operator.perform(ops.ADD_USER, order, Caller("test"))
            caller = Caller(name, API, user["id"])
            if is_refused:
                with pytest.raises(CannotApprove, match="may be one person"):
                    await operator.perform(APPROVE, Approve(request=request), caller)
            else:
                await operator.perform(APPROVE, Approve(request=request), caller)
        assert house.registrar.catalogue.get(REC).erased_us is not None

    run_house(data, TEAM, use, TWO)
