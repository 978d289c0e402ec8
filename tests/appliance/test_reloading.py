"""A configuration that is read anew: all of it or nothing, and what cannot be used changes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from vittne.appliance.alarming.desk import desk_of
from vittne.appliance.alarming.notice import trial
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, TlsError, files_of, utc_now
from vittne.appliance.config import Config, checked, load
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.registrar import Registrar
from vittne.appliance.reloading import AT_ONCE, Reloader, compare
from vittne.appliance.seal import events
from vittne.appliance.service.service import Service
from vittne.appliance.store.audit import AuditSearch, AuditTable

DOCS = Path(__file__).resolve().parents[2] / "docs"


async def at_once(work: Callable[..., Any], *given: Any) -> Any:
    return work(*given)


class Heard:
    """Goes by configurations, and remembers them."""

    def __init__(self) -> None:
        self.used: list[Config] = []

    def prepare(self, config: Config) -> Callable[[], None]:
        return lambda: self.used.append(config)


def reloads(tmp_path: Path, before: str, *after: str) -> tuple[list[bool], list[Config], list[Any], list[str]]:
    """Begin with a text, read others; return what came of each, what was used, the log, and keys in the trail."""
    file, data = tmp_path / "vittne.toml", tmp_path / "data"
    file.write_text(before)

    def read() -> Config:
        return load(file, {"data": data}, {})

    registrar = Registrar(data)
    try:
        reloader, heard = Reloader(read(), read, registrar, Service()), Heard()
        reloader.followers.append(heard)
        results = []
        with capture_logs() as lines:
            for text in after:
                file.write_text(text)
                results.append(asyncio.run(reloader.once(at_once)))
        trail = AuditTable(registrar.catalogue).search(AuditSearch(kinds=(events.CONFIGURED,)))
        return results, heard.used, lines, [key for one in trail for key in one.details["changed"]]
    finally:
        registrar.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[alarms\n", "no TOML"),
        ("[alarms]\nno_such_key = 1\n", "there is no such key"),
        ("[alarms]\ndisk_free_percent = 900.0\n", "disk_free_percent"),
        ('[approval]\nearly = ["nothing"]\n', "there is no class"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_an_alarm(tmp_path: Path, text: str, words: str) -> None:
    results, used, lines, _ = reloads(tmp_path, "", text, "[alarms]\ndisk_days = 3.0\n")

    assert results == [False, True]
    assert [one.alarms.disk_days for one in used] == [3.0]
    refused, over = lines[0], lines[1]
    assert refused["event"] == "alarm: the configuration cannot be used; the one before stays in force"
    assert words in refused["reason"]
    assert over["event"] == "the configuration can be used again"


def test_a_section_that_cannot_change_keeps_its_value_and_is_named(tmp_path: Path) -> None:
    after = "hold_back_s = 9.0\n[alarms]\ndisk_days = 3.0\n"

    results, used, lines, trail = reloads(tmp_path, "", after)

    assert results == [True]
    assert (used[0].hold_back_s, used[0].alarms.disk_days) == (5.0, 3.0)
    assert [line["sections"] for line in lines if "sections" in line] == [("hold_back_s",)]
    assert "alarms.disk_days" in str(trail) or "alarms" in trail
    assert "hold_back_s" not in trail


def test_where_new_and_old_do_not_go_together_everything_waits() -> None:
    before = checked(
        {"store": {"when_full": "erase-oldest-allowed", "erase_below_percent": 4.0, "erase_to_percent": 9.0}}, ""
    )
    read = checked({"alarms": {"disk_free_percent": 2.0}}, "")

    found = compare(before, read)

    assert found.in_force == before
    assert (found.changed, set(found.waiting)) == ((), {"alarms", "store"})


def test_a_channel_that_stays_keeps_what_it_has_not_told() -> None:
    def config(host: str) -> Config:
        mail = {"name": "duty", "host": host, "sender": "a@example.org", "to": ["b@example.org"]}
        return checked({"alarms": {"mail": [mail]}}, "")

    desk = desk_of(Alarms(), config("old.example.org").alarms)
    desk.ways[0].offer(trial(1))

    desk.prepare(config("new.example.org"))()

    assert [(one["name"], one["waiting"]) for one in desk.channels()] == [("duty", 1)]


def test_a_key_of_another_certificate_is_refused_and_the_old_pair_serves_on(tmp_path: Path) -> None:
    settings = ApiSettings()
    certificate = ServerCertificate(files_of(tmp_path, settings), utc_now())
    (tmp_path / "other").mkdir()
    other = ServerCertificate(files_of(tmp_path / "other", settings), utc_now())
    was = certificate.fingerprint
    certificate.files.key.write_bytes(other.files.key.read_bytes())

    with pytest.raises(TlsError):
        certificate.prepare(Config())
    assert certificate.fingerprint == was
    certificate.files.certificate.write_bytes(other.files.certificate.read_bytes())
    certificate.prepare(Config())()

    assert certificate.fingerprint == other.fingerprint


def test_the_documentation_says_of_each_section_when_it_counts() -> None:
    row = re.search(r"from the next start on \|\n\| --- \| --- \|\n\|(.*)\|(.*)\|", (DOCS / "settings.md").read_text())

    assert row is not None
    at_once, later = (set(re.findall(r"`(\w+)`", cell)) for cell in row.groups())
    assert at_once == AT_ONCE
    assert later == set(Config.model_fields) - AT_ONCE
