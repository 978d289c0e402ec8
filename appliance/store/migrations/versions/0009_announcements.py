"""Announcements: every version of each, what its sound is, and what hearing it means."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "announcements",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("length_ms", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("required_ms", sa.JSON(), nullable=False),
        sa.Column("agree", sa.Text(), nullable=False),
        sa.Column("refuse", sa.Text(), nullable=False),
        sa.Column("within_ms", sa.Integer(), nullable=False),
        sa.Column("sites", sa.JSON(), nullable=False),
        sa.Column("from_us", sa.BigInteger()),
        sa.Column("until_us", sa.BigInteger()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("cut_ms", sa.JSON(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
    )
    op.create_index("ix_announcements_reference", "announcements", ["reference"])
