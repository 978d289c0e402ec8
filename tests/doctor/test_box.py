"""What the doctor says of a box: each check on values, one thing wrong at a time, and the real machine under them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vittne.appliance.clock.state import ClockState
from vittne.appliance.config import checked
from vittne.appliance.doctor.asking import recorder_facts
from vittne.appliance.doctor.boxfacts import Box, Card, look_at_box, open_files
from vittne.appliance.doctor.disk import DiskSpeed, measure
from vittne.appliance.doctor.examine import BOX_CHECKS, report_on_box
from vittne.appliance.doctor.finding import Finding
from vittne.appliance.doctor.recorderfacts import RecorderFacts, read_facts
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import DiskState
from vittne.appliance.protocol import Status
from vittne.capture.interfaces import ARPHRD_ETHER, Drops, Interface
from vittne.capture.ringsize import size_for

GIB = 1 << 30
ETH1 = Interface("eth1", 2, True, ARPHRD_ETHER, 1500, "", 1, Drops(0, 0, 0, 0), 1000)
CARD = Card("eth1", ETH1, (), {}, 1000, size_for(100_000))
LIVE = RecorderFacts(("eth1",), 3600.0, 1.0, 0.5, 1, 5000.0, {"eth1": 5000.0}, 0.3, 12, "unlocked")
CLOCK = ClockState("chrony", True, 5, 200)
SPACE = DiskState(
    total_bytes=1000 * GIB, free_bytes=600 * GIB, bytes_per_day=GIB, days_left=600.0, recordings_bytes=GIB
)
BOX = Box(
    config=checked({"interfaces": ["eth1"]}, "the test"),
    recorder=LIVE,
    cards=(CARD,),
    clock=CLOCK,
    space=SPACE,
    speed=DiskSpeed(400e6, 0.01, 1 << 25),
    certificate_days=200.0,
    is_own=True,
)


def wrong(box: Box) -> dict[str, str]:
    """Return the weights of what is not good."""
    found = [one for check in BOX_CHECKS if (one := check(box)) is not None]
    return {one.name: one.weight for one in found if one.weight != "good"}


def found(box: Box, name: str) -> Finding:
    return next(one for check in BOX_CHECKS if (one := check(box)) is not None and one.name == name)


def with_card(**more: Any) -> Box:
    return replace(BOX, cards=(replace(CARD, **more),))


def test_the_guide_has_every_finding_and_no_other() -> None:
    root = Path(__file__).resolve().parents[2]
    sources = [path.read_text() for path in (root / "appliance" / "doctor").glob("*_checks.py")]
    names = {name for text in sources for name in re.findall(r'Finding\(\s*"([a-z-]+)"', text)}

    assert set(re.findall(r"^\| `([a-z][a-z-]+)` \|", (root / "docs" / "doctor.md").read_text(), re.MULTILINE)) == names


def test_of_a_box_that_is_well_nothing_is_to_be_said() -> None:
    assert wrong(BOX) == {}


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (replace(BOX, cards=(Card("eth9", None),)), {"interface": "bad"}),
        (with_card(found=replace(ETH1, has_link=False)), {"interface": "bad"}),
        (with_card(found=replace(ETH1, promiscuous=0)), {"interface": "bad"}),
        (with_card(found=replace(ETH1, mtu=1400)), {"interface": "warn"}),
        (with_card(offloads=("gro", "lro")), {"offloads": "warn"}),
        (with_card(lost={"rx_missed_errors": 7}), {"card-losses": "note"}),
        (with_card(ring=size_for(6000)), {"ring": "warn"}),
        (replace(BOX, recorder=replace(LIVE, occupancy=0.9)), {"ring": "bad"}),
        (replace(BOX, recorder=replace(LIVE, quiet_s=900.0)), {"mirror-silent": "bad"}),
        (replace(BOX, recorder=replace(LIVE, told_s_ago=60.0)), {"recorder": "bad"}),
        (replace(BOX, recorder=replace(LIVE, workers=3)), {"recorder": "warn"}),
        (replace(BOX, recorder=replace(LIVE, alarms=("packets-lost",))), {"alarms": "warn"}),
        (replace(BOX, recorder=replace(LIVE, keys="locked")), {"keys": "note"}),
        (replace(BOX, recorder=None), {"recorder": "warn"}),
        (replace(BOX, recorder=None, holder="process 7 (a backup)"), {"recorder": "warn"}),
        (replace(BOX, clock=replace(CLOCK, synchronised=False)), {"clock": "bad"}),
        (replace(BOX, clock=replace(CLOCK, max_error_us=5_000_000)), {"clock": "warn"}),
        (replace(BOX, space=SPACE.model_copy(update={"days_left": 3.0})), {"disk-space": "bad"}),
        (replace(BOX, space=SPACE.model_copy(update={"days_left": 20.0})), {"disk-space": "warn"}),
        (replace(BOX, space=SPACE.model_copy(update={"free_bytes": GIB})), {"disk-space": "bad"}),
        (replace(BOX, speed=DiskSpeed(1e6, 0.1, 1 << 20)), {"disk-speed": "bad"}),
        (replace(BOX, speed=DiskSpeed(400e6, 1.5, 1 << 25)), {"disk-speed": "warn"}),
        (replace(BOX, speed=None, disk_problem="Read-only file system"), {"disk-speed": "bad"}),
        (replace(BOX, open_files=("/srv/vittne/keys/keyring.json",)), {"permissions": "bad"}),
        (replace(BOX, certificate_days=-1.0), {"certificate": "bad"}),
        (replace(BOX, certificate_days=10.0, is_own=False), {"certificate": "warn"}),
        (replace(BOX, certificate_days=10.0), {}),
        (replace(BOX, certificate_problem="no PEM"), {"certificate": "bad"}),
        (replace(BOX, lacking=("no backup is configured",)), {"keys": "warn"}),
    ],
)
def test_one_thing_wrong_is_the_one_thing_that_is_found(box: Box, expected: dict[str, str]) -> None:
    assert wrong(box) == expected


def test_one_of_two_interfaces_that_is_silent_is_half_of_every_call() -> None:
    live = replace(LIVE, interfaces=("eth1", "eth2"), rates={"eth1": 5000.0, "eth2": 0.0})

    silent = found(replace(BOX, recorder=live), "mirror-silent")

    assert silent.weight == "bad"
    assert "eth2" in str(silent.words)


def test_the_remedy_of_merging_is_a_command_that_names_the_card() -> None:
    assert "ethtool -K eth1 gro off lro off" in str(found(with_card(offloads=("gro", "lro")), "offloads").remedy)


def test_a_gate_wants_memory_that_may_be_locked() -> None:
    gated = checked({"record": [{"name": "all", "gate": "after-consent", "consent_key": "1"}]}, "the test")
    box = replace(BOX, recorder=None, config=gated)

    assert "locked-memory" in wrong(replace(box, locked_bytes=8 << 20))
    assert "locked-memory" not in wrong(box)


def test_keys_that_others_may_read_are_named_and_those_in_a_shut_folder_are_not(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "keyring.json").write_text("{}")
    (keys / "keyring.json").chmod(0o644)
    tmp_path.chmod(0o755)
    assert open_files(tmp_path) == (str(keys / "keyring.json"),)

    tmp_path.chmod(0o700)
    assert open_files(tmp_path) == ()


def test_a_configuration_with_a_password_is_nobody_elses(tmp_path: Path) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text('password = "x"\n')
    config.chmod(0o644)

    assert open_files(tmp_path / "data", config) == (str(config),)
    config.write_text('interfaces = ["eth1"]\n')
    assert open_files(tmp_path / "data", config) == ()


def test_trying_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    speed = measure(tmp_path)

    assert speed is not None
    assert speed.written >= 2 << 20
    assert speed.bytes_per_s > 0
    assert list(tmp_path.iterdir()) == []


def test_this_machine_is_looked_at_as_it_is(tmp_path: Path) -> None:
    config = checked({"data": str(tmp_path), "interfaces": ["lo", "no-such-card"]}, "the test")

    box = look_at_box(config, None, None)
    report = report_on_box(config, None, None)

    assert box.cards[0].found is not None
    assert box.cards[1].found is None
    by_name = {one.name: one for one in report.findings}
    assert by_name["interface"].weight == "bad"
    assert "no-such-card" in str(by_name["interface"].words)
    assert {"recorder", "permissions", "disk-speed", "clock"} <= by_name.keys()
    assert report.verdict == "bad"


def test_what_a_recorder_says_of_itself_comes_over_as_it_was_said() -> None:
    hub = Hub(("eth1",))
    told: dict[str, Any] = {
        "frames": 10,
        "packets": 5,
        "outcomes": {},
        "live_calls": 1,
        "occupancy": 0.1,
        "position": [],
    }
    drops, seen = {"kernel": {"eth1": 3}}, {"frames": {"encap vlan": 9}}
    hub.capture.note(Status(**told, drops=drops, seen=seen), 100.0)

    facts = recorder_facts(hub, "locked")

    assert facts.counters == {"kernel": {"eth1": 3}, "frames": {"encap vlan": 9}}
    assert facts.keys == "locked"
    again = read_facts({name: getattr(facts, name) for name in facts.__slots__})
    assert again == facts


def test_packets_the_kernel_dropped_are_found_on_the_tap_of_a_recorder(tmp_path: Path) -> None:
    live = replace(
        LIVE, interfaces=("lo",), counters={"kernel": {"lo": 3}, "media": {"frames": 1000, "sip requests": 9}}
    )
    config = checked({"data": str(tmp_path), "interfaces": ["lo"]}, "the test")

    report = report_on_box(config, live, None)

    by_name = {one.name: one.weight for one in report.findings}
    assert by_name["drops"] == "bad"
    assert by_name["traffic"] == "good"
