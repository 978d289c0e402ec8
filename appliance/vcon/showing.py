"""What `vittne show` says of a recording that was imported: where it came from, and what of it is kept."""

from __future__ import annotations

from typing import Any, Final

from vittne.appliance.store.rows import CallRow
from vittne.appliance.terminal import clean

SIGNATURES: Final = {
    "none": "not signed",
    "not-checked": "signature not checked: no certificate was beside it",
    "holds": "its signature holds, by a key that nobody vouched for",
    "trusted": "its signature is by who was trusted",
}
_COUNTS: Final = {
    "keys_left_out": "keys pressed, left out",
    "keys_silenced": "keys heard as tones, silenced",
    "numbers_masked": "card numbers or codes, masked",
}
_DIALOGS: Final = 50


def imported_lines(row: CallRow) -> list[str]:
    """Return lines; none for a recording that was captured."""
    told = row.details.get("imported")
    if not isinstance(told, dict):
        return []
    signed = SIGNATURES.get(str(told.get("signature")), "")
    signer = f" ({clean(told['signer'])})" if told.get("signer") else ""
    lines = [
        "not captured here: it is what the file says, and proves no more",
        f"vCon {clean(told.get('uuid', ''))}, made {clean(told.get('created_at', ''))}, {clean(told.get('form', ''))}",
        f"SHA-256 {clean(told.get('sha256', ''))} of {clean(told.get('bytes', 0))} bytes; {signed}{signer}",
        f"kept {clean(told.get('kept', ''))}{_GONE if told.get('kept') == 'cleaned' else ''}",
        *(f"{told[name]} {words}" for name, words in _COUNTS.items() if isinstance(told.get(name), int) and told[name]),
    ]
    left = told.get("left_out")
    lines += [f"left out: {count} of {clean(kind)}" for kind, count in (left.items() if isinstance(left, dict) else ())]
    lines += [_dialog(one) for one in _dicts(told, "dialogs")[:_DIALOGS]]
    lines += [_media(one) for one in _dicts(told, "media")]
    proof = told.get("proof")
    if isinstance(proof, dict):
        lines.append(
            f"its maker's proof: recording {clean(proof.get('recording', ''))}, {clean(proof.get('ledger', ''))}"
        )
    lines += [f"{name} at its maker: {len(told[name])}" for name in ("pauses", "cuts", "gaps") if told.get(name)]
    related = row.details.get("related")
    lines += [f"belongs to recording {clean(one)}" for one in (related if isinstance(related, list) else ())]
    return lines


_GONE: Final = ": the file itself held what no recording may, so its signature cannot be checked again"


def _dialog(one: dict[str, Any]) -> str:
    words = " ".join(clean(one[name]) for name in ("type", "start", "mediatype", "disposition") if name in one)
    return f"dialog {clean(one.get('dialog', ''))}: {words}"


def _media(one: dict[str, Any]) -> str:
    rate, samples = one.get("rate"), one.get("samples")
    length = f"{samples / rate:.1f} s" if isinstance(rate, int) and isinstance(samples, int) and rate else ""
    made = "" if one.get("kept") == "as it came" else ", made anew"
    what = f"{clean(one.get('codec', ''))} at {clean(rate)} Hz, {clean(one.get('channels', ''))} channels"
    return f"sound of dialog {clean(one.get('dialog', ''))}: {what}, {length}{made}"


def _dicts(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    some = told.get(name)
    return [one for one in some if isinstance(one, dict)] if isinstance(some, list | tuple) else []
