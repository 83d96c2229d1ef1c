"""The first tables of the embedded short-lived state."""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None


def upgrade() -> None:
    op.create_table('entries',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('key', sa.LargeBinary(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=255), nullable=True),
    sa.Column('subject', sa.String(length=255), nullable=True),
    sa.Column('family', sa.LargeBinary(length=32), nullable=True),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.Column('taken_at', sa.BigInteger(), nullable=True),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_entries'))
    )
    op.create_index('ix_entries_expires_at', 'entries', ['expires_at'], unique=False, sqlite_where=sa.text('expires_at IS NOT NULL'))
    op.create_index('ix_entries_family', 'entries', ['family'], unique=False, sqlite_where=sa.text('family IS NOT NULL'))
    op.create_index('ix_entries_kind_client_id', 'entries', ['kind', 'client_id', 'number'], unique=False)
    op.create_index('ix_entries_subject', 'entries', ['subject'], unique=False, sqlite_where=sa.text('subject IS NOT NULL'))
    op.create_index('ux_entries_kind_key', 'entries', ['kind', 'key'], unique=True)
    op.create_table('spent',
    sa.Column('key', sa.LargeBinary(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_spent'))
    )
    op.create_index(op.f('ix_spent_expires_at'), 'spent', ['expires_at'], unique=False)
    op.create_table('throttles',
    sa.Column('bucket', sa.String(length=255), nullable=False),
    sa.Column('full_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('bucket', name=op.f('pk_throttles'))
    )
    op.create_index(op.f('ix_throttles_full_at'), 'throttles', ['full_at'], unique=False)
