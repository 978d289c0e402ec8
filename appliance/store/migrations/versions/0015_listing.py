"""What calls are searched by, filled from the calls that are there; notes; saved searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from vittne.appliance.store.listing import listed
from vittne.appliance.store.rows import CallRow, StreamRow

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_CHUNK = 400
_CALL = (
    *("id", "state", "caller", "callee", "started_us", "answered_us", "ended_us", "outcome", "parties", "details"),
    *("site", "tags", "announced", "quarantined_us", "restricted_us", "erased_us"),
)
_JSON = ("parties", "details", "tags")


def upgrade() -> None:
    """Make the tables, and the rows of calls that are there."""
    listing = op.create_table(
        "listing",
        sa.Column("started_us", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("agents", sa.Text(), nullable=False),
        sa.Column("call_ids", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("codecs", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("mos", sa.Integer(), nullable=False),
        sa.Column("pauses", sa.Integer(), nullable=False),
        sa.Column("announced", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("is_quarantined", sa.Boolean(), nullable=False),
        sa.Column("is_restricted", sa.Boolean(), nullable=False),
        sa.Column("is_erased", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notes",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
    )
    op.create_table(
        "saved_searches",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_saved_searches_owner", "saved_searches", ["owner"])
    _fill(op.get_bind(), listing)
    op.create_index("ix_listing_recording", "listing", ["recording"])
    for column in ("duration_ms", "mos", "outcome"):
        op.create_index(f"ix_listing_{column}", "listing", [column, "started_us", "recording"])


def _fill(connection: sa.Connection, listing: sa.Table) -> None:
    calls = sa.table("calls", *(sa.column(name, sa.JSON() if name in _JSON else None) for name in _CALL))
    last = ""
    while True:
        query = sa.select(calls).where(calls.c.id > last).order_by(calls.c.id).limit(_CHUNK)
        found = connection.execute(query).mappings().all()
        if not found:
            return
        ids = [row["id"] for row in found]
        last = ids[-1]
        said, heard, changed = _said(connection, ids), _heard(connection, ids), _corrected(connection, ids)
        rows = [
            CallRow(
                **{**row, "tags": tuple(row["tags"])},
                call_ids=tuple(said.get(row["id"], ())),
                streams=tuple(heard.get(row["id"], ())),
            )
            for row in found
        ]
        written = [listed(row, changed.get(row.id, {})) for row in rows]
        names = {column.name for column in listing.c}
        connection.execute(sa.insert(listing), [{n: v for n, v in one.items() if n in names} for one in written])


def _said(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    dialogs = sa.table("dialogs", sa.column("call"), sa.column("call_id"))
    found: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(dialogs).where(dialogs.c.call.in_(ids))):
        found.setdefault(row.call, []).append(row.call_id)
    return found


def _heard(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[StreamRow]]:
    streams = sa.table("streams", *(sa.column(name) for name in ("call", "party", "codec", "mos")))
    found: dict[str, list[StreamRow]] = {}
    for row in connection.execute(sa.select(streams).where(streams.c.call.in_(ids))):
        one = StreamRow(row.party, row.codec, 0, 0, 0, "", "", 0, 0, 0, 0, mos=row.mos)
        found.setdefault(row.call, []).append(one)
    return found


def _corrected(connection: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    made = sa.table("corrections", *(sa.column(name) for name in ("recording", "n", "field", "after")))
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(sa.select(made).where(made.c.recording.in_(ids)).order_by(made.c.n)):
        found.setdefault(row.recording, {})[row.field] = row.after
    return found
