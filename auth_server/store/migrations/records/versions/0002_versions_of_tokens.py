"""Users and clients get a version that their tokens must have."""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    for table in ('users', 'clients'):
        op.add_column(table, sa.Column('token_version', sa.Integer(), nullable=False, server_default='1'))
