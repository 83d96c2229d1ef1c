"""The functions that keep limits in PostgreSQL plan once for each connection, and always by an index."""

from alembic import op

revision = '0003'
down_revision = '0002'

# As in 0001; but that planned anew each time where one client has most of the entries: the plan for any client, which
# could have been kept, was to read the whole table. Nobody has many entries under a limit, whatever the statistics say.
# `kind = $1` would let the index of keys be chosen, all entries of a kind, by who plans while the table is empty.
OF_CLIENT = '(client_id, kind) >= ($5, $1::integer) AND (client_id, kind) <= ($5, $1::integer)'
OF_SUBJECT = 'subject = $6 AND kind + 0 = $1'
OF_FAMILY = 'family = $7 AND kind + 0 = $1'
PUT_AMONG = """
CREATE OR REPLACE FUNCTION state_put_among_{column}(bigint, bytea, bigint, bytea, bytea, bytea, bytea, bigint, bigint)
RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{column}' || $1 || encode({value}, 'hex'), 0));
    INSERT INTO state_entries (kind, key, expires_at, data, client_id, subject, family)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (kind, key) DO UPDATE SET number = EXCLUDED.number, expires_at = EXCLUDED.expires_at,
            data = EXCLUDED.data, client_id = EXCLUDED.client_id, subject = EXCLUDED.subject,
            family = EXCLUDED.family, taken_at = NULL;
    DELETE FROM state_entries WHERE number = ANY (ARRAY(
        SELECT number FROM state_entries WHERE {condition}
        ORDER BY (
            expires_at IS NOT NULL AND expires_at <= least($9, floor(extract(epoch FROM clock_timestamp()))::bigint)
        ), number DESC OFFSET $8
    ));
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        for column, value, condition in (
            ('client_id', '$5', OF_CLIENT), ('subject', '$6', OF_SUBJECT), ('family', '$7', OF_FAMILY)
        ):
            op.execute(PUT_AMONG.format(column=column, value=value, condition=condition))
