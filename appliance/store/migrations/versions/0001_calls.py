"""The first catalogue: calls, dialogs, streams, runs, unsignalled streams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _stream_columns() -> list[sa.Column[object]]:
    columns: list[sa.Column[object]] = [
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("payload_type", sa.Integer(), nullable=False),
        sa.Column("clock_rate", sa.Integer(), nullable=False),
        sa.Column("ssrc", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("first_at_us", sa.BigInteger(), nullable=False),
        sa.Column("last_at_us", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.JSON(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("reordered", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("jitter_ms", sa.Float(), nullable=False),
        sa.Column("ptime_ms", sa.Float()),
        sa.Column("mos", sa.Float()),
    ]
    return columns


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "calls",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("callee", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("answered_us", sa.BigInteger()),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("parties", sa.JSON(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("outcome_reasons", sa.JSON(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
    )
    for column in ("started_us", "caller", "callee", "outcome"):
        op.create_index(f"ix_calls_{column}", "calls", [column])
    op.create_table(
        "dialogs",
        sa.Column("call", sa.Text(), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("call_id", sa.Text(), nullable=False),
    )
    op.create_index("ix_dialogs_call_id", "dialogs", ["call_id"])
    op.create_table(
        "streams",
        sa.Column("call", sa.Text(), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        *_stream_columns(),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("drops", sa.JSON(), nullable=False),
        sa.Column("calls", sa.JSON(), nullable=False),
    )
    op.create_table(
        "unsignalled",
        sa.Column("run", sa.Integer(), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        *_stream_columns(),
    )
