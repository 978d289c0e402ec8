"""What is to become of a call: its site, retention class and times, lawful basis, tags, restriction, erasure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; calls that were there before have no class."""
    for name in ("site", "retention_class"):
        op.add_column("calls", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    for name in ("locked_until_us", "expires_us", "restricted_us", "erased_us"):
        op.add_column("calls", sa.Column(name, sa.BigInteger()))
    op.add_column("calls", sa.Column("basis", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("calls", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index("ix_calls_expires_us", "calls", ["expires_us"])
    op.create_index("ix_calls_site", "calls", ["site", "started_us"])
