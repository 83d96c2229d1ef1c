"""Clients have a profile: which rules hold for them."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'


def upgrade() -> None:
    op.add_column('clients', sa.Column('profile', sa.String(length=32), nullable=False, server_default='oauth21'))
