"""The first tables of the short-lived state in a server database."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMBLOB, VARBINARY

revision = '0001'
down_revision = None

# Puts an entry and drops what it displaces: at most $8 of a value stay, and of these the dead (by $9, or by our clock if that is earlier) go first.
# Those that put under one value take turns, and each statement of the function sees what the others have done.
PUT_AMONG = """
CREATE FUNCTION state_put_among_{column}(bigint, bytea, bigint, bytea, bytea, bytea, bytea, bigint, bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{column}' || $1 || encode({value}, 'hex'), 0));
    INSERT INTO state_entries (kind, key, expires_at, data, client_id, subject, family)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (kind, key) DO UPDATE SET number = EXCLUDED.number, expires_at = EXCLUDED.expires_at,
            data = EXCLUDED.data, client_id = EXCLUDED.client_id, subject = EXCLUDED.subject,
            family = EXCLUDED.family, taken_at = NULL;
    DELETE FROM state_entries WHERE number IN (
        SELECT number FROM state_entries WHERE kind = $1 AND {column} = {value}
        ORDER BY (
            expires_at IS NOT NULL AND expires_at <= least($9, floor(extract(epoch FROM clock_timestamp()))::bigint)
        ), number DESC OFFSET $8
    );
END $$
"""


def binary(most: int) -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(VARBINARY(most), 'mysql', 'mariadb')


def upgrade() -> None:
    op.create_table('state_entries',
    sa.Column('number', sa.BigInteger(), autoincrement=True, nullable=False),
    sa.Column('kind', sa.Integer(), nullable=False),
    sa.Column('key', binary(32), nullable=False),
    sa.Column('client_id', binary(1020), nullable=True),
    sa.Column('subject', binary(1020), nullable=True),
    sa.Column('family', binary(32), nullable=True),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.Column('taken_at', sa.BigInteger(), nullable=True),
    sa.Column('data', sa.LargeBinary().with_variant(MEDIUMBLOB(), 'mysql', 'mariadb'), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_state_entries')),
    postgresql_with={'fillfactor': 90}
    )
    op.create_index('ix_state_entries_expires_at', 'state_entries', ['expires_at'], unique=False, postgresql_where=sa.text('expires_at IS NOT NULL'))
    op.create_index('ix_state_entries_family', 'state_entries', ['family', 'number'], unique=False, postgresql_where=sa.text('family IS NOT NULL'))
    op.create_index('ix_state_entries_client_id', 'state_entries', ['client_id', 'kind', 'number'], unique=False)
    op.create_index('ix_state_entries_subject', 'state_entries', ['subject', 'number'], unique=False, postgresql_where=sa.text('subject IS NOT NULL'))
    op.create_index('ux_state_entries_kind_key', 'state_entries', ['kind', 'key'], unique=True)
    op.create_table('state_spent',
    sa.Column('key', binary(255), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_state_spent'))
    )
    op.create_index(op.f('ix_state_spent_expires_at'), 'state_spent', ['expires_at'], unique=False)
    op.create_table('state_throttles',
    sa.Column('bucket', binary(255), nullable=False),
    sa.Column('full_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('bucket', name=op.f('pk_state_throttles'))
    )
    op.create_index(op.f('ix_state_throttles_full_at'), 'state_throttles', ['full_at'], unique=False)
    if op.get_bind().dialect.name == 'postgresql':
        for column, value in (('client_id', '$5'), ('subject', '$6'), ('family', '$7')):
            op.execute(PUT_AMONG.format(column=column, value=value))
