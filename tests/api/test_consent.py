"""A gate decided over HTTPS: what is answered, what is entered, and who may."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from api.harness import Served, run_served
from rig.desk import desk_of, pipeline_of, two_calls, worker_of

from vittne.appliance.api.consent import ROUTES
from vittne.appliance.api.pauses import DESK
from vittne.appliance.store.times import now_us
from vittne.appliance.store.times import rfc3339 as written
from vittne.capture.conditions import Condition
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import Mode, RecordRule, RecordRules

Use = Callable[[Served], Awaitable[None]]


def gated(gate: Mode) -> Pipeline:
    rules = RecordRules((RecordRule("hotline", Condition(callers=("1001",)), gate=gate),), version="v1")
    return pipeline_of(two_calls(), Settings(recording=rules))


def first_of(pipeline: Pipeline) -> str:
    return next(iter(pipeline.book.calls))


def run(data: Path, pipeline: Pipeline | None, use: Use) -> None:
    with desk_of(data, pipeline) as desk:
        run_served(data, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))


def ledger(data: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in (data / "ledger").iterdir() if path.is_file())


def test_a_yes_opens_the_gate_and_is_entered(tmp_path: Path) -> None:
    pipeline = gated("after-consent")
    recording = first_of(pipeline)

    async def use(served: Served) -> None:
        token = served.token("consent")
        for _ in range(2):  # asked twice it is decided once
            found = await served.post(f"calls/{recording}/consent", token, json={"decision": "agreed"})
            assert found.status == 200
        assert found.json == {
            "recording": recording,
            "decision": "agreed",
            "rule": "hotline",
            "gate": "after-consent",
            "gate_state": "open",
            "shut_by": "",
        }

    run(tmp_path, pipeline, use)

    (decided,) = pipeline.book.calls[recording].keeping.decisions
    assert (decided.decision, decided.trigger) == ("agreed", "api")
    assert decided.by
    assert f'"{recording}"' in ledger(tmp_path)
    assert '"decision":"agreed"' in ledger(tmp_path)


def test_a_no_shuts_it_for_good(tmp_path: Path) -> None:
    pipeline = gated("after-consent")
    where = f"calls/{first_of(pipeline)}/consent"

    async def use(served: Served) -> None:
        token = served.token("consent")
        found = await served.post(where, token, json={"decision": "refused"})
        assert (found.status, found.json["gate_state"], found.json["shut_by"]) == (200, "shut", "refused")
        late = await served.post(where, token, json={"decision": "agreed"})
        assert late.status == 410
        assert late.problem["type"] == "/problems/gate-shut"

    run(tmp_path, pipeline, use)


def test_an_objection_destroys_the_keys_before_it_is_answered(tmp_path: Path) -> None:
    pipeline = gated("discard-on-objection")
    recording = first_of(pipeline)
    with desk_of(tmp_path, pipeline) as desk:
        desk._registrar.keys.put([(recording, 0, "a capsule")])

        async def use(served: Served) -> None:
            body = {"decision": "refused", "at": written(now_us() - 1_000_000)}
            found = await served.post(f"calls/{recording}/consent", served.token("consent"), json=body)
            assert found.status == 200

        run_served(tmp_path, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))
        assert not desk._registrar.keys.parts(recording)


def test_an_objection_destroys_the_keys_of_related_calls_with_it(tmp_path: Path) -> None:
    pipeline = gated("discard-on-objection")
    one, other = pipeline.book.calls.values()
    one.related.append(other.id)  # two recordings, and signalling that ties them together later
    other.related.append(one.id)
    other.absorbed.append("11111111-0000-4000-8000-000000000000")
    gone = (one.id, other.id, *other.absorbed)
    with desk_of(tmp_path, pipeline) as desk:
        stays = "22222222-0000-4000-8000-000000000000"
        desk._registrar.keys.put([(recording, 0, "a capsule") for recording in (*gone, stays)])

        async def use(served: Served) -> None:
            found = await served.post(f"calls/{one.id}/consent", served.token("consent"), json={"decision": "refused"})
            assert found.status == 200
            assert desk._registrar.keys.recordings() == {stays}

        run_served(tmp_path, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))
    assert all(f'"rec":"{recording}"' in ledger(tmp_path) for recording in gone)


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("calls/nonsense/consent", {"decision": "agreed"}, 404, "no-such-call"),
        ("calls/00000000-0000-4000-8000-000000000000/consent", {"decision": "agreed"}, 404, "no-such-call"),
        ("calls/{}/consent", {"decision": "perhaps"}, 422, "invalid"),
        ("calls/{}/consent", {"decision": "agreed", "at": "2001-01-01T00:00:00Z"}, 422, "not-the-time"),
    ],
)
def test_what_decides_nothing_is_an_error(
    tmp_path: Path, path: str, body: dict[str, str], status: int, kind: str
) -> None:
    pipeline = gated("after-consent")

    async def use(served: Served) -> None:
        found = await served.post(path.format(first_of(pipeline)), served.token("consent"), json=body)
        assert found.status == status
        assert kind in json.dumps(found.problem)

    run(tmp_path, pipeline, use)

    assert not any(call.keeping.decisions for call in pipeline.book.calls.values())


def test_a_call_without_a_gate_is_a_conflict(tmp_path: Path) -> None:
    pipeline = gated("from-start")

    async def use(served: Served) -> None:
        found = await served.post(
            f"calls/{first_of(pipeline)}/consent", served.token("consent"), json={"decision": "agreed"}
        )
        assert (found.status, found.problem["type"]) == (409, "/problems/no-gate")

    run(tmp_path, pipeline, use)


def test_who_may_pause_may_not_consent(tmp_path: Path) -> None:
    pipeline = gated("after-consent")

    async def use(served: Served) -> None:
        token = served.token("pause", "read")
        found = await served.post(f"calls/{first_of(pipeline)}/consent", token, json={"decision": "agreed"})
        assert found.status == 403

    run(tmp_path, pipeline, use)


def test_what_was_decided_holds_when_everything_is_started_anew(tmp_path: Path) -> None:
    rules = RecordRules((RecordRule("hotline", Condition(callers=("1001",)), gate="after-consent"),), version="v1")
    pipeline, empty = gated("after-consent"), Pipeline(Settings(recording=rules))
    call_id = pipeline.book.calls[first_of(pipeline)].first.call_id

    async def use(served: Served) -> None:
        where = f"calls/{first_of(pipeline)}/consent"
        assert (await served.post(where, served.token("consent"), json={"decision": "refused"})).status == 200

    run(tmp_path, pipeline, use)
    with desk_of(tmp_path, empty):  # another run, whose worker has heard of no call yet
        pipeline_of(two_calls(), pipeline=empty)

    told = empty.book.call_with(call_id)
    assert told is not None
    assert told.keeping.shut_by == "refused"
    (other,) = (call for call in empty.book.calls.values() if call is not told)
    assert not other.keeping.shut_by


def test_a_worker_that_starts_anew_is_told_what_was_decided(tmp_path: Path) -> None:
    pipeline, next_one = gated("after-consent"), gated("after-consent")
    call_id = pipeline.book.calls[first_of(pipeline)].first.call_id
    with desk_of(tmp_path, pipeline) as desk:

        async def use(served: Served) -> None:
            where = f"calls/{first_of(pipeline)}/consent"
            assert (await served.post(where, served.token("consent"), json={"decision": "refused"})).status == 200
            desk.detach()
            desk.attach(worker_of(desk, next_one))

        run_served(tmp_path, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))

    told = next_one.book.call_with(call_id)
    assert told is not None
    assert told.keeping.shut_by == "refused"
