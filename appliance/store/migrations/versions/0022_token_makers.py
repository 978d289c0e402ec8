"""Whose rights a token has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; tokens that are there stay what they were, of nobody."""
    op.add_column("tokens", sa.Column("maker", sa.Text(), nullable=False, server_default=""))
