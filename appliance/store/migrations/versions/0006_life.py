"""The life of a recording: legal holds, corrections, what waits for a second person, erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("label", "reason", "owner"),
        sa.Column("search", sa.JSON()),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("placed_us", sa.BigInteger(), nullable=False),
        *_texts("placed_by"),
        sa.Column("released_us", sa.BigInteger()),
        *_texts("released_by", "release_reason", "salt"),
    )
    op.create_table(
        "held",
        sa.Column("hold", sa.Text(), sa.ForeignKey("holds.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("recording", sa.Text(), primary_key=True),
    )
    op.create_table(
        "corrections",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        *_texts("field", "before", "after", "reason", "by"),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("operation", "recording"),
        sa.Column("order", sa.JSON(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        *_texts("asked_by", "state"),
        sa.Column("decided_us", sa.BigInteger()),
        *_texts("decided_by"),
    )
    op.create_table(
        "erasures",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        *_texts("word", "reason", "by"),
        sa.Column("approvers", sa.JSON(), nullable=False),
        *_texts("manifest", "folder"),
        sa.Column("entry", sa.BigInteger()),
        sa.Column("done_us", sa.BigInteger()),
    )
    for table, column in (
        ("held", "recording"),
        ("requests", "state"),
        ("requests", "recording"),
        ("erasures", "done_us"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
