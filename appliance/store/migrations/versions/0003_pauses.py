"""Pauses: those that live must hold after a restart, and all are reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "pauses",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_index("ix_pauses_asked_us", "pauses", ["asked_us"])
