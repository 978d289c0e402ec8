"""Settings that may be changed in the console: below the file, checked like it, in the trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api.test_logins import Console
from api.test_logins import run as run_console

from vittne.appliance.api.setup import SET_UP, set_up_of
from vittne.appliance.changeable import SETTINGS_FILE, as_toml, flat, read_settings
from vittne.appliance.config import load
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.errors import StoreError
from vittne.appliance.traffic import Traffic


def run(data: Path, use: Any, file: Path | None = None, **options: Any) -> None:
    async def with_set_up(console: Console) -> None:
        set_up = set_up_of(load(file, {"data": str(data), **options}, {}), file, {})
        console.served.app._state[SET_UP] = set_up  # the application runs already
        await console.add("root", "administrator")
        await console.log_in("root")
        await use(console)

    run_console(data, with_set_up)


def test_a_setting_is_changed_told_and_taken_back(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        body = {"values": {"access.idle_min": 5, "interfaces": ["eth7"]}}
        done = await console.ask("PATCH", "settings", json=body)
        assert done.json == {"changed": ["access.idle_min", "interfaces"], "at_start": ["interfaces"]}
        shown = {one["name"]: one for one in (await console.ask("GET", "settings")).json["settings"]}
        assert (shown["access.idle_min"]["value"], shown["interfaces"]["value"]) == (5, [])
        assert shown["interfaces"]["chosen"] == ["eth7"]
        assert load(None, {"data": str(tmp_path)}, {}).interfaces == ("eth7",)
        assert load(None, {"data": str(tmp_path), "interfaces": ["eth1"]}, {}).interfaces == ("eth1",)
        await console.ask("PATCH", "settings", json={"values": {"access.idle_min": None}})
        assert flat(read_settings(tmp_path)) == {"interfaces": ["eth7"]}
        rows = list(console.registrar.audit.table.search(AuditSearch(kinds=("settings",))))
        assert [row.details["after"] for row in rows] == [body["values"], {}]
        assert all(row.actor == "root" and row.entry is not None for row in rows)

    run(tmp_path, use)


@pytest.mark.parametrize(
    "values",
    [
        {"access.idle_min": 0},
        {"access.idle_min": "5"},
        {"data": "/"},
        {"keys.fips": False},
        {"interfaces": ["a/b"]},
        {"x": 1},
    ],
)
def test_what_is_wrong_or_not_for_here_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    async def use(console: Console) -> None:
        assert (await console.ask("PATCH", "settings", json={"values": values})).status == 422
        assert not (tmp_path / SETTINGS_FILE).exists()

    run(tmp_path, use)


def test_what_the_file_says_stands(tmp_path: Path) -> None:
    file = tmp_path / "vittne.toml"
    file.write_text("[access]\nidle_min = 7\n")

    async def use(console: Console) -> None:
        refused = await console.ask("PATCH", "settings", json={"values": {"access.idle_min": 5}})
        assert refused.problem["type"] == "/problems/set-elsewhere"
        assert (await console.ask("PATCH", "settings", json={"values": {"access.fresh_min": 5}})).status == 200
        assert load(file, {"data": str(tmp_path)}, {}).access.idle_min == 7

    run(tmp_path, use, file=file)


def test_a_settings_file_with_more_in_it_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text('data = "/etc"\n')
    with pytest.raises(StoreError, match="not for here"):
        load(None, {"data": str(tmp_path)}, {})


def test_text_stays_text_in_the_file(tmp_path: Path) -> None:
    values = {"interfaces": ['a"b', "c\\d", "é"], "access.second_factor": "off", "expiry.enabled": False}
    (tmp_path / SETTINGS_FILE).write_text(as_toml(values))
    assert flat(read_settings(tmp_path)) == values


def test_rates_are_what_came_between_two_looks(tmp_path: Path) -> None:
    counters = tmp_path / "eth1" / "statistics"
    counters.mkdir(parents=True)
    (tmp_path / "bonding_masters").write_text("")

    def count(packets: int) -> None:
        for name, value in {"rx_packets": packets, "rx_bytes": packets * 200, "rx_dropped": 0}.items():
            (counters / name).write_text(f"{value}\n")

    (tmp_path / "eth1" / "operstate").write_text("up\n")
    (tmp_path / "eth1" / "speed").write_text("1000\n")
    traffic = Traffic(tmp_path)
    count(1000)
    assert traffic.look(10.0)[0]["packets_per_s"] is None
    count(1200)
    assert traffic.look(10.1)[0]["packets_per_s"] is None  # too soon to tell
    [shown] = traffic.look(12.0)
    assert (shown["name"], shown["packets_per_s"], shown["bits_per_s"], shown["speed_mbit"]) == (
        "eth1",
        100.0,
        160000,
        1000,
    )
    count(5)  # counters began anew
    assert traffic.look(14.0)[0]["packets_per_s"] == 0.0


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("administrator", 200),
        ("engineer", 200),
        ("compliance", 403),
        ("auditor", 403),
        ("supervisor", 403),
        ("agent", 403),
    ],
)
def test_which_roles_set_a_recorder_up(tmp_path: Path, role: str, status: int) -> None:
    async def use(console: Console) -> None:
        await console.add("bo", role)
        await console.log_in("bo")
        for path in ("setup", "interfaces", "settings"):
            assert (await console.ask("GET", path)).status == status, path
        changed = await console.ask("PATCH", "settings", json={"values": {"expiry.hour": 4}})
        assert changed.status == status
        logins = await console.ask("PATCH", "settings", json={"values": {"access.second_factor": "off"}})
        assert logins.status == (200 if role == "administrator" else 403)
        call = await console.ask("POST", "setup/test-call")
        assert call.status == (409 if status == 200 else 403)  # it would not be recorded here

    run(tmp_path, use)
