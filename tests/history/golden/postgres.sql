-- 1

CREATE TABLE state (
    id bigint PRIMARY KEY CHECK (id = 0),
    customer bigint NOT NULL,
    seq bigint NOT NULL,
    latest bigint NOT NULL,
    consent_required bigint NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, 0, 0);
CREATE TABLE customers (
    key bigint PRIMARY KEY,
    user_id text NOT NULL,
    version bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    traits text,
    consent text,
    names text,
    train bigint
);
CREATE TABLE names (
    name text PRIMARY KEY,
    customer bigint NOT NULL
);
CREATE TABLE events (
    customer bigint NOT NULL,
    seq bigint NOT NULL,
    event_time bigint NOT NULL,
    action text NOT NULL,
    item_id text,
    value bigint,
    count double precision,
    source text,
    received bigint NOT NULL,
    message bytea NOT NULL,
    part bigint NOT NULL,
    PRIMARY KEY (customer, seq)
);
CREATE TABLE messages (
    key bytea PRIMARY KEY,
    received bigint NOT NULL
);
CREATE TABLE quiet_messages (
    customer bigint NOT NULL,
    key bytea NOT NULL,
    received bigint NOT NULL,
    PRIMARY KEY (customer, key)
);
CREATE TABLE decisions (
    user_id text NOT NULL,
    seq bigint NOT NULL,
    time bigint NOT NULL,
    scenario text NOT NULL,
    bundle text NOT NULL,
    policy text NOT NULL,
    items text NOT NULL,
    p_action text NOT NULL,
    PRIMARY KEY (user_id, seq)
);
CREATE TABLE suppressed (mark bytea PRIMARY KEY);
-- 2

CREATE VIEW live_events AS
    SELECT c.user_id, e.item_id, e.action, CASE WHEN e.event_time BETWEEN -62135596800000000 AND 253402300799999999 THEN to_char(timestamp '1970-01-01' + e.event_time / 1000000 * interval '1 second' + e.event_time % 1000000 * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END AS event_time,
           e.value / 1000000.0::double precision AS value, e.count, e.source,
           encode(e.message, 'hex') || '-' || e.part AS event_id
    FROM events e JOIN customers c ON c.key = e.customer
    WHERE coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(c.user_id, 1, 7) <> 'verify:';
CREATE VIEW live_identities AS
    SELECT c.user_id, n.name AS alias
    FROM names n JOIN customers c ON c.key = n.customer
    WHERE n.name <> c.user_id AND coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(c.user_id, 1, 7) <> 'verify:';
CREATE VIEW live_users AS
    SELECT c.user_id, coalesce(c.traits, '{}') AS traits
    FROM customers c
    WHERE coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(c.user_id, 1, 7) <> 'verify:';
CREATE VIEW live_impressions AS
    SELECT coalesce(c.user_id, d.user_id) AS user_id, i.value AS item_id, i.place AS position,
           (d.p_action::json ->> (i.place - 1)::integer)::double precision AS p_action, d.policy,
           CASE WHEN d.time BETWEEN -62135596800000000 AND 253402300799999999 THEN to_char(timestamp '1970-01-01' + d.time / 1000000 * interval '1 second' + d.time % 1000000 * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END AS time, NULL::text AS outcome
    FROM decisions d
    LEFT JOIN names n ON n.name = d.user_id
    LEFT JOIN customers c ON c.key = n.customer
    CROSS JOIN LATERAL json_array_elements_text(d.items::json) WITH ORDINALITY AS i(value, place)
    WHERE coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(coalesce(c.user_id, d.user_id), 1, 7) <> 'verify:';
CREATE VIEW live_state AS
    WITH own AS (
        SELECT coalesce(max(greatest(c.version, coalesce(
                   (SELECT max(seq) FROM events WHERE customer = c.key), 0))), 0)
               || ' ' || count(*) || ' '
               || (SELECT consent_required FROM state) AS state
        FROM customers c WHERE coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(c.user_id, 1, 7) <> 'verify:'
    ), shown AS (
        SELECT coalesce(max(seq), 0) || ' ' || count(*) AS state
        FROM decisions WHERE substr(user_id, 1, 7) <> 'verify:'
    )
    SELECT 'live_events' AS view, state FROM own
    UNION ALL SELECT 'live_identities', state FROM own
    UNION ALL SELECT 'live_users', state FROM own
    UNION ALL SELECT 'live_impressions', own.state || ' ' || shown.state FROM own, shown;
-- 3

CREATE TABLE past_state (
    id bigint PRIMARY KEY CHECK (id = 0),
    customer bigint NOT NULL,
    version bigint NOT NULL,
    progress bytea NOT NULL
);
INSERT INTO past_state VALUES (0, 0, 0, '');
CREATE TABLE past_customers (
    key bigint PRIMARY KEY,
    user_id text NOT NULL UNIQUE,
    version bigint NOT NULL,
    digest bytea NOT NULL,
    names text,
    traits text,
    events bytea NOT NULL
);
CREATE TABLE past_names (
    name text PRIMARY KEY,
    customer bigint NOT NULL
);
-- 4

CREATE TABLE control_kinds (
    kind text PRIMARY KEY,
    number bigint NOT NULL,
    removed bigint NOT NULL
);
CREATE TABLE controls (
    kind text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE UNIQUE INDEX controls_changed ON controls (kind, version);
-- 5

ALTER TABLE names ADD COLUMN member bigint;
ALTER TABLE names ADD COLUMN kind bigint;
ALTER TABLE names ADD COLUMN joined bigint;
ALTER TABLE names ADD COLUMN trusted bigint;
ALTER TABLE names ADD COLUMN unlinked bigint;
UPDATE names SET member = customer WHERE EXISTS (
    SELECT 1 FROM customers c WHERE c.key = names.customer AND c.user_id = names.name
);
ALTER TABLE events ADD COLUMN member bigint;
ALTER TABLE messages ADD COLUMN content bytea;
ALTER TABLE state ADD COLUMN unscoped bigint NOT NULL DEFAULT 0;
UPDATE state SET unscoped = latest;
CREATE TABLE profiles (
    customer bigint NOT NULL,
    member bigint NOT NULL,
    profile text NOT NULL,
    PRIMARY KEY (customer, member)
);
