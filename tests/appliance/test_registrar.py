"""The one writer: what a worker may ask of it, and what it may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recordings import record
from scenarios import basic

from vittne.appliance.protocol import CloseCalls, pack, parse_request
from vittne.appliance.registrar import CallClosed, Registrar
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
