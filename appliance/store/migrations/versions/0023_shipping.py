"""What a shared catalogue does not have yet, and how far it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. The triggers that fill the first one are made where a shared catalogue is configured."""
    op.create_table(
        "unshipped",
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_unshipped_unit", "unshipped", ["unit", "key"])
    op.create_table(
        "shipping",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("next", sa.Text(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("shipped_us", sa.BigInteger(), nullable=False),
    )
