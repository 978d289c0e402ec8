"""The alert rules in docs/monitoring: Prometheus' own tool reads them, and makes each of them fire."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).resolve().parents[2] / "docs" / "monitoring" / "alerts.yml"
PAGE = RULES.parents[1] / "metrics.md"
OURS = 'job="vittne",instance="a:8443"'
# What a recorder says that is well, by metric and its labels.
WELL = {
    "up": "1",
    "vittne_worker_silence_seconds": "2",
    "vittne_missed_packets_total": "0",
    "vittne_ring_occupancy_ratio": "0.3",
    'vittne_interface_up{interface="eth1"}': "1",
    'vittne_interface_packets_total{interface="eth1"}': "0+60000x2000",
    'vittne_calls_total{outcome="recorded"}': "0+10x2000",
    'vittne_calls_total{outcome="no-media"}': "0",
    'vittne_live_voices{site="Oslo",quality="good"}': "30",
    'vittne_live_voices{site="Oslo",quality="bad"}': "2",
    "vittne_pauses_overdue": "0",
    "vittne_disk_full_in_seconds": "8000000",
    "vittne_disk_free_bytes": "500",
    "vittne_disk_bytes": "1000",
    'vittne_commit_duration_seconds_bucket{le="0.1"}': "0+30x2000",
    'vittne_commit_duration_seconds_bucket{le="2.0"}': "0+30x2000",
    'vittne_commit_duration_seconds_bucket{le="+Inf"}': "0+30x2000",
    "vittne_worker_restarts_total": "0",
    "process_open_fds": "100",
    "process_max_fds": "1000",
    "vittne_clock_good": "1",
    'vittne_api_request_duration_seconds_bucket{le="0.1"}': "0+30x2000",
    'vittne_api_request_duration_seconds_bucket{le="5.0"}': "0+30x2000",
    'vittne_api_request_duration_seconds_bucket{le="+Inf"}': "0+30x2000",
    'vittne_stamps_late{authority="tsa"}': "0",
    "vittne_last_backup_time_seconds": "0+60x2000",
    'vittne_storage_lag_seconds{target="cellar"}': "0",
    'vittne_storage_recordings{target="cellar",state="damaged"}': "0",
    'vittne_queue_waiting{queue="webhooks given up"}': "0",
    "vittne_announcement_expected_calls": "100",
    "vittne_announcement_proven_calls": "99",
    'vittne_alarm{alarm="ring-full",weight="bad"}': "0",
}
# Each rule, and what goes wrong a day and a quarter after the begin for it to fire, and it alone.
WRONG = {
    "VittneDown": {"up": "0"},
    "VittneWorkerSilent": {"vittne_worker_silence_seconds": "45"},
    "VittnePacketsLost": {"vittne_missed_packets_total": "0+5x2000"},
    "VittneRingFilling": {"vittne_ring_occupancy_ratio": "0.9"},
    "VittneInterfaceDown": {'vittne_interface_up{interface="eth1"}': "0"},
    "VittneMirrorSilent": {'vittne_interface_packets_total{interface="eth1"}': "0+60000x1500 90000000x500"},
    "VittneCallsNotRecorded": {'vittne_calls_total{outcome="no-media"}': "0+1x2000"},
    "VittneVoicesBad": {'vittne_live_voices{site="Oslo",quality="bad"}': "20"},
    "VittnePauseOverdue": {"vittne_pauses_overdue": "1"},
    "VittneDiskFilling": {"vittne_disk_full_in_seconds": "100000"},
    "VittneCommitsSlow": {'vittne_commit_duration_seconds_bucket{le="0.1"}': "0"},
    "VittneWorkerRestarts": {"vittne_worker_restarts_total": "0+1x2000"},
    "VittneTooManyFiles": {"process_open_fds": "900"},
    "VittneClock": {"vittne_clock_good": "0"},
    "VittneApiSlow": {'vittne_api_request_duration_seconds_bucket{le="0.1"}': "0"},
    "VittneStampsLate": {'vittne_stamps_late{authority="tsa"}': "1"},
    "VittneBackupOld": {"vittne_last_backup_time_seconds": "-200000"},
    "VittneStorageBehind": {'vittne_storage_lag_seconds{target="cellar"}': "30000"},
    "VittneStorageDamaged": {'vittne_storage_recordings{target="cellar",state="damaged"}': "1"},
    "VittneWebhooksGivenUp": {'vittne_queue_waiting{queue="webhooks given up"}': "3"},
    "VittneNotAnnounced": {"vittne_announcement_proven_calls": "60"},
    "VittneAlarm": {'vittne_alarm{alarm="ring-full",weight="bad"}': "1"},
}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def case(fires: str, wrong: dict[str, str]) -> dict[str, Any]:
    """A day and nearly ten hours of samples a minute apart, and which alert fires at the end."""
    series = [{"series": _named(name), "values": _long(value)} for name, value in {**WELL, **wrong}.items()]
    found = [{"labels": f'{{alertname="{fires}"}}', "value": 1}] if fires else []
    expr = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": fires or "well",
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": expr, "eval_time": "1600m", "exp_samples": found}],
    }


def _named(name: str) -> str:
    plain, _, labels = name.partition("{")
    return f"{plain}{{{OURS}{',' + labels if labels else '}'}"


def _long(value: str) -> str:
    return value if "x" in value else f"{value}+0x2000"


def test_each_rule_fires_for_what_it_is_there_for_and_none_when_all_is_well(tmp_path: Path) -> None:
    tests = [case("", {}), *(case(name, wrong) for name, wrong in WRONG.items())]
    file = tmp_path / "alerts_test.yml"
    wanted = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(wanted))  # JSON is YAML
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {rule["alert"] for rule in rules()} == WRONG.keys()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_metrics_that_there_are_and_says_what_to_do(rule: dict[str, Any]) -> None:
    there = set(re.findall(r"^\| `(vittne_\w+)` \|", PAGE.read_text(), re.MULTILINE))
    asked = {name.removesuffix("_bucket") for name in re.findall(r"\bvittne_\w+", rule["expr"])}
    assert asked <= there
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["description"]) > 40
