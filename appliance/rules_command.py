"""`vittne rules`: which rules there are, and which of them a capture would have met."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any, Final

from vittne.appliance.capturesettings import capture_settings
from vittne.appliance.config import Config
from vittne.appliance.keeping_command import keeping_lines, keeping_shown, key_for_trying, tried, tried_line
from vittne.appliance.policy.decide import PolicyRules, policy_rules
from vittne.appliance.ruleconfig import RuleConfig
from vittne.appliance.store.errors import StoreError
from vittne.appliance.terminal import clean
from vittne.capture.calls import Call
from vittne.capture.columns import Block
from vittne.capture.pausing import describe_call
from vittne.capture.pcapfile import CaptureFile, CaptureFileError
from vittne.capture.pipeline import Commit, Pipeline, Settings
from vittne.capture.rules import Then
from vittne.capture.slab import SlabRing
from vittne.capture.times import rfc3339

_SLAB_BYTES: Final = 64 << 20
_NEVER: Final = 1 << 61
_THEN: Final[dict[Then, str]] = {
    "pause": "pauses",
    "resume": "resumes",
    "agree": "is a yes to recording",
    "refuse": "is a no to recording",
    "keep": "keeps",
    "announced": "is the announcement in",
}


def show(config: Config, as_json: bool) -> int:
    """Print the rules in force; return the exit status."""
    if as_json:
        rules = [one.model_dump(mode="json", exclude_defaults=True) for one in config.rules]
        print(json.dumps([*rules, *keeping_shown(config)], indent=2))
        return 0
    if not config.rules:
        print("no rules: calls are paused over the API, and by digits alone")
    for one in config.rules:
        print(_line(one))
    for line in keeping_lines(config):
        print(clean(line))
    return 0


def _line(one: RuleConfig) -> str:
    what = {
        "request": f"{one.method or 'any request'}"
        + (f" with {one.header}: {one.value}" if one.header else "")
        + (f" and {one.body!r} in its body" if one.body else ""),
        "number": "calls to " + ", ".join((*one.numbers, *one.hosts)),
        "sdp": "a=record or a=recordpref in an SDP (RFC 7866)",
        "siprec": "a recording session (SIPREC) whose audio goes inactive, or comes back",
        "digits": f"{one.digits} keyed",
    }[one.on]
    who = [*(f"user {user}" for user in one.users), *(f"network {network}" for network in one.networks)]
    who += ["anyone"] if one.anyone else []
    then = "pauses or resumes" if one.on in ("sdp", "siprec") else _THEN[one.then]
    until = ", until they are left" if one.resume_on_leave else ""
    warning = "; anybody may, so recording does not start with it" if one.obeys_anybody else ""
    return clean(f"{one.name}: {what}{' by ' + ', '.join(who) if who else ''} {then} the call{until}{warning}")


def dry_run(config: Config, paths: list[str], as_json: bool) -> int:
    """Print what rules and digits would have paused in capture files; nothing is stored. Raises StoreError."""
    key, is_ours = key_for_trying(config)
    settings, policy = capture_settings(config, key), policy_rules(config)
    found: list[dict[str, Any]] = []
    for path in paths:
        found += _fired(path, settings, policy)
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    if not is_ours and any(rule.then == "percent" for rule in config.record):
        print("percent: this data directory chose no calls yet; those below are chosen at random")
    for one in found:
        if one["what"] == "call":
            print(clean(tried_line(one)))
            continue
        print(
            clean(f"{one['at']}  {one['what']:8} {one['by']}  {one['caller']} > {one['callee']}  {one['sip_call_id']}")
        )
    times = sum(one["what"] != "call" for one in found)
    print(f"{times} times" if times else "no rule would have fired")
    return 0


def _fired(path: str, settings: Settings, policy: PolicyRules) -> list[dict[str, Any]]:
    """Play a capture through a pipeline that writes nothing; return what was paused and resumed, and the calls."""
    pipeline = Pipeline(settings)
    capture = CaptureFile(Path(path), SlabRing(_SLAB_BYTES))
    held: deque[Block] = deque()
    calls: dict[str, Call] = {}
    found: list[dict[str, Any]] = []

    def commit(horizon: int, final: bool = False) -> None:
        calls.update(pipeline.book.calls)
        done = pipeline.commit(horizon, final)
        calls.update(pipeline.book.calls)
        found.extend(_told(done, calls))
        found.extend(tried(work.report, policy) for work in done.works if work.closed and work.report is not None)
        pipeline.all_written()
        while held and int(held[0].mono_ns[-1]) <= horizon:
            capture.slab.release(held.popleft())

    try:
        for block in capture.blocks():
            if block is None:
                commit(max(pipeline.now_mono - settings.hold_back_ns, int(held[len(held) // 2].mono_ns[-1])))
                continue
            pipeline.feed(block)
            held.append(block)
            commit(pipeline.now_mono - settings.hold_back_ns)
    except CaptureFileError as error:
        raise StoreError(str(error), path, "pcap and pcapng are read") from error
    commit(_NEVER, final=True)
    return found


def _told(done: Commit, calls: dict[str, Call]) -> list[dict[str, Any]]:
    rows = []
    for pause in done.pauses:
        call = next((calls[name] for name in pause.calls if name in calls), None)
        about = describe_call(call) if call is not None else {"caller": "", "callee": "", "sip_call_ids": [""]}
        rows.append(
            {
                "what": "resume" if pause.ended_by else "lease out" if pause.overdue else "pause",
                "at": rfc3339(pause.to_at if pause.ended_by else pause.from_at),
                "by": pause.ended_by or f"{pause.trigger} {pause.actor}",
                "caller": about["caller"],
                "callee": about["callee"],
                "sip_call_id": next(iter(about["sip_call_ids"]), ""),
            }
        )
    return rows
