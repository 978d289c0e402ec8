"""Copies of recordings at storage targets, and recordings that are only there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "stored",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("target", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_us", sa.BigInteger()),
        sa.Column("checked_us", sa.BigInteger()),
        sa.Column("locked_us", sa.BigInteger()),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
    )
    op.create_index("ix_stored_target", "stored", ["target", "state"])
    op.create_table(
        "away",
        sa.Column("recording", sa.Text(), primary_key=True),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
    )
