-- append: Keep events, but for those that are known. One at a time, so that numbers are seen in their order.
WITH alone AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtext('farandole_record'), 'farandole_record'::regclass::oid::int))
INSERT INTO farandole_record (id, type, source, correlation_id, causationid, time, field, key, topic, body, recorded_at, day)
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, :now, farandole_record_day(time)
FROM alone, unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::double precision[], $8::text[], $9::text[],
            $10::text[], $11::bytea[])
     WITH ORDINALITY AS e (id, type, source, correlation_id, causationid, time, field, key, topic, body, place)
ORDER BY place ON CONFLICT DO NOTHING RETURNING 1;

-- open_days: Those of these days get partitions that are not far off.
SELECT farandole_record_open_day(day) FROM unnest($2::int[]) AS day WHERE day BETWEEN :now / 86400000 - $3::int AND :now / 86400000 + 1;

-- event: One event.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE id = $1;

-- events_of: The events of an instance.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE correlation_id = $1 ORDER BY number;

-- instances_of: The instances that have an event with a key, the latest first.
SELECT correlation_id FROM farandole_record
WHERE key = $1 AND field = $2 AND field <> '' AND ($3::text IS NULL OR type = $3)
GROUP BY correlation_id ORDER BY max(number) DESC LIMIT $4;

-- latest_of: Where the latest events of these instances stand.
SELECT found.* FROM unnest($1::text[]) AS wanted CROSS JOIN LATERAL (
    SELECT correlation_id, number FROM farandole_record WHERE correlation_id = wanted ORDER BY number DESC LIMIT 1
) AS found;

-- since: What was recorded after a place.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE number > $1 ORDER BY number LIMIT $2;

-- old: The instances of the next events that are old, and where those stand. It stops at the first that is not: what was recorded later is younger.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_record WHERE number > $2 ORDER BY number LIMIT $4
) AS next WHERE recorded_at < :now - $3::bigint;

-- old_other: The same, of those that are in no day's partition.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_record_other WHERE number > $2 ORDER BY number LIMIT $4
) AS next WHERE recorded_at < :now - $3::bigint;

-- days_over: The first day that is over for so long.
SELECT day FROM (
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01' AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'farandole_record'::regclass AND c.relname ~ '_[0-9]{8}$'
) AS days WHERE (day + 1) * 86400000::bigint <= :now - $2::bigint ORDER BY day LIMIT 1;

-- quiet_of_day: The instances of a day of which nothing was recorded lately.
SELECT wanted FROM (SELECT DISTINCT correlation_id AS wanted FROM farandole_record WHERE day = $2) AS of_day
WHERE greatest((SELECT max(recorded_at) FROM farandole_record WHERE correlation_id = wanted),
               (SELECT max(recorded_at) FROM farandole_fates WHERE correlation_id = wanted)) < :now - $3::bigint;

-- forget_elsewhere: The events of these instances go that are of other days.
DELETE FROM farandole_record WHERE correlation_id = ANY($1::text[]) AND day <> $2;

-- drop_day: And those of the day.
SELECT farandole_record_drop_day($2, $1::text[]);

-- old_of: The same, of one type.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_record WHERE type = $5 AND number > $2 ORDER BY number LIMIT $4
) AS next WHERE recorded_at < :now - $3::bigint;

-- old_fates: The same, of fates.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_fates WHERE number > $2 ORDER BY number LIMIT $4
) AS next WHERE recorded_at < :now - $3::bigint;

-- alone: Nobody else forgets, or says where an instance is, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('farandole_standings'), 'farandole_standings'::regclass::oid::int);

-- quiet: Those of these instances of which nothing was recorded lately.
SELECT wanted FROM unnest($2::text[]) AS wanted
WHERE greatest((SELECT max(recorded_at) FROM farandole_record WHERE correlation_id = wanted),
               (SELECT max(recorded_at) FROM farandole_fates WHERE correlation_id = wanted)) < :now - $3::bigint;

-- forget: The events of these instances go.
DELETE FROM farandole_record WHERE correlation_id = ANY($1::text[]);

-- forget_fates: And what became of them.
DELETE FROM farandole_fates WHERE correlation_id = ANY($1::text[]);

-- forget_standings: And where they stand.
DELETE FROM farandole_standings WHERE correlation_id = ANY($1::text[]);

-- forget_alerts: And what was said of them.
DELETE FROM farandole_alerts WHERE correlation_id = ANY($1::text[]);

-- forget_resolved: What is over for long.
DELETE FROM farandole_alerts WHERE resolved < (:now - $2::bigint) / 1000.0;

-- thin_fates: What became of the events of one type in these instances goes.
DELETE FROM farandole_fates WHERE correlation_id = ANY($1::text[])
AND id IN (SELECT id FROM farandole_record WHERE correlation_id = ANY($1::text[]) AND type = $2);

-- thin: And these events.
DELETE FROM farandole_record WHERE correlation_id = ANY($1::text[]) AND type = $2;

-- emptied: Those of these instances that have no events.
SELECT wanted FROM unnest($1::text[]) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM farandole_record WHERE correlation_id = wanted);

-- tell: Keep what became of events, but for what is known. (In one order, so that two who tell the same do not lock each other out.)
INSERT INTO farandole_fates
    (id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place, recorded_at)
SELECT id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place, :now
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::double precision[], $8::double precision[], $9::int[],
            $10::double precision[], $11::text[], $12::text[], $13::text[])
     AS f (id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place)
ORDER BY correlation_id, id, reaction, state, at ON CONFLICT DO NOTHING RETURNING 1;

-- fates_of: What became of the events of an instance.
SELECT id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place
FROM farandole_fates WHERE correlation_id = $1 ORDER BY at, number;

-- stand: Keep where instances are, unless more is known, or the instance is forgotten.
INSERT INTO farandole_standings
    (correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number)
SELECT s.* FROM unnest($1::text[], $2::text[], $3::text[], $4::double precision[], $5::double precision[], $6::double precision[],
    $7::double precision[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[])
    AS s (correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number)
WHERE EXISTS (SELECT 1 FROM farandole_record r WHERE r.correlation_id = s.correlation_id)
ON CONFLICT (correlation_id) DO UPDATE SET
    workflow = excluded.workflow, state = excluded.state, since = excluded.since, began = excluded.began, due = excluded.due,
    changes_at = excluded.changes_at, field = excluded.field, key = excluded.key, waits_for = excluded.waits_for,
    service = excluded.service, reason = excluded.reason, number = excluded.number
WHERE farandole_standings.number <= excluded.number;

-- stand_upto: All events up to this place are looked at.
UPDATE farandole_stood SET number = $1 WHERE number < $1;

-- stood: Up to which place events were looked at.
SELECT number FROM farandole_stood;

-- standings: Where instances are, those that began last first. It takes the latest of each workflow and state, and of these the latest.
WITH RECURSIVE pairs AS (
    (SELECT workflow, state FROM farandole_standings ORDER BY workflow, state LIMIT 1)
    UNION ALL
    SELECT n.* FROM pairs CROSS JOIN LATERAL (
        SELECT workflow, state FROM farandole_standings WHERE (workflow, state) > (pairs.workflow, pairs.state)
        ORDER BY workflow, state LIMIT 1) AS n
)
SELECT s.* FROM pairs CROSS JOIN LATERAL (
    SELECT correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number
    FROM farandole_standings o
    WHERE o.workflow = pairs.workflow AND o.state = pairs.state AND coalesce(o.began, 0) >= $3
    ORDER BY coalesce(o.began, 0) DESC, o.number DESC LIMIT $4) AS s
WHERE ($1::text IS NULL OR pairs.workflow = $1) AND ($2::text[] = '{}' OR pairs.state = ANY($2))
ORDER BY coalesce(s.began, 0) DESC, s.number DESC LIMIT $4;

-- standing_of: Where these instances are.
SELECT correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number
FROM farandole_standings WHERE correlation_id = ANY($1::text[]);

-- counts: How many instances there are, by workflow and state.
SELECT workflow, state, count(*) FROM farandole_standings GROUP BY workflow, state;

-- changing: The instances to look at again by now.
SELECT correlation_id FROM farandole_standings WHERE changes_at <= $1 ORDER BY changes_at, correlation_id LIMIT $2;

-- alert: Open alerts, but for those that are open.
INSERT INTO farandole_alerts (key, rule, correlation_id, workflow, text, at, owed)
SELECT a.*, a.at FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::double precision[])
    AS a (key, rule, correlation_id, workflow, text, at) ORDER BY a.key
ON CONFLICT (key) DO UPDATE SET
    rule = excluded.rule, correlation_id = excluded.correlation_id, workflow = excluded.workflow, text = excluded.text,
    at = excluded.at, resolved = NULL, owed = excluded.at
WHERE farandole_alerts.resolved IS NOT NULL RETURNING key;

-- resolve: Close those alerts that are open. (They are locked in one order, so that two who resolve the same do not lock each other out.)
WITH open AS (
    SELECT key FROM farandole_alerts WHERE key = ANY($1::text[]) AND resolved IS NULL ORDER BY key FOR UPDATE
)
UPDATE farandole_alerts a SET resolved = $2, owed = $2 FROM open WHERE a.key = open.key AND a.resolved IS NULL
RETURNING a.key, a.rule, a.correlation_id, a.workflow, a.text, a.at, a.resolved;

-- told: People were told of these alerts, as they are here.
UPDATE farandole_alerts a SET owed = NULL
FROM unnest($1::text[], $2::double precision[], $3::double precision[]) AS t (key, at, resolved)
WHERE a.key = t.key AND a.at = t.at AND a.resolved IS NOT DISTINCT FROM t.resolved;

-- owed: Alerts of which people were not told for long; whoever asks is to tell. (What another takes just now is his.)
WITH owed AS (
    SELECT key FROM farandole_alerts WHERE owed <= $1 ORDER BY owed LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE farandole_alerts a SET owed = $2 FROM owed WHERE a.key = owed.key
RETURNING a.key, a.rule, a.correlation_id, a.workflow, a.text, a.at, a.resolved;

-- alerts_open: The alerts that are open, the latest first.
SELECT key, rule, correlation_id, workflow, text, at, resolved FROM farandole_alerts WHERE resolved IS NULL ORDER BY at DESC LIMIT $1;

-- alerts_over: The alerts that are over, the latest first.
SELECT key, rule, correlation_id, workflow, text, at, resolved FROM farandole_alerts WHERE resolved IS NOT NULL ORDER BY at DESC LIMIT $1;
