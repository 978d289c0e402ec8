"""What `vittne rules` says of recording rules, classes and grounds, and of each call of a capture under them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final

from vittne.appliance.config import Config
from vittne.appliance.policy.classes import RetentionClass
from vittne.appliance.policy.config import BasisConfig, RetentionConfig, classes
from vittne.appliance.policy.decide import PolicyRules, decide
from vittne.appliance.recordconfig import RecordConfig, keeping_json
from vittne.appliance.samplingkey import FILE, sampling_key
from vittne.appliance.verdicts.judge import NO_VERDICT

_GATES = {
    "from-start": "",
    "after-announcement": ", once the PBX or a rule says that the announcement was played",
    "after-consent": ", once somebody agreed",
    "discard-on-objection": ", unless somebody objects",
}


_PLAYED_BY: Final = {
    "ours": "our side",
    "caller": "the caller",
    "callee": "the callee",
    "either": "either party",
}


def keeping_lines(config: Config) -> Iterator[str]:
    """Yield the rules of keeping, a line each."""
    for one in config.record:
        yield f"record {one.name}: {one.told()}: {_then(one)}"
    if config.record:
        yield "record: every other call is recorded"
    known = classes(config.classes)
    for kept in config.retention:
        yield f"retention {kept.name}: {kept.told()}: class {kept.class_} ({_class(known[kept.class_])})"
    if config.retention and config.retention[-1].told() != "all calls":
        yield "retention: every other recording has no class: no lock, no end"
    for ground in config.basis:
        yield f"basis {ground.name}: {ground.told()}: {ground.lawful_basis}, for {ground.purpose}; {_proof(ground)}"
    for notice in config.announcement:
        yield f"announcement {notice.name}: {notice.told()}: {notice.wanted()}"
    if config.announcement and config.announcement[-1].told() != "all calls":
        yield "announcement: every other call need not be announced"


def keeping_shown(config: Config) -> list[dict[str, Any]]:
    """Return the same as values: each says which table it is of."""
    values = keeping_json(config)
    tables = ("record", "classes", "retention", "basis", "announcement")
    return [{"table": table, **one} for table in tables for one in values.get(table, ())]  # type: ignore[attr-defined]


def _then(one: RecordConfig) -> str:
    keys = [f"{key} says {what}" for key, what in ((one.consent_key, "yes"), (one.refuse_key, "no")) if key]
    pressed = f" ({one.key_from}'s key {', '.join(keys)}, {one.key_within_s:g} s long)" if keys else ""
    if one.then == "exclude":
        return "not recorded"
    if one.then == "on-demand":
        return f"recorded if somebody asks before it ends; out of memory: {one.at_limit}"
    what = f"{one.percent:g} % are recorded" if one.then == "percent" else "recorded"
    limit = f"; out of memory: {one.at_limit}" if one.gate.startswith("after-") else ""
    heard = f" (played by {_PLAYED_BY[one.side]})" if one.gate != "from-start" else ""
    return what + _GATES[one.gate] + heard + pressed + limit


def _class(one: RetentionClass) -> str:
    end = f"erased after {one.greatest}" if one.greatest else f"kept for ever, {one.owner} answers for it"
    return f"locked {one.least}, {end}" if one.least else f"no lock, {end}"


def _proof(one: BasisConfig | RetentionConfig) -> str:
    assert isinstance(one, BasisConfig)
    return {"none": "no proof", "document": f"proof {one.reference}"}.get(one.proof, f"proof: {one.proof} of the call")


def key_for_trying(config: Config) -> tuple[bytes, bool]:
    """Return the sampling key and whether it is the recorder's; nothing is made where there is none."""
    if (config.data / "keys" / FILE).exists():
        return sampling_key(config.data), True
    return secrets.token_bytes(32), False


def tried(report: dict[str, Any], rules: PolicyRules) -> dict[str, Any]:
    """Return what rules make of a call."""
    ruled = report["details"]["recording_rule"] or {"rule": "", "recorded": True, "gate": "from-start"}
    is_kept = report["outcome"] in ("recorded", "partial", "paused-throughout")
    policy = decide(report, rules)
    verdict = policy.verdict or NO_VERDICT
    return {
        "what": "call",
        "at": report["started_at"],
        "caller": report["caller"],
        "callee": report["callee"],
        "sip_call_id": next(iter(report["call_ids"]), ""),
        "outcome": report["outcome"],
        "outcome_reasons": report["outcome_reasons"],
        "recording_rule": ruled["rule"],
        "recorded": ruled["recorded"],
        "gate": ruled["gate"],
        "class": policy.class_,
        "retention_rule": policy.rule,
        "lawful_basis": policy.basis.get("lawful_basis", ""),
        "basis_rule": policy.basis.get("rule", ""),
        "proven": bool(policy.basis.get("proven")),
        "announcement_rule": verdict.rule,
        "announcement_expected": verdict.expected,
        "announced": verdict.announced,
        "kept": is_kept,
    }


def tried_line(one: dict[str, Any]) -> str:
    """Return the same as a line."""
    rule = f"by {one['recording_rule']}" if one["recording_rule"] else "no rule asked"
    gate = "" if one["gate"] == "from-start" or not one["recorded"] else f", gate {one['gate']}"
    kept = f"class {one['class']} by {one['retention_rule']}" if one["class"] else "no class"
    proven = "" if one["proven"] else ", not proven"
    ground = f"{one['lawful_basis']} by {one['basis_rule']}{proven}" if one["lawful_basis"] else "no basis"
    what = "recorded" if one["recorded"] else "left out"
    notice = ""
    if one["announcement_rule"]:
        wanted = "announcement wanted" if one["announcement_expected"] else "no announcement wanted"
        notice = f"; {wanted} by {one['announcement_rule']}"
    return (
        f"{one['at']}  call     {what} {rule}{gate}; {kept}; {ground}{notice}  "
        f"{one['caller']} > {one['callee']}  {one['sip_call_id']}"
    )
