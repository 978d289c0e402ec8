"""When somebody who is logged in last showed to be who they say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; who is logged in now has to show it again before what asks for it."""
    op.add_column("sessions", sa.Column("proved_us", sa.BigInteger()))
