"""Clients register themselves: registration access tokens, when unused ones go, and initial access tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0006'
down_revision = '0005'


def upgrade() -> None:
    op.add_column('clients', sa.Column('registration_token', sa.String(length=64), nullable=False, server_default=''))
    op.add_column('clients', sa.Column('unused_until', sa.BigInteger(), nullable=True))
    op.create_index(op.f('ix_clients_unused_until'), 'clients', ['unused_until'], unique=False)
    op.create_table('initial_tokens',
    sa.Column('key', sa.LargeBinary(length=32).with_variant(mysql.VARBINARY(length=32), 'mysql'), nullable=False),
    sa.Column('uses', sa.Integer(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_initial_tokens'))
    )
    op.create_index(op.f('ix_initial_tokens_expires_at'), 'initial_tokens', ['expires_at'], unique=False)
