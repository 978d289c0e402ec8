"""Who asked and who approved, as users: two names may be one person's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("asked_user", "decided_user"):
        op.add_column("requests", sa.Column(name, sa.Text(), nullable=False, server_default=""))
