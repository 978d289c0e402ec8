"""Verdicts on announcements, quarantine, and what is counted by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the columns of calls."""
    op.add_column("calls", sa.Column("announced", sa.Text(), nullable=False, server_default=""))
    op.add_column("calls", sa.Column("quarantined_us", sa.BigInteger()))
    op.create_index("ix_calls_announced", "calls", ["announced", "started_us"])
    op.create_index("ix_calls_quarantined_us", "calls", ["quarantined_us"])
    op.create_table(
        "announcement_verdict",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("announced", sa.Text(), nullable=False),
        sa.Column("expected", sa.Boolean(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("rule", "reason", "reference", "name", "language", "party")
        ),
        sa.Column("stream", sa.Integer()),
        *(sa.Column(name, sa.BigInteger()) for name in ("begin_us", "end_us", "offset_ms")),
        *(sa.Column(name, sa.Integer()) for name in ("share", "required_share", "score", "overlap")),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_index("ix_announcement_verdict_reference", "announcement_verdict", ["reference"])
    op.create_table(
        "announcement_call",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("site", "trunk", "caller", "callee", "language", "announced")
        ),
        sa.Column("expected", sa.Boolean(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("due_us", sa.BigInteger()),
    )
    asked = ["at_us", "expected", "announced", "proven"]
    op.create_index("ix_announcement_call_sums", "announcement_call", [*asked, "site", "trunk", "language"])
    op.create_index("ix_announcement_call_numbers", "announcement_call", [*asked, "callee", "caller"])
    op.create_index("ix_announcement_call_missing", "announcement_call", ["expected", "proven", "at_us"])
