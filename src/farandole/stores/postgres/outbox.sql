-- emit: Messages wait for the relay, in this order.
INSERT INTO farandole_outbox (bucket, aggregatetype, aggregateid, id, type, payload, created_at)
SELECT bucket, topic, key, id, type, body, :now
FROM unnest($2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[])
     WITH ORDINALITY AS m (bucket, topic, key, id, type, body, place) ORDER BY place;

-- oldest: The oldest messages of all buckets.
SELECT seq, bucket, aggregatetype, aggregateid, id, type, payload FROM farandole_outbox ORDER BY seq LIMIT $1;

-- oldest_of: The oldest messages of these buckets; a long queue in another is not read over and over.
SELECT found.* FROM unnest($2::smallint[]) AS wanted CROSS JOIN LATERAL (
    SELECT seq, bucket, aggregatetype, aggregateid, id, type, payload FROM farandole_outbox WHERE bucket = wanted ORDER BY seq LIMIT $1
) AS found ORDER BY found.seq LIMIT $1;

-- published: The broker has these. A transaction of its own that waits for no disk.
WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
DELETE FROM farandole_outbox USING relaxed WHERE seq = ANY($1::bigint[]);

-- withdraw: It leaves the outbox, in a transaction that keeps it elsewhere.
DELETE FROM farandole_outbox WHERE seq = $1 RETURNING seq;

-- only_me: One relay at a time looks at the leases.
LOCK TABLE farandole_outbox_leases IN EXCLUSIVE MODE;

-- expire: Leases of relays that are gone.
DELETE FROM farandole_outbox_leases WHERE expires <= :now;

-- relays: Who leases what.
SELECT token, buckets FROM farandole_outbox_leases;

-- lease: A relay is alive, and holds these buckets.
INSERT INTO farandole_outbox_leases (token, buckets, expires) VALUES ($2, $3::smallint[], :now + $4::bigint)
ON CONFLICT (token) DO UPDATE SET buckets = excluded.buckets, expires = excluded.expires;

-- release: A relay goes.
DELETE FROM farandole_outbox_leases WHERE token = $1;

-- status: Figures for people. The reactions with due rows are found by skipping along the index, so that timers which are not due cost nothing.
WITH RECURSIVE reactions (name) AS (
    (SELECT reaction FROM farandole_inbox WHERE due IS NOT NULL ORDER BY reaction LIMIT 1)
    UNION ALL
    SELECT (SELECT reaction FROM farandole_inbox WHERE due IS NOT NULL AND reaction > name ORDER BY reaction LIMIT 1)
    FROM reactions WHERE name IS NOT NULL
)
SELECT (SELECT count(*) FROM farandole_outbox),
       :now - (SELECT created_at FROM farandole_outbox ORDER BY seq LIMIT 1),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'parked'),
       (SELECT count(*) FROM (SELECT DISTINCT reaction, key FROM farandole_inbox WHERE blocks) AS queues),
       (SELECT coalesce(sum(found.many), 0)::bigint FROM reactions CROSS JOIN LATERAL (
            SELECT count(*) AS many FROM farandole_inbox WHERE due IS NOT NULL AND reaction = name AND due <= :now AND state = 'parked'
        ) AS found),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'claimed'),
       (SELECT count(*) FROM farandole_inbox WHERE key IS NOT NULL AND state = 'dead'),
       (SELECT count(*) FROM farandole_tasks WHERE done_at IS NULL);
