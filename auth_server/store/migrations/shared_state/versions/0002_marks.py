"""What tells whether any of the entries has been revoked."""

import os

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARBINARY

revision = '0002'
down_revision = '0001'


def upgrade() -> None:
    marks = op.create_table('state_marks',
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('marks', sa.LargeBinary().with_variant(VARBINARY(1024), 'mysql', 'mariadb'), nullable=False),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_state_marks')),
    postgresql_with={'fillfactor': 10, 'autovacuum_vacuum_scale_factor': 0, 'autovacuum_vacuum_threshold': 1000}
    )
    op.bulk_insert(marks, [{'number': 1, 'marks': os.urandom(520)}])
