"""What a recorder looks like from outside: its processes through /proc, its metrics, a pause that is asked for.

A sample is a flat dict of numbers. Of every process of a role, summed up: private memory and what is resident with the
ring, MiB; open descriptors; threads; CPU seconds so far.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import ssl
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
KIB_A_MIB: Final = 1024
ADDRESS: Final = "https://localhost:8443"
ANSWER_S: Final = 10.0
ROLES: Final = {
    "vittne.appliance.worker": "worker",
    "vittne.appliance.analysis.child": "analysis",
    "vittne.appliance.keyring.process": "keys",
}
GAUGES: Final = {
    "vittne_ring_occupancy_ratio": "ring",
    "vittne_loop_delay_p99_seconds": "loop_delay_p99_s",
    "vittne_commit_behind_seconds": "commit_behind_s",
    "vittne_recordings_open": "recordings_open",
    "vittne_recordings_closing": "recordings_closing",
    "vittne_missed_packets_total": "missed",
    "vittne_ring_drops_total": "ring_drops",
    "vittne_rtp_packets_total": "rtp_packets",
    "vittne_worker_restarts_total": "worker_restarts",
    "vittne_recordings_bytes": "recordings_bytes",
    "vittne_database_bytes": "database_bytes",
    "vittne_ledger_entries": "ledger_entries",
    "vittne_commit_duration_seconds_count": "commits",
    "vittne_commit_duration_seconds_sum": "commits_s",
}
BUCKET: Final = 'vittne_commit_duration_seconds_bucket{le="'


def family(pid: int) -> list[tuple[int, str]]:
    """Return a process and all that descend from it, each with its role."""
    found: list[tuple[int, str]] = []
    look = [pid]
    while look:
        one = look.pop()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                look += map(int, (task / "children").read_text().split())
            words = Path(f"/proc/{one}/cmdline").read_text().split("\0")
            role = next((ROLES[word] for word in words if word in ROLES), "other")
            found.append((one, "parent" if one == pid else role))
    return found


def processes(pid: int) -> dict[str, float]:
    """Return the figures of a recorder's processes by role."""
    sums: defaultdict[str, float] = defaultdict(float)
    for one, role in family(pid):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            sums[f"{role}_cpu_s"] += (int(words[11]) + int(words[12])) * TICK_S
            sums[f"{role}_fds"] += len(os.listdir(f"/proc/{one}/fd"))
            sums[f"{role}_processes"] += 1
            status = dict(
                line.split(":", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines() if ":" in line
            )
            sums[f"{role}_threads"] += int(status["Threads"])
            for name, key in (("private_mib", "RssAnon"), ("resident_mib", "VmRSS")):
                sums[f"{role}_{name}"] += int(status.get(key, "0").split()[0]) / KIB_A_MIB
    return {name: round(value, 3) for name, value in sorted(sums.items())}


def trust(data: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(data / "tls" / "certificate.pem"))


def metrics(data: Path) -> dict[str, float]:
    """Ask for the metrics; to be run where the recorder's loopback is."""
    with urllib.request.urlopen(f"{ADDRESS}/metrics", timeout=ANSWER_S, context=trust(data)) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        short = GAUGES.get(name.partition("{")[0])
        if short is not None:
            found[short] = max(found.get(short, 0.0), float(value))
        elif name.startswith(BUCKET):
            found["commit_le_" + name.removeprefix(BUCKET).removesuffix('"}')] = float(value)
        elif name.startswith("vittne_dropped_packets_total") and 'weight="lost"' in name:
            found["dropped_lost"] = found.get("dropped_lost", 0.0) + float(value)
        elif name.startswith("vittne_alarm{"):
            found["alarms"] = found.get("alarms", 0.0) + float(value)
    return found


def pause(data: Path, token: str, calls: int) -> dict[str, float]:
    """Have some call paused and go on at once; return how long the answer to the pause took."""
    extension = f"2{random.SystemRandom().randrange(calls):05d}"
    begun = time.perf_counter()
    answer = post(data, token, "pauses", {"select": {"extension": extension}, "reason": "benchmark"})
    took = time.perf_counter() - begun
    if not answer.get("id"):
        return {}  # it was between two calls
    post(data, token, f"pauses/{answer['id']}/resume", {})
    return {"pause_ms": round(1000 * took, 2)}


def post(data: Path, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer; {} where it was refused."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{ADDRESS}/api/v1/{path}", json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_S, context=trust(data)) as answer:
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
            return found
    except urllib.error.HTTPError:
        return {}


def ask(data: Path, token: str, calls: int) -> dict[str, float]:
    """Ask the recorder for everything; asked_s: how long its metrics took."""
    found: dict[str, float] = {}
    try:
        begun = time.perf_counter()
        found |= metrics(data)
        found["metrics_ms"] = round(1000 * (time.perf_counter() - begun), 2)
        found |= pause(data, token, calls)
    except OSError:
        found["unanswered"] = 1.0
    return found
