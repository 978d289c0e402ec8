"""How a gate was decided: a call may be refused by a key as well as over the API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was decided before was decided over the API."""
    op.add_column("decisions", sa.Column("trigger", sa.Text(), nullable=False, server_default="api"))
