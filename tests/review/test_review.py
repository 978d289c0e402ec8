"""Review: what is drawn can be drawn again by anybody, and what people write stays out of the ledger."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import running

from vittne.appliance.config import checked
from vittne.appliance.review import cli
from vittne.appliance.review.operations import OUTCOMES
from vittne.appliance.review.plans import PlanConfig
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]
MONTH = "2026-01"
PAGE = Path(__file__).resolve().parents[2] / "docs/review.md"
PLAN = """
[[review]]
name = "desk"
percent = 25
reviewers = ["Ann", "Bob"]
card = "sales"
"""
CARD = """
name = "sales"

[[questions]]
key = "greeting"
text = "Did he say who he is?"
critical = true

[[questions]]
key = "tone"
text = "How did he speak?"
kind = "0-5"
weight = 3

[[questions]]
key = "remark"
text = "Anything else?"
kind = "text"
optional = true
"""


def prepared(vittne: Vittne, data: Path, plan: str = PLAN) -> list[dict[str, Any]]:
    """Add plan and card, draw January; return what was drawn."""
    (data.parent / "plan.toml").write_text(plan)
    (data.parent / "card.toml").write_text(CARD)
    for words in (
        ("plan", "add", data.parent / "plan.toml", "--by", "Eve"),
        ("card", "add", data.parent / "card.toml", "--by", "Eve"),
        ("draw", "--month", MONTH, "--by", "Eve"),
    ):
        status, _, error = vittne("review", *words, "--data", data)
        assert (status, error) == (0, ""), error
    return queue(vittne, data)


def queue(vittne: Vittne, data: Path, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vittne("review", "queue", "--json", "--data", data, *more)[1])
    return found


def score(vittne: Vittne, data: Path, one: dict[str, Any], *more: str, by: str = "") -> tuple[int, str, str]:
    who = ("--by", by or one["reviewer"])
    return vittne("review", "score", one["id"], "--data", data, *(more or GOOD), *who)


GOOD = ("--answer", "greeting=yes", "--answer", "tone=4", "--outcome", "good", "--note", "Mrs Gabler was happy")


def test_a_quarter_of_twelve_calls_is_drawn_and_shared_among_the_reviewers(vittne: Vittne, data: Path) -> None:
    drawn = prepared(vittne, data)

    assert len(drawn) == 3
    assert {one["reviewer"] for one in drawn} == {"Ann", "Bob"}
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        assert {one["recording"] for one in drawn} < {row.id for row in catalogue.list_calls()}


def test_nobody_draws_a_month_twice_or_before_it_is_over(vittne: Vittne, data: Path) -> None:
    prepared(vittne, data)

    again = vittne("review", "draw", "--month", MONTH, "--plan", "desk", "--data", data)
    early = vittne("review", "draw", "--month", "2999-01", "--plan", "desk", "--data", data)

    assert again[0] == 1
    assert "was drawn" in again[2]
    assert early[0] == 1
    assert "is not over" in early[2]


def test_two_archives_with_the_same_calls_and_plan_draw_the_same(vittne: Vittne, data: Path, twelve: Path) -> None:
    other = data.parent / "other"
    shutil.copytree(twelve, other)

    assert [one["recording"] for one in prepared(vittne, data)] == [one["recording"] for one in prepared(vittne, other)]


def test_the_ledger_has_seed_and_population_and_no_name(vittne: Vittne, data: Path) -> None:
    one = prepared(vittne, data)[0]
    assert score(vittne, data, one)[0] == 0

    entries = json.loads(vittne("ledger", "list", "--json", "--data", data)[1])
    told = [entry for entry in entries if entry["t"].startswith("review.")]
    (drawn,) = [entry for entry in told if entry["t"] == "review.draw"]
    assert (drawn["month"], drawn["drawn"]) == (MONTH, 3)
    assert drawn.keys() >= {"seed", "population", "row"}
    (scored,) = [entry for entry in told if entry["t"] == "review.score"]
    assert scored["rec"] == one["recording"]
    assert not any(word in json.dumps(told) for word in ("Gabler", "Ann", "Bob", "sales", "desk"))
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_a_draw_that_somebody_changed_afterwards_is_found(vittne: Vittne, data: Path) -> None:
    drawn = prepared(vittne, data)
    assert vittne("review", "check", "--data", data)[0] == 0
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        other = next(row.id for row in catalogue.list_calls() if row.id not in {one["recording"] for one in drawn})

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE reviews SET recording = ? WHERE id = ?", (other, drawn[0]["id"]))

    status, said, _ = vittne("review", "check", "--data", data)
    assert status == 1
    assert f"{other} was not drawn" in said
    assert f"{drawn[0]['recording']} is missing" in said


def test_a_score_is_the_weighted_mean_and_a_critical_no_makes_it_nothing(vittne: Vittne, data: Path) -> None:
    first, second, third = prepared(vittne, data)

    score(vittne, data, first)
    score(vittne, data, second, "--answer", "greeting=no", "--answer", "tone=5", "--outcome", "breach")
    score(vittne, data, third, "--answer", "greeting=na", "--answer", "tone=3", "--outcome", "improve")

    shown = {one["id"]: one for one in queue(vittne, data, "--all")}
    assert [shown[one["id"]]["score"] for one in (first, second, third)] == [85.0, 0.0, 60.0]
    assert shown[first["id"]]["card_version"] == 1
    assert queue(vittne, data) == []


def test_an_answer_that_the_card_does_not_take_enters_nothing(vittne: Vittne, data: Path) -> None:
    one = prepared(vittne, data)[0]

    for answers in (["greeting=maybe", "tone=3"], ["greeting=yes"], ["greeting=yes", "tone=6"], ["hair=yes"]):
        words = [word for answer in answers for word in ("--answer", answer)]
        assert score(vittne, data, one, *words, "--outcome", "good")[0] == 1

    assert len(queue(vittne, data)) == 3


def test_only_who_has_it_reviews_it_and_nobody_his_own_call(vittne: Vittne, data: Path) -> None:
    plan = PLAN.replace("card =", 'per = "agent"\ncard =')
    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE calls SET details = json_set(details, '$.agent', 'Ann')")

    drawn = prepared(vittne, data, plan)

    assert {(one["group"], one["agent"], one["reviewer"]) for one in drawn} == {("Ann", "Ann", "Bob")}
    assert "somebody else's" in score(vittne, data, drawn[0], by="Eve")[2]
    assign = ("review", "assign", drawn[0]["id"], "--data", data, "--to")
    assert "nobody reviews his own call" in vittne(*assign, "ann")[2]
    assert vittne(*assign, "Eve")[0] == 0
    assert score(vittne, data, drawn[0], by="Eve")[0] == 0
    report = json.loads(vittne("review", "report", "--month", MONTH, "--json", "--data", data)[1])
    assert report["agents"] == [{"agent": "Ann", "reviews": 1, "mean": 85.0, "least": 85.0, "breaches": 0}]


def test_a_report_has_coverage_and_fails_when_something_is_overdue(vittne: Vittne, data: Path) -> None:
    first, second, third = prepared(vittne, data)
    score(vittne, data, first)
    report = ("review", "report", "--month", MONTH, "--data", data)
    assert vittne(*report)[0] == 0

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE reviews SET due_us = 1 WHERE id = ?", (second["id"],))

    status, said, _ = vittne(*report, "--json")
    found = json.loads(said)
    assert status == 1
    (plan,) = found["plans"]
    assert (plan["calls"], plan["drawn"], plan["done"], plan["coverage"]) == (12, 3, 1, 33.3)
    assert plan["late"]  # the plan was made long after January
    assert [one["id"] for one in found["overdue"]] == [second["id"]]
    lines = list(csv.DictReader(io.StringIO(vittne(*report, "--csv")[1])))
    assert {one["id"]: one["score"] for one in lines} == {first["id"]: "85.0", second["id"]: "", third["id"]: ""}


def test_erasing_a_recording_takes_what_was_written_of_it_and_counts_it_as_gone(vittne: Vittne, data: Path) -> None:
    first, second, _ = prepared(vittne, data)
    score(vittne, data, first, *GOOD, "--coaching", "speak slower with Mrs Gabler")

    for one in (first, second):
        assert vittne("erase", one["recording"], "--reason", "asked", "--data", data)[0] == 0

    assert b"Gabler" not in b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    report = json.loads(vittne("review", "report", "--month", MONTH, "--json", "--data", data)[1])
    (plan,) = report["plans"]
    assert (plan["drawn"], plan["done"], plan["erased"], plan["coverage"]) == (3, 1, 1, 50.0)
    assert second["id"] not in {one["id"] for one in queue(vittne, data)}
    assert vittne("review", "check", "--data", data)[0] == 0


def test_a_recorder_that_runs_does_it_as_well_and_a_rebuilt_catalogue_keeps_it(vittne: Vittne, data: Path) -> None:
    with running(data):
        drawn = prepared(vittne, data)
        assert score(vittne, data, drawn[0])[0] == 0

    assert vittne("rebuild", "--data", data)[0] == 0

    assert len(queue(vittne, data)) == 2
    assert len(queue(vittne, data, "--all")) == 3
    assert vittne("review", "check", "--data", data)[0] == 0


def test_plans_of_the_configuration_are_taken_when_a_month_is_drawn(vittne: Vittne, data: Path) -> None:
    config = data.parent / "vittne.toml"
    config.write_text(PLAN)

    status, said, error = vittne("review", "draw", "--month", MONTH, "--data", data, "--config", config)

    assert (status, error) == (0, "")
    assert "desk 2026-01: 3 of 12 calls" in said
    config.write_text(PLAN.replace("25", "50"))
    assert "version 2" in vittne("review", "plan", "add", "--configured", "--data", data, "--config", config)[1]


def test_the_page_describes_every_key_of_a_plan_and_its_examples_work() -> None:
    page = PAGE.read_text()
    blocks = [block.split("```")[0] for block in page.split("```toml\n")[1:]]

    assert sorted(name for name in PlanConfig.model_fields if f"`{name}`" not in page) == []
    assert any(checked(tomllib.loads(block), "page").review for block in blocks if "[[review]]" in block)
    assert cli.OUTCOMES == OUTCOMES
