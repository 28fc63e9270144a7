"""The SQL of the preload. Times end yesterday; conversations of one customer in five are closed for good."""

from typing import Final, LiteralString

# Foreign keys first, so that what they rest on may go after them.
CONSTRAINTS: Final[LiteralString] = """
    SELECT nspname || '.' || relname, conname, pg_get_constraintdef(pg_constraint.oid)
      FROM pg_constraint
      JOIN pg_class     ON pg_class.oid = conrelid
      JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE contype IN ('f', 'p', 'u') AND conparentid = 0
       AND (nspname || '.' || relname = ANY (%(tables)s)
            OR confrelid <> 0 AND confrelid::regclass::text = ANY (%(tables)s))
     ORDER BY contype = 'f' DESC
"""
INDEXES: Final[LiteralString] = """
    SELECT schemaname || '.' || indexname, indexdef
      FROM pg_indexes
     WHERE schemaname || '.' || tablename = ANY (%(tables)s)
"""

# They are STABLE so that the planner may put their bodies in their place: tenfold the speed.
FUNCTIONS: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA bench",
    """
    CREATE TABLE bench.clock AS
    SELECT (extract(epoch FROM date_trunc('day', now()) - interval '151 days') * 1000)::bigint AS begun
    """,
    # Times in milliseconds: a message every so often over 150 days that end yesterday. `n` of `total`, from 0.
    """
    CREATE FUNCTION bench.ms(n bigint, total bigint) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT (SELECT begun FROM bench.clock) + n * 12960000000 / total
    $$
    """,
    """
    CREATE FUNCTION bench.moment(ms bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT to_timestamp(ms::float8 / 1000)
    $$
    """,
    # 62 bits that look random and follow from a number and the kind of thing it numbers.
    """
    CREATE FUNCTION bench.tail(n bigint, kind bigint) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT hashint8extended(n, kind) & 4611686018427387903
    $$
    """,
    # A UUIDv7 (RFC 9562) of a moment.
    """
    CREATE FUNCTION bench.id(ms bigint, tail bigint) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT (lpad(to_hex(ms), 12, '0') || '7000'
                || to_hex((-9223372036854775808)::bigint | tail))::uuid
    $$
    """,
    # As the customers room has it: the random end of the identifier's id, turned.
    """
    CREATE FUNCTION bench.customer(ms bigint, tail bigint) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT bench.id(ms, tail # 1890963664926439953)
    $$
    """,
    """
    CREATE FUNCTION bench.visitor(n bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT md5('visitor ' || n::text)::uuid::text
    $$
    """,
    """
    CREATE FUNCTION bench.words(n bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT (ARRAY['Where is my parcel?', 'The blue one in size M, please.', 'Thank you!',
                      'สินค้ามาถึงเมื่อไหร่คะ', 'ขอบคุณค่ะ', 'سفارش من کجاست؟', 'ممنونم',
                      '注文はいつ届きますか', 'ありがとうございます', 'It does not fit, can I change it?',
                      'My coupon was not accepted.', 'Is the shop open on Sunday?'])[1 + bench.tail(n, 101) % 12]
               || ' ' || n::text
    $$
    """,
    # Past months have partitions, as they would have after running for so long.
    """
    DO $$
    DECLARE
        start timestamptz;
    BEGIN
        FOR i IN 1 .. 6 LOOP
            start := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(months => i);
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS platform.%I PARTITION OF platform.event FOR VALUES FROM (%L) TO (%L)',
                'event_' || to_char(start, 'YYYY_MM'),
                platform.first_id_at(start), platform.first_id_at(start + interval '1 month'));
        END LOOP;
    END $$
    """,
)

_IDENTIFIERS: Final[LiteralString] = """
    INSERT INTO customers.identifier
           (id, kind, scope, value, customer_id, name, name_at, first_seen_at)
    SELECT bench.id(ms, tail), 'visitor', %(account)s::uuid::text, bench.visitor(n), bench.customer(ms, tail),
           CASE WHEN n %% 3 = 0 THEN 'Customer ' || n END, CASE WHEN n %% 3 = 0 THEN bench.moment(ms) END,
           bench.moment(ms)
      FROM (SELECT n, bench.ms(n, %(messages)s) AS ms, bench.tail(n, 1) AS tail
              FROM generate_series(1, %(customers)s::bigint) AS n
            OFFSET 0) AS made
"""
_CUSTOMERS: Final[LiteralString] = """
    INSERT INTO customers.customer (id, anchor_identifier_id, name, created_at)
    SELECT customer_id, id, name, first_seen_at
      FROM customers.identifier
     WHERE value NOT IN ('+12025550123', md5('ana abiding')::uuid::text)
"""
_CONVERSATIONS: Final[LiteralString] = """
    INSERT INTO conversations.conversation
           (id, number, brand_id, identifier_id, status, opened_at, closed_at)
    OVERRIDING SYSTEM VALUE
    SELECT bench.id(ms, bench.tail(n, 2)), n, %(brand)s, bench.id(ms, bench.tail(n, 1)),
           CASE WHEN n %% 5 = 0 THEN 'closed' ELSE 'open' END, bench.moment(ms),
           CASE WHEN n %% 5 = 0 THEN bench.moment(ms) + interval '121 days' END
      FROM (SELECT n, bench.ms(n, %(messages)s) AS ms
              FROM generate_series(1, %(customers)s::bigint) AS n
            OFFSET 0) AS made
"""
_INBOX: Final[LiteralString] = """
    INSERT INTO conversations.inbox_row
           (conversation_id, brand_id, identifier_id, status, assignee_id, last_seq, unread, waiting_since,
            last_message_at, last_text, last_direction, last_channel, answer_identifier_id, answer_account_id)
    SELECT bench.id(ms, bench.tail(n, 2)), %(brand)s, bench.id(ms, tail),
           CASE WHEN n %% 5 = 0 THEN 'closed' ELSE 'open' END,
           CASE WHEN n %% 50 = 1 THEN %(agent)s::uuid END, 5,
           CASE WHEN n %% 5 = 0 THEN 0 ELSE 1 END, CASE WHEN n %% 5 <> 0 THEN last_at END,
           last_at, bench.words(4 * %(customers)s + n), 'in', 'webchat', bench.id(ms, tail), %(account)s
      FROM (SELECT n, bench.ms(n, %(messages)s) AS ms, bench.tail(n, 1) AS tail,
                   bench.moment(bench.ms(4 * %(customers)s::bigint + n, %(messages)s)) AS last_at
              FROM generate_series(1, %(customers)s::bigint) AS n
            OFFSET 0) AS made
"""
# Message k of customer n is number k * customers + n: every conversation runs over the whole time.
_MESSAGES: Final[LiteralString] = """
    INSERT INTO conversations.message
           (id, conversation_id, seq, direction, channel, account_id, identifier_id, author_id, at, recorded_at,
            external_id, content, trust, receipt_seq)
    SELECT bench.id(ms, bench.tail(i, 3)), bench.id(opened, bench.tail(n, 2)), k + 1,
           CASE WHEN k %% 2 = 0 THEN 'in' ELSE 'out' END, 'webchat', %(account)s,
           bench.id(opened, bench.tail(n, 1)), CASE WHEN k %% 2 = 1 THEN %(agent)s::uuid END,
           bench.moment(ms), bench.moment(ms),
           CASE WHEN k %% 2 = 0 THEN bench.visitor(n) || ':' || i::text END,
           ('{"text":"' || bench.words(i) || '"}')::jsonb, CASE WHEN k %% 2 = 0 THEN 'verified' END,
           CASE WHEN k %% 2 = 0 THEN i END
      FROM (SELECT i, (i - 1) / %(customers)s AS k, (i - 1) %% %(customers)s + 1 AS n,
                   bench.ms(i, %(messages)s) AS ms,
                   bench.ms((i - 1) %% %(customers)s + 1, %(messages)s) AS opened
              FROM generate_series(1, %(messages)s::bigint) AS i
            OFFSET 0) AS made
"""
_DELIVERIES: Final[LiteralString] = """
    INSERT INTO conversations.delivery
           (id, message_id, account_id, channel, identifier_id, status, due_at, attempts, external_id,
            created_at, changed_at)
    SELECT bench.id(ms, bench.tail(i, 4)), message_id, %(account)s, 'webchat', bench.id(opened, bench.tail(n, 1)),
           'read', bench.moment(ms), 1, 'message:' || message_id::text, bench.moment(ms), bench.moment(ms)
      FROM (SELECT i, (i - 1) %% %(customers)s + 1 AS n, bench.ms(i, %(messages)s) AS ms,
                   bench.id(bench.ms(i, %(messages)s), bench.tail(i, 3)) AS message_id,
                   bench.ms((i - 1) %% %(customers)s + 1, %(messages)s) AS opened
              FROM generate_series(1, %(messages)s::bigint) AS i
             WHERE (i - 1) / %(customers)s %% 2 = 1
            OFFSET 0) AS made
"""
_RECEIPTS: Final[LiteralString] = """
    INSERT INTO channels.receipt
           (seq, account_id, external_id, sender, lane, form, body, received_at, state, attempts, settled_at)
    OVERRIDING SYSTEM VALUE
    SELECT i, %(account)s, visitor || ':' || i::text, 'visitor:' || visitor, (bench.tail(n, 5) %% 8)::smallint,
           'signed',
           convert_to('{"visitor":"' || visitor || '","frame":{"type":"message","id":"' || i::text
                      || '","body":{"text":"' || bench.words(i) || '"}}}', 'UTF8'),
           bench.moment(ms), 'applied', 1, bench.moment(ms)
      FROM (SELECT i, (i - 1) %% %(customers)s + 1 AS n, bench.ms(i, %(messages)s) AS ms,
                   bench.visitor((i - 1) %% %(customers)s + 1) AS visitor
              FROM generate_series(1, %(messages)s::bigint) AS i
             WHERE (i - 1) / %(customers)s %% 2 = 0
            OFFSET 0) AS made
"""
_EVENTS: Final[LiteralString] = """
    INSERT INTO platform.event
           (id, type, occurred_at, recorded_at, identifier_id, conversation_id, brand_id, actor_kind, actor_id,
            channel, payload)
    SELECT bench.id(ms, bench.tail(i, 6)), CASE WHEN k %% 2 = 0 THEN 'MessageReceived' ELSE 'MessageSent' END,
           bench.moment(ms), bench.moment(ms), identifier_id, bench.id(opened, bench.tail(n, 2)), %(brand)s,
           CASE WHEN k %% 2 = 0 THEN 'customer' ELSE 'agent' END,
           CASE WHEN k %% 2 = 0 THEN identifier_id ELSE %(agent)s END, 'webchat',
           ('{"message_id":"' || bench.id(ms, bench.tail(i, 3))::text || '","seq":' || (k + 1)::text
            || ',"automatic":false}')::jsonb
      FROM (SELECT i, k, n, ms, opened, bench.id(opened, bench.tail(n, 1)) AS identifier_id
              FROM (SELECT i, (i - 1) / %(customers)s AS k, (i - 1) %% %(customers)s + 1 AS n,
                           bench.ms(i, %(messages)s) AS ms,
                           bench.ms((i - 1) %% %(customers)s + 1, %(messages)s) AS opened
                      FROM generate_series(1, %(messages)s::bigint) AS i
                    OFFSET 0) AS numbered
            OFFSET 0) AS made
"""
_OPENINGS: Final[LiteralString] = """
    INSERT INTO platform.event
           (id, type, occurred_at, recorded_at, identifier_id, conversation_id, brand_id, actor_kind, actor_id, payload)
    SELECT bench.id(ms, bench.tail(n, 7)), 'ConversationOpened', bench.moment(ms), bench.moment(ms), identifier_id,
           bench.id(ms, bench.tail(n, 2)), %(brand)s, 'customer', identifier_id,
           jsonb_build_object('number', n, 'why', 'The first message.')
      FROM (SELECT n, bench.ms(n, %(messages)s) AS ms,
                   bench.id(bench.ms(n, %(messages)s), bench.tail(n, 1)) AS identifier_id
              FROM generate_series(1, %(customers)s::bigint) AS n
            OFFSET 0) AS made
"""
_FOUND: Final[LiteralString] = """
    INSERT INTO conversations.found (message_id, conversation_id, at, words)
    SELECT id, conversation_id, at, lower(content ->> 'text') FROM conversations.message
"""
# The one with the long history: three identifiers of one person, conversations of 500 messages each.
_LONG_IDENTIFIERS: Final[LiteralString] = """
    INSERT INTO customers.identifier
           (id, kind, scope, value, customer_id, name, name_at, first_seen_at)
    SELECT bench.id(ms, bench.tail(n, 11)), kind, scope, value, bench.customer(ms, bench.tail(1, 11)),
           'Ana Abiding', bench.moment(ms), bench.moment(ms)
      FROM (SELECT n, bench.ms(0, %(messages)s) AS ms,
                   (ARRAY['email', 'phone', 'visitor'])[n] AS kind,
                   (ARRAY['', '', %(account)s::uuid::text])[n] AS scope,
                   (ARRAY['ana@long.example', '+12025550123', md5('ana abiding')::uuid::text])[n] AS value
              FROM generate_series(1, 3) AS n) AS made
"""
_LONG_EVIDENCE: Final[LiteralString] = """
    INSERT INTO customers.evidence
           (id, a, b, kind, strength, source, source_ref, reason, asserted_at, asserted_by)
    SELECT bench.id(ms, bench.tail(n, 12)), least(first, other), greatest(first, other), 'verified', 80, 'preload',
           n::text, 'Signed in.', bench.moment(ms), 'system'
      FROM (SELECT n, bench.ms(0, %(messages)s) AS ms,
                   bench.id(bench.ms(0, %(messages)s), bench.tail(1, 11)) AS first,
                   bench.id(bench.ms(0, %(messages)s), bench.tail(n, 11)) AS other
              FROM generate_series(2, 3) AS n) AS made
"""
_LONG_CONVERSATIONS: Final[LiteralString] = """
    INSERT INTO conversations.conversation
           (id, number, brand_id, identifier_id, status, opened_at, closed_at)
    OVERRIDING SYSTEM VALUE
    SELECT bench.id(ms, bench.tail(n, 13)), %(customers)s + n, %(brand)s,
           bench.id(bench.ms(0, %(messages)s), bench.tail(1, 11)), 'closed', bench.moment(ms),
           bench.moment(ms) + interval '1 hour'
      FROM (SELECT n, bench.ms((n - 1) * 500, %(long)s) AS ms
              FROM generate_series(1, greatest(%(long)s::bigint / 500, 1)) AS n
            OFFSET 0) AS made
"""
_LONG_MESSAGES: Final[LiteralString] = """
    INSERT INTO conversations.message
           (id, conversation_id, seq, direction, channel, account_id, identifier_id, at, recorded_at, external_id,
            content)
    SELECT bench.id(ms, bench.tail(i, 14)), bench.id(opened, bench.tail(n, 13)), (i - 1) %% 500 + 1, 'in',
           'webchat', %(account)s, bench.id(bench.ms(0, %(messages)s), bench.tail(1 + i %% 3, 11)),
           bench.moment(ms), bench.moment(ms), 'long:' || i, jsonb_build_object('text', bench.words(i))
      FROM (SELECT i, (i - 1) / 500 + 1 AS n, bench.ms(i, %(long)s) AS ms,
                   bench.ms((i - 1) / 500 * 500, %(long)s) AS opened
              FROM generate_series(1, %(long)s::bigint) AS i
            OFFSET 0) AS made
"""
_LONG_EVENTS: Final[LiteralString] = """
    INSERT INTO platform.event
           (id, type, occurred_at, recorded_at, identifier_id, conversation_id, brand_id, actor_kind, actor_id,
            channel, payload)
    SELECT bench.id(ms, bench.tail(i, 15)), 'MessageReceived', bench.moment(ms), bench.moment(ms), identifier_id,
           bench.id(opened, bench.tail(n, 13)), %(brand)s, 'customer', identifier_id, 'webchat',
           jsonb_build_object('message_id', bench.id(ms, bench.tail(i, 14)), 'seq', (i - 1) %% 500 + 1,
                              'automatic', false)
      FROM (SELECT i, (i - 1) / 500 + 1 AS n, bench.ms(i, %(long)s) AS ms,
                   bench.ms((i - 1) / 500 * 500, %(long)s) AS opened,
                   bench.id(bench.ms(0, %(messages)s), bench.tail(1 + i %% 3, 11)) AS identifier_id
              FROM generate_series(1, %(long)s::bigint) AS i
            OFFSET 0) AS made
"""
_LONG_INBOX: Final[LiteralString] = """
    INSERT INTO conversations.inbox_row
           (conversation_id, brand_id, identifier_id, status, last_seq, last_message_at)
    SELECT id, brand_id, identifier_id, status, 500, opened_at
      FROM conversations.conversation
     WHERE number > %(customers)s
"""
# What is there already was heard already.
_CURSORS: Final[LiteralString] = """
    INSERT INTO platform.cursor (name, seq) SELECT 'search', last_value FROM platform.event_seq
"""
_NUMBERS: Final[LiteralString] = """
    SELECT setval(pg_get_serial_sequence('conversations.conversation', 'number'),
                  (SELECT max(number) FROM conversations.conversation)),
           setval(pg_get_serial_sequence('channels.receipt', 'seq'), (SELECT max(seq) FROM channels.receipt))
"""

Named = tuple[str, LiteralString]

# Side by side, for two processors; each from above to below.
SIDES: Final[tuple[tuple[Named, ...], ...]] = (
    (
        ("messages", _MESSAGES),
        ("one long history: messages", _LONG_MESSAGES),
        ("words to be found", _FOUND),
        ("deliveries", _DELIVERIES),
        ("inbox rows", _INBOX),
    ),
    (
        ("events of messages", _EVENTS),
        ("events of conversations", _OPENINGS),
        ("one long history: events", _LONG_EVENTS),
        ("receipts", _RECEIPTS),
        ("identifiers", _IDENTIFIERS),
        ("one long history: who", _LONG_IDENTIFIERS),
        ("customers", _CUSTOMERS),
        ("conversations", _CONVERSATIONS),
        ("one long history: work", _LONG_CONVERSATIONS),
    ),
)
LAST: Final[tuple[Named, ...]] = (
    ("one long history: evidence", _LONG_EVIDENCE),
    ("one long history: inbox", _LONG_INBOX),
    ("cursors", _CURSORS),
    ("numbers", _NUMBERS),
)
