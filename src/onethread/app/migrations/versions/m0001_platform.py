"""The event log, its cursors and dead letters."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA platform")
    op.execute("CREATE SEQUENCE platform.event_seq")
    # Partitioned by month on the uuid7 key itself: time order and a global primary key in one.
    op.execute("""
        CREATE TABLE platform.event (
            id              uuid        PRIMARY KEY,
            seq             bigint      NOT NULL DEFAULT nextval('platform.event_seq'),
            type            text        NOT NULL,
            occurred_at     timestamptz NOT NULL,
            recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            identifier_id   uuid,
            conversation_id uuid,
            brand_id        uuid,
            actor_kind      text        NOT NULL,
            actor_id        uuid,
            channel         text,
            source          text,
            source_id       text,
            payload         jsonb       NOT NULL DEFAULT '{}'
        ) PARTITION BY RANGE (id)
    """)
    op.execute("CREATE INDEX event_seq_idx ON platform.event (seq)")
    op.execute("""
        CREATE INDEX event_thread_idx ON platform.event (identifier_id, occurred_at DESC, id DESC)
         WHERE identifier_id IS NOT NULL
    """)
    op.execute("""
        CREATE INDEX event_changes_idx ON platform.event (conversation_id, occurred_at DESC, id DESC)
         WHERE conversation_id IS NOT NULL AND channel IS NULL
    """)
    op.execute("""
        CREATE TABLE platform.event_source (
            source    text NOT NULL,
            source_id text NOT NULL,
            PRIMARY KEY (source, source_id)
        )
    """)
    # Draws the transaction id before the first position is taken: the horizon rests on it.
    op.execute("""
        CREATE FUNCTION platform.draw_transaction_id() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_current_xact_id();
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER event_transaction_first BEFORE INSERT ON platform.event
           FOR EACH STATEMENT EXECUTE FUNCTION platform.draw_transaction_id()
    """)
    op.execute("""
        CREATE FUNCTION platform.event_horizon(OUT upto bigint, OUT fence xid8) LANGUAGE plpgsql AS $$
        BEGIN
            upto  := (SELECT last_value FROM platform.event_seq);
            fence := pg_current_xact_id();
        END $$
    """)
    op.execute("""
        CREATE FUNCTION platform.first_id_at(moment timestamptz) RETURNS uuid
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
                    || '70008000000000000000')::uuid
        $$
    """)
    op.execute("""
        CREATE FUNCTION platform.ensure_event_partitions(months int) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            first date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
            start date;
        BEGIN
            FOR i IN 0 .. months LOOP
                start := first + make_interval(months => i);
                EXECUTE format(
                    'CREATE TABLE IF NOT EXISTS platform.%I PARTITION OF platform.event FOR VALUES FROM (%L) TO (%L)',
                    'event_' || to_char(start, 'YYYY_MM'),
                    platform.first_id_at(start::timestamp AT TIME ZONE 'UTC'),
                    platform.first_id_at((start + interval '1 month')::timestamp AT TIME ZONE 'UTC'));
            END LOOP;
        END $$
    """)
    # Whatever no monthly partition takes (a clock far off, history from before) is kept here, not refused.
    op.execute("CREATE TABLE platform.event_other PARTITION OF platform.event DEFAULT")
    op.execute("SELECT platform.ensure_event_partitions(3)")
    op.execute("""
        CREATE TABLE platform.cursor (
            name     text        PRIMARY KEY,
            seq      bigint      NOT NULL,
            attempts int         NOT NULL DEFAULT 0,
            retry_at timestamptz,
            moved_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        CREATE TABLE platform.dead_letter (
            id          uuid        PRIMARY KEY,
            subscriber  text        NOT NULL,
            event_id    uuid        NOT NULL,
            event_seq   bigint      NOT NULL,
            event_type  text        NOT NULL,
            error       text        NOT NULL,
            attempts    int         NOT NULL,
            parked_at   timestamptz NOT NULL DEFAULT now(),
            replayed_at timestamptz,
            UNIQUE (subscriber, event_id)
        )
    """)
    op.execute("CREATE INDEX dead_letter_open_idx ON platform.dead_letter (id) WHERE replayed_at IS NULL")
