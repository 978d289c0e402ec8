"""`vittne vcon check`: what a vCon says, and whether it holds. Exit status: 0 nothing is wrong, 1 something is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.errors import StoreError
from vittne.appliance.terminal import GREEN, RED, YELLOW, clean, painted
from vittne.appliance.vcon.reading import BadVcon, Reading, read_vcon

_SHOWN = 100


def check(path: Path, key_file: Path | None, data_dir: Path | None, as_json: bool) -> int:
    """Check a vCon and show it; return the exit status. data_dir: to say whether it is one of this recorder's."""
    try:
        found = read_vcon(path, key_file)
    except BadVcon as error:
        raise StoreError(f"this vCon cannot be taken: {error}", path, "ask who sent it") from error
    _is_ours(found, data_dir)
    if as_json:
        told = {"form": found.form, "signer": found.signer, "digit_events_left_out": found.digits}
        checks = {"holds": found.good, "wrong": found.wrong, "not_checked": found.open}
        print(json.dumps({**told, **checks, "vcon": _without_bodies(found.vcon)}, indent=2))
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 1 if found.wrong else 0


def _is_ours(found: Reading, data_dir: Path | None) -> None:
    if data_dir is None or not found.signer_key or not (data_dir / "keys").is_dir():
        return
    key = load_verifier(data_dir / "keys")
    if found.signer_key in [one.public for one in (key, *key.former)]:
        found.good.append("that is the key of this recorder's ledger")
    else:
        found.open.append("it was not signed by this recorder: whom the key belongs to must be known from elsewhere")


def _lines(found: Reading) -> Iterator[str]:
    yield f"vCon {clean(found.vcon.get('uuid', ''))}, {found.form}, made {clean(found.vcon.get('created_at', ''))}"
    for words, colour, some in (
        ("holds", GREEN, found.good),
        ("WRONG", RED, found.wrong),
        ("note", YELLOW, found.open),
    ):
        yield from (f"  {painted(f'{words:5}', colour)} {clean(said)}" for said in some)
    if found.digits:
        yield f"  {painted('note ', YELLOW)} {found.digits} events say which keys were pressed: they are not shown"
    for place, one in enumerate(_dicts(found.vcon, "parties")):
        who = one.get("tel") or one.get("sip") or one.get("mailto") or one.get("uuid") or ""
        yield f"  party {place}: {clean(who)} {clean(one.get('name', ''))}".rstrip()
    for place, one in enumerate(_dicts(found.vcon, "dialog")):
        words = " ".join(clean(one[name]) for name in ("type", "start", "mediatype", "disposition") if name in one)
        yield f"  dialog {place}: {words}" + (f", {clean(one['duration'])} s" if "duration" in one else "")
    for one in _dicts(found.vcon, "attachments"):
        yield f"  attachment: {clean(one.get('purpose') or one.get('type') or '')} {clean(one.get('mediatype', ''))}"


def _dicts(vcon: dict[str, Any], name: str) -> list[dict[str, Any]]:
    some = vcon.get(name)
    return [one for one in some if isinstance(one, dict)][:_SHOWN] if isinstance(some, list) else []


def _without_bodies(vcon: dict[str, Any]) -> dict[str, Any]:
    """Return a vCon with the length of what is inline in the place of it."""
    dialogs = [
        {**one, "body": f"{len(str(one['body']))} letters"} if "body" in one else one for one in _dicts(vcon, "dialog")
    ]
    return {**vcon, "dialog": dialogs}
