-- emit: A message waits for the relay.
INSERT INTO farandole_outbox (bucket, topic, key, id, type, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- oldest: The oldest messages of all buckets.
SELECT seq, bucket, topic, key, id, type, body FROM farandole_outbox ORDER BY seq LIMIT ?;

-- oldest_of: Where the oldest messages of one bucket stand.
SELECT seq FROM farandole_outbox WHERE bucket = ? ORDER BY seq LIMIT ?;

-- rows: Messages, in order.
SELECT seq, bucket, topic, key, id, type, body FROM farandole_outbox WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq;

-- published: The broker has these.
DELETE FROM farandole_outbox WHERE seq IN (SELECT value FROM json_each(?));

-- relays: Who leases what.
SELECT token, buckets FROM farandole_outbox_leases;

-- expire: Leases of relays that are gone.
DELETE FROM farandole_outbox_leases WHERE expires <= ?;

-- lease: A relay is alive, and holds these buckets.
INSERT OR REPLACE INTO farandole_outbox_leases (token, buckets, expires) VALUES (?, ?, ?);

-- release: A relay goes.
DELETE FROM farandole_outbox_leases WHERE token = ?;

-- status: Figures for people. The reactions with due rows are found by skipping along the index, so that timers which are not due cost nothing.
WITH RECURSIVE reactions (name) AS (
    SELECT min(reaction) FROM farandole_inbox WHERE due IS NOT NULL
    UNION ALL
    SELECT (SELECT min(reaction) FROM farandole_inbox WHERE due IS NOT NULL AND reaction > name) FROM reactions WHERE name IS NOT NULL
)
SELECT (SELECT count(*) FROM farandole_outbox),
       (SELECT created_at FROM farandole_outbox ORDER BY seq LIMIT 1),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'parked'),
       (SELECT count(*) FROM (SELECT DISTINCT reaction, key FROM farandole_inbox WHERE blocks = 1)),
       (SELECT count(*) FROM reactions CROSS JOIN farandole_inbox AS i
        WHERE i.due IS NOT NULL AND i.reaction = name AND i.due <= ?1 AND i.state = 'parked'),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'claimed'),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'dead'),
       (SELECT count(*) FROM farandole_tasks WHERE done_at IS NULL);

-- first: Where the oldest message stands; null: there is none.
SELECT min(seq) FROM farandole_outbox;
