"""People allow clients: consents, and families of refresh tokens."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    op.create_table('consents',
    sa.Column('uid', sa.String(length=16), nullable=False),
    sa.Column('client_id', sa.String(length=255), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('claims', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['clients.client_id'], name=op.f('fk_consents_client_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['uid'], ['users.uid'], name=op.f('fk_consents_uid'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('uid', 'client_id', name=op.f('pk_consents'))
    )
    op.create_table('refresh_families',
    sa.Column('family_id', sa.String(length=64), nullable=False),
    sa.Column('uid', sa.String(length=16), nullable=False),
    sa.Column('client_id', sa.String(length=255), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('used_at', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('ends_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('data', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['clients.client_id'], name=op.f('fk_refresh_families_client_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['uid'], ['users.uid'], name=op.f('fk_refresh_families_uid'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('family_id', name=op.f('pk_refresh_families'))
    )
    op.create_index(op.f('ix_refresh_families_client_id'), 'refresh_families', ['client_id'], unique=False)
    op.create_index(op.f('ix_refresh_families_expires_at'), 'refresh_families', ['expires_at'], unique=False)
    op.create_index(op.f('ix_refresh_families_uid'), 'refresh_families', ['uid'], unique=False)
