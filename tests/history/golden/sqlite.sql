-- 1

CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    customer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    consent_required INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, 0, 0);
CREATE TABLE customers (
    key INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    traits TEXT,
    consent TEXT,
    names TEXT,
    train INTEGER
);
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    customer INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    customer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    action TEXT NOT NULL,
    item_id TEXT,
    value INTEGER,
    count REAL,
    source TEXT,
    received INTEGER NOT NULL,
    message BLOB NOT NULL,
    part INTEGER NOT NULL,
    PRIMARY KEY (customer, seq)
) WITHOUT ROWID;
CREATE TABLE messages (
    key BLOB PRIMARY KEY,
    received INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE quiet_messages (
    customer INTEGER NOT NULL,
    key BLOB NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (customer, key)
) WITHOUT ROWID;
CREATE TABLE decisions (
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    scenario TEXT NOT NULL,
    bundle TEXT NOT NULL,
    policy TEXT NOT NULL,
    items TEXT NOT NULL,
    p_action TEXT NOT NULL,
    PRIMARY KEY (user_id, seq)
) WITHOUT ROWID;
CREATE TABLE suppressed (mark BLOB PRIMARY KEY) WITHOUT ROWID;
-- 2

CREATE VIEW live_events AS
    SELECT c.user_id, e.item_id, e.action, strftime('%Y-%m-%dT%H:%M:%S', (e.event_time - ((e.event_time % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((e.event_time % 1000000 + 1000000) % 1000000)) AS event_time,
           e.value / 1000000.0 AS value, e.count, e.source,
           lower(hex(e.message)) || '-' || e.part AS event_id
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
    SELECT coalesce(c.user_id, d.user_id) AS user_id, i.value AS item_id, i.key + 1 AS position,
           json_extract(d.p_action, '$[' || i.key || ']') AS p_action, d.policy,
           strftime('%Y-%m-%dT%H:%M:%S', (d.time - ((d.time % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') || printf('.%06dZ', ((d.time % 1000000 + 1000000) % 1000000)) AS time, NULL AS outcome
    FROM decisions d
    LEFT JOIN names n ON n.name = d.user_id
    LEFT JOIN customers c ON c.key = n.customer,
    json_each(d.items) i
    WHERE coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1 AND substr(coalesce(c.user_id, d.user_id), 1, 7) <> 'verify:';
-- 3

CREATE VIEW live_state AS
    WITH own AS (
        SELECT coalesce(max(max(c.version, coalesce(
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
-- 4

CREATE TABLE past_state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    customer INTEGER NOT NULL,
    version INTEGER NOT NULL,
    progress BLOB NOT NULL
);
INSERT INTO past_state VALUES (0, 0, 0, '');
CREATE TABLE past_customers (
    key INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL,
    names TEXT,
    traits TEXT,
    events BLOB NOT NULL
);
CREATE TABLE past_names (
    name TEXT PRIMARY KEY,
    customer INTEGER NOT NULL
) WITHOUT ROWID;
-- 5

CREATE TABLE control_kinds (
    kind TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
CREATE TABLE controls (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE UNIQUE INDEX controls_changed ON controls (kind, version);
-- 6

ALTER TABLE names ADD COLUMN member INTEGER;
ALTER TABLE names ADD COLUMN kind INTEGER;
ALTER TABLE names ADD COLUMN joined INTEGER;
ALTER TABLE names ADD COLUMN trusted INTEGER;
ALTER TABLE names ADD COLUMN unlinked INTEGER;
UPDATE names SET member = customer WHERE EXISTS (
    SELECT 1 FROM customers c WHERE c.key = names.customer AND c.user_id = names.name
);
ALTER TABLE events ADD COLUMN member INTEGER;
ALTER TABLE messages ADD COLUMN content BLOB;
ALTER TABLE state ADD COLUMN unscoped INTEGER NOT NULL DEFAULT 0;
UPDATE state SET unscoped = latest;
CREATE TABLE profiles (
    customer INTEGER NOT NULL,
    member INTEGER NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (customer, member)
) WITHOUT ROWID;
