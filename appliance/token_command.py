"""`vittne token`: make, list and revoke tokens of the API, also while a recorder runs (api/database.py says why)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vittne.appliance.access.operations import NOTE_TOKEN, NoteToken
from vittne.appliance.api.database import COMMAND_WAITS_MS, ApiDatabase, ready_catalogue
from vittne.appliance.api.tokens import DAY_US, Token, Tokens, checked_name, checked_networks
from vittne.appliance.control.client import perform
from vittne.appliance.show import json_array
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import Cell, Column, clean, table

_COLUMNS: Final = [
    Column("id"),
    Column("name", least=8),
    Column("state"),
    Column("scopes"),
    Column("expires"),
    Column("last used", spare=1),
    Column("from", least=8, spare=2),
]


def create(data: Path, name: str, scopes: Sequence[str], days: int | None, networks: Sequence[str]) -> int:
    """Make a token and print it; the only time that anybody sees it. days: until it expires; None for never."""
    name, sources = checked_name(name), checked_networks(networks)
    now = now_us()
    ready_catalogue(data)
    note = NoteToken(change="add", name=name, scopes=tuple(scopes), networks=tuple(map(str, sources)))
    perform(data, NOTE_TOKEN, note)  # in the trail before it is there
    database = _open(data, durable=True)
    try:
        expires_us = now + days * DAY_US if days is not None else None
        token, text = Tokens(database).create(name, scopes, now, expires_us, sources)
    finally:
        database.close()
    until = f"until {_day(token.expires_us)}" if token.expires_us is not None else "for ever"
    print(f"token {token.id} for {clean(token.name)}: {', '.join(token.scopes)}, {until}", file=sys.stderr)
    print("keep it now: it is not kept here and cannot be shown again", file=sys.stderr)
    print(text)
    return 0


def list_all(data: Path, as_json: bool) -> int:
    """Print all tokens, without their secrets."""
    database = _open(data)
    try:
        found = Tokens(database).all()
    finally:
        database.close()
    now = now_us()
    if as_json:
        sys.stdout.writelines(json_array(token.as_json(now) for token in found))
    else:
        lines = table(_COLUMNS, [_row(token, now) for token in found]) if found else ["no tokens"]
        print("\n".join(lines))
    return 0


def revoke(data: Path, prefix: str) -> int:
    """Refuse a token from now on."""
    database = _open(data, durable=True)
    try:
        # Of a whole token that was found somewhere, the id is enough.
        key = prefix.strip().removeprefix("vtn_").partition("_")[0].lower()
        token = Tokens(database).begins(key)
        try:
            perform(data, NOTE_TOKEN, NoteToken(change="revoke", name=token.name, token=token.id))
        except StoreError as error:  # whoever has found it would go on with it meanwhile
            print(f"note: the trail does not say that it was revoked: {error.what}", file=sys.stderr)
        Tokens(database).revoke(token.id, now_us())
    finally:
        database.close()
    print(f"revoked {token.id}, {clean(token.name)}")
    return 0


def _open(data: Path, durable: bool = False) -> ApiDatabase:
    ready_catalogue(data)
    return ApiDatabase(data, COMMAND_WAITS_MS, durable)


def _row(token: Token, now: int) -> list[str | Cell]:
    return [
        token.id,
        token.name,
        token.state(now),
        ", ".join(token.scopes),
        _day(token.expires_us) if token.expires_us is not None else "never",
        _day(token.last_used_us) if token.last_used_us is not None else "never",
        ", ".join(map(str, token.networks)) or "anywhere",
    ]


def _day(at_us: int) -> str:
    return rfc3339(at_us)[:16].replace("T", " ")
