"""The dashboard in docs/monitoring over a recorder that runs: a real Prometheus scrapes it, every panel finds data."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from rig.live import one_call, recording, send_frames
from rig.packets import sender_in
from rig.wire import Wire, house, wire

__all__ = ["house", "wire"]

pytestmark = pytest.mark.system

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "monitoring" / "vittne.json"
INSTANCE = "127.0.0.1:8443"
TALK_S = 14.0
CONFIG = """
commit_s = 0.5
[ring]
packets_per_s = 5000
[api]
metrics_from = ["127.0.0.0/8"]
"""
SCRAPE = """
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: vittne
    scheme: https
    tls_config: {{ ca_file: "{data}/tls/certificate.pem" }}
    static_configs: [{{ targets: ["{instance}"] }}]
"""


def queries() -> dict[str, str]:
    """Each query by its panel, with the dashboard's variables as Grafana would fill them in."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$job", "vittne").replace("$instance", INSTANCE)
            text = text.replace("$__rate_interval", "5s").replace("$__range", "30s")
            found[f"{panel['title']} {target['refId']}"] = text
    return found


def answers(asked: dict[str, str]) -> dict[str, Any]:
    found = {}
    for name, query in asked.items():
        at = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(at, timeout=10) as answer:
                found[name] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            found[name] = error.read().decode()
        except urllib.error.URLError:
            found[name] = []
    return found


def test_every_panel_of_the_dashboard_finds_data(wire: Wire, tmp_path: Path) -> None:
    data, config, scrape = tmp_path / "data", tmp_path / "vittne.toml", tmp_path / "prometheus.yml"
    config.write_text(CONFIG)
    scrape.write_text(SCRAPE.format(data=data, instance=INSTANCE))
    sender = sender_in(wire.phones, "voices")
    options = ["--interface", "mirror", "--hold-back", "2", "--config", str(config)]
    store = f"--storage.tsdb.path={tmp_path}/tsdb"
    strangers = [frame for frame in one_call(2.0).frames() if b"SIP/2.0" not in frame[1]]  # voices without signalling

    def play() -> None:
        send_frames(sender, strangers)
        send_frames(sender, one_call(TALK_S).frames())

    with recording(wire.recorder, data, *options) as recorder:
        command = ["prometheus", f"--config.file={scrape}", store, "--web.listen-address=127.0.0.1:9090"]
        with wire.recorder.process(*command, grace_s=10):
            playing = threading.Thread(target=play)
            playing.start()
            missing = queries()
            deadline = time.monotonic() + 60
            while missing and time.monotonic() < deadline:
                time.sleep(1)
                found = wire.recorder.call(answers, missing)
                missing = {name: query for name, query in missing.items() if not found[name] or "error" in found[name]}
            playing.join()
        recorder.stop()

    assert not missing, found


def test_the_dashboard_asks_only_for_metrics_that_the_page_names() -> None:
    page = (DASHBOARD.parents[1] / "metrics.md").read_text()
    there = set(re.findall(r"^\| `(vittne_\w+)` \|", page, re.MULTILINE))
    asked = {name.removesuffix("_bucket") for query in queries().values() for name in re.findall(r"vittne_\w+", query)}
    assert asked
    assert asked <= there
