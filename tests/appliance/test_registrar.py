"""The one writer: what a worker may ask of it, and what it may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recordings import record
from scenarios import basic

from vittne.appliance.protocol import CloseCalls, pack, parse_request
from vittne.appliance.registrar import CallClosed, PartOpened, Registrar
from vittne.appliance.seal.keys import make_capsule
from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.errors import StoreError


@pytest.mark.parametrize(
    "folder",
    ["../../etc", "/etc", "2026/01/01/.00000000-0000-0000-0000-000000000000", "2026/01/01/{id}", "2026/1/1/.{id}"],
)
def test_a_worker_can_name_no_folder_but_that_of_its_call(folder: str, tmp_path: Path) -> None:
    found = record(basic.basic_call(), tmp_path)
    report = found.call.as_json()
    registrar = Registrar(found.data)
    try:
        for keep in (True, False):
            with pytest.raises(StoreError, match="no folder of that call"):
                registrar.close_calls([CallClosed(report, folder.format(id=report["id"]), keep=keep)])
    finally:
        registrar.close()


def test_what_is_no_request_is_refused() -> None:
    for text in (b"", b"{}", b"[]", b'{"kind":"erase"}', b'{"kind":"open-parts","parts":[{"recording_id":1}]}'):
        with pytest.raises(ValueError):  # noqa: PT011 - pydantic's own words
            parse_request(text)


def test_a_request_comes_back_as_it_was_sent() -> None:
    report = {"id": "1", "outcome": "recorded", "streams": [], "outcome_reasons": []}
    sent = CallClosed(report, "2026/01/01/.x", meta_sha256="ab", keep=False)
    packed = pack(CloseCalls([sent]))
    assert json.loads(packed[4:])["kind"] == "close-calls"
    request = parse_request(packed[4:])
    assert isinstance(request, CloseCalls)
    assert request.calls == [sent]


def test_a_folder_that_is_discarded_stays_until_the_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a crash in between leaves something begun of which nobody can say what became."""
    found = record(basic.basic_call(), tmp_path)
    recording = "11111111-2222-4333-8444-555555555555"
    report = {**found.call.as_json(), "id": recording, "outcome": "discarded-by-policy"}
    registrar = Registrar(found.data)
    folder = registrar.store.open_recording(recording, found.call.started_us)
    (folder / "part-0.floe").write_bytes(b"x")
    registrar.open_parts([PartOpened(recording, 0, make_capsule(registrar.public, bytes(32), recording, 0))])
    gone = CallClosed(report, str(folder.relative_to(registrar.store.recordings_dir)), keep=False)

    def full() -> None:
        raise StoreError("no space left on the disk", tmp_path, "free space")

    with monkeypatch.context() as patch:
        patch.setattr(registrar.ledger, "flush", full)
        with pytest.raises(StoreError, match="no space"):
            registrar.close_calls([gone])
    assert folder.exists()
    assert not registrar.keys.parts(recording)

    registrar.close_calls([gone])
    registrar.close()
    assert not folder.exists()
    assert all(verdict.ok for verdict in verify_all(found.data))
