"""Users whom somebody else knows: when their source last said yes, and that nobody is there twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and one row at most for each of a source's subjects."""
    op.add_column("sessions", sa.Column("checked_us", sa.BigInteger()))
    op.add_column("sessions", sa.Column("foreign_sid", sa.Text()))
    known = sa.text("subject != ''")
    op.create_index(
        "ix_users_origin", "users", ["origin", "subject"], unique=True, sqlite_where=known, postgresql_where=known
    )
