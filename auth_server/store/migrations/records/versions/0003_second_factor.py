"""Accounts get a second factor."""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.create_table(
        'passcodes',
        sa.Column('uid', sa.String(length=16), nullable=False),
        sa.Column('active', sa.Boolean(), nullable=False),
        sa.Column('type', sa.String(length=16), nullable=False),
        sa.Column('sealed', sa.LargeBinary(), nullable=False),
        sa.Column('recovery_hash', sa.String(length=255), nullable=False),
        sa.Column('last_step', sa.BigInteger(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('updated_at', sa.BigInteger(), nullable=False),
        sa.Column('verified_at', sa.BigInteger(), nullable=True),
        sa.Column('activated_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['uid'], ['users.uid'], name=op.f('fk_passcodes_uid'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('uid', 'active', name=op.f('pk_passcodes')),
    )
    op.add_column('users', sa.Column('auth_method', sa.String(length=16), server_default='default', nullable=False))
