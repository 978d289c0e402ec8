"""Two persons: what one asks for is done when another one wants it too, and only what he saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cuts import REC, three_parts
from lives import FAR_US, classed
from lives import call as call_of
from running import running

from vittne.appliance.life.erase import CannotErase
from vittne.appliance.life.operations import Erase, do_erase
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]


def trail(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "vittne.toml"
    path.write_text(
        '[approval]\noperations = ["erase", "hold-release", "shorten", "unrestrict"]\nearly = ["hipaa-6y"]\n'
    )
    return path


def request_of(vittne: Vittne, data: Path) -> str:
    (request,) = json.loads(vittne("request", "list", "--json", "--data", data)[1])
    return str(request["id"])


def test_an_erasure_waits_for_a_second_name_that_is_another(vittne: Vittne, data: Path, config: Path) -> None:
    where = ("--config", config, "--data", data)
    status, said, _ = vittne("erase", REC, "--reason", "asked", "--by", "Ann", *where)
    assert status == 3
    request = request_of(vittne, data)
    assert f"vittne request approve {request}" in said
    assert vittne("erase", REC, "--reason", "asked", "--by", "Ann", *where)[0] == 3
    assert request_of(vittne, data) == request  # asked twice is one request
    assert call_of(data).erased_us is None

    status, _, error = vittne("request", "approve", request, "--by", " ann", *where)
    assert (status, "asked for it himself" in error) == (1, True)
    status, _, error = vittne("request", "approve", request[:6], "--by", "Bob", *where)
    assert status == 0, error

    assert call_of(data).erased_us is not None
    row = trail(data)[-1]
    assert (row.kind, row.details["approvers"]) == ("rec.erase", ["Ann", "Bob"])
    shown = json.loads(vittne("erase", "--certificate", REC, "--data", data)[1])
    assert shown["approvers"] == ["Ann", "Bob"]
    assert json.loads(vittne("request", "list", "--json", "--data", data)[1]) == []
    status, _, error = vittne("request", "approve", request, "--by", "Eve", *where)
    assert (status, "it was done before" in error) == (1, True)


def test_a_request_that_is_refused_is_not_done(vittne: Vittne, data: Path, config: Path) -> None:
    where = ("--config", config, "--data", data)
    vittne("erase", REC, "--reason", "asked", "--by", "Ann", *where)
    request = request_of(vittne, data)

    assert vittne("request", "refuse", request, "--by", "Bob", *where)[0] == 0

    assert vittne("request", "approve", request, "--by", "Eve", *where)[0] == 1
    assert call_of(data).erased_us is None
    assert [row.kind for row in trail(data)][-2:] == ["request.make", "request.refuse"]


def test_a_locked_class_goes_early_by_two_persons_where_the_law_lets_it_and_never_under_a_hold(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    config = tmp_path / "early.toml"
    config.write_text('[approval]\nearly = ["hipaa-6y"]\n')
    where = ("--config", config, "--data", data)
    classed(data, "mifid-5y", FAR_US, FAR_US)
    assert vittne("erase", REC, "--reason", "asked", "--by", "Ann", *where)[0] == 1
    classed(data, "hipaa-6y", FAR_US, FAR_US)
    assert vittne("erase", REC, "--reason", "asked", "--by", "Ann", *where)[0] == 3
    request = request_of(vittne, data)
    vittne("hold", "place", "--label", "case", "--reason", "court", "--id", REC, "--data", data)

    status, _, error = vittne("request", "approve", request, "--by", "Bob", *where)
    assert (status, "under legal hold" in error) == (1, True)
    (hold,) = json.loads(vittne("hold", "list", "--json", "--data", data)[1])
    vittne("hold", "release", hold["id"], "--reason", "over", "--data", data)
    status, _, error = vittne("request", "approve", request, "--by", "Bob", *where)

    assert status == 0, error
    row = trail(data)[-1]
    assert (row.kind, row.details["ledger"]["reason"], row.details["approvers"]) == (
        "rec.erase",
        "early",
        ["Ann", "Bob"],
    )


def test_holds_restrictions_and_shorter_classes_wait_as_well(vittne: Vittne, data: Path, config: Path) -> None:
    where = ("--config", config, "--data", data)
    vittne("hold", "place", "--label", "case", "--reason", "court", "--id", REC, "--data", data)
    (hold,) = json.loads(vittne("hold", "list", "--json", "--data", data)[1])
    vittne("restrict", REC, "--reason", "asked", "--data", data)
    classed(data, "gdpr-90d", None, FAR_US, restricted_us=1)
    orders = (
        ("hold", "release", hold["id"], "--reason", "over"),
        ("unrestrict", REC, "--reason", "over"),
        ("retention", "extend", REC, "--until", "2099-01-01", "--reason", "less"),
    )
    for order in orders:
        assert vittne(*order, "--by", "Ann", *where)[0] == 3, order
    requests = json.loads(vittne("request", "list", "--json", "--data", data)[1])
    assert [one["operation"] for one in requests] == ["hold-release", "unrestrict", "shorten"]
    assert json.loads(vittne("hold", "list", "--json", "--data", data)[1])

    for one in requests:
        status, _, error = vittne("request", "approve", one["id"], "--by", "Bob", *where)
        assert status == 0, error

    row = call_of(data)
    assert json.loads(vittne("hold", "list", "--json", "--data", data)[1]) == []
    assert row.restricted_us is None
    assert row.expires_us is not None
    assert row.expires_us < FAR_US


def test_the_recorder_that_runs_asks_by_its_own_configuration(vittne: Vittne, data: Path, config: Path) -> None:
    with running(data):
        status, _, _ = vittne("erase", REC, "--reason", "asked", "--by", "Ann", "--config", config, "--data", data)

    assert status == 0  # this recorder was started without [approval]


def test_a_cut_inside_a_lock_needs_two_persons_and_is_good_for_that_span_once(vittne: Vittne, tmp_path: Path) -> None:
    data = tmp_path / "sealed"
    three_parts(data)
    classed(data, "mifid-5y", FAR_US, FAR_US)

    def cut(begin: str) -> int:
        span = ("--from", begin, "--to", "+1.7", "--reason", "card", "--by", "Ann", "--yes")
        return vittne("cut", REC, *span, "--data", data)[0]

    assert cut("+1.2") == 3
    request = request_of(vittne, data)
    assert call_of(data).details["flags"] == []
    assert vittne("request", "approve", request, "--by", "Bob", "--data", data)[0] == 0
    assert cut("+1.1") == 3  # another span is another request
    assert cut("+1.2") == 0

    assert call_of(data).details["flags"] == ["cut"]
    assert verify(data, REC).ok
    allowed = next(row for row in trail(data) if row.kind == "cut.allow")
    assert (allowed.details["approvers"], allowed.details["decision"]["rule"]) == (["Ann", "Bob"], "card-data")
    assert [one["state"] for one in json.loads(vittne("request", "list", "--all", "--json", "--data", data)[1])] == [
        "done",
        "waits",
    ]


def test_what_has_changed_since_it_was_asked_is_decided_anew(data: Path) -> None:
    registrar = Registrar(data)
    registrar.life_policy = LifePolicy(operations=frozenset({"erase"}))
    from lives import ANN, BOB  # noqa: PLC0415

    registrar.life.change(REC, restricted_us=1)
    with pytest.raises(CannotErase, match="restricted since"):
        list(do_erase(registrar, Erase(recording=REC, reason="asked"), (ANN, BOB)))
    registrar.close()


def test_a_class_that_is_none_cannot_go_early(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text('[approval]\nearly = ["mifid"]\n')

    status, _, error = vittne("erase", REC, "--reason", "asked", "--config", config, "--data", data)

    assert (status, "approval.early: there is no class 'mifid'" in error) == (1, True)
