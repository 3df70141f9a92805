-- append: Keep an event, unless it is known.
INSERT INTO farandole_record (id, type, source, correlation_id, causationid, time, field, key, topic, body, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- event: One event.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE id = ?;

-- events_of: The events of an instance.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE correlation_id = ? ORDER BY number;

-- instances_of: The instances that have an event with a key, the latest first. (The plus keeps the index on types out of it.)
SELECT correlation_id FROM farandole_record
WHERE key = ?1 AND field = ?2 AND field <> '' AND (?3 IS NULL OR +type = ?3)
GROUP BY correlation_id ORDER BY max(number) DESC LIMIT ?4;

-- latest_of: Where the latest events of these instances stand.
SELECT correlation_id, max(number) FROM farandole_record
WHERE correlation_id IN (SELECT value FROM json_each(?)) GROUP BY correlation_id;

-- since: What was recorded after a place.
SELECT id, type, source, correlation_id, causationid, time, field, key, topic, body, number FROM farandole_record WHERE number > ? ORDER BY number LIMIT ?;

-- old: The instances of the next events that are old, and where those stand. It stops at the first that is not: what was recorded later is younger.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_record WHERE number > ?1 ORDER BY number LIMIT ?3
) WHERE recorded_at < ?2;

-- old_of: The same, of one type.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_record WHERE type = ?4 AND number > ?1 ORDER BY number LIMIT ?3
) WHERE recorded_at < ?2;

-- old_fates: The same, of fates.
SELECT correlation_id, number FROM (
    SELECT correlation_id, number, recorded_at FROM farandole_fates WHERE number > ?1 ORDER BY number LIMIT ?3
) WHERE recorded_at < ?2;

-- quiet: Those of these instances of which nothing was recorded lately. (The maximum of two is NULL where one is.)
SELECT value FROM json_each(?1)
WHERE max(coalesce((SELECT max(recorded_at) FROM farandole_record WHERE correlation_id = value), 0),
          coalesce((SELECT max(recorded_at) FROM farandole_fates WHERE correlation_id = value), 0)) < ?2;

-- forget: The events of these instances go.
DELETE FROM farandole_record WHERE correlation_id IN (SELECT value FROM json_each(?));

-- forget_fates: And what became of them.
DELETE FROM farandole_fates WHERE correlation_id IN (SELECT value FROM json_each(?));

-- forget_standings: And where they stand.
DELETE FROM farandole_standings WHERE correlation_id IN (SELECT value FROM json_each(?));

-- forget_alerts: And what was said of them.
DELETE FROM farandole_alerts WHERE correlation_id IN (SELECT value FROM json_each(?));

-- forget_resolved: What is over for long.
DELETE FROM farandole_alerts WHERE resolved < ?;

-- thin_fates: What became of the events of one type in these instances goes.
DELETE FROM farandole_fates WHERE correlation_id IN (SELECT value FROM json_each(?1))
AND id IN (SELECT id FROM farandole_record WHERE correlation_id IN (SELECT value FROM json_each(?1)) AND +type = ?2);

-- thin: And these events. (The plus keeps the index on types out of it.)
DELETE FROM farandole_record WHERE correlation_id IN (SELECT value FROM json_each(?1)) AND +type = ?2;

-- emptied: Those of these instances that have no events.
SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM farandole_record WHERE correlation_id = value);

-- tell: Keep what became of an event, unless it is known.
INSERT INTO farandole_fates
    (id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place, recorded_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- fates_of: What became of the events of an instance.
SELECT id, correlation_id, reaction, state, attempt, at, seconds, emitted, due, reason, error, place
FROM farandole_fates WHERE correlation_id = ? ORDER BY at, number;

-- stand: Keep where an instance is, unless more is known, or the instance is forgotten.
INSERT INTO farandole_standings
    (correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
WHERE EXISTS (SELECT 1 FROM farandole_record WHERE correlation_id = ?1)
ON CONFLICT (correlation_id) DO UPDATE SET
    workflow = excluded.workflow, state = excluded.state, since = excluded.since, began = excluded.began, due = excluded.due,
    changes_at = excluded.changes_at, field = excluded.field, key = excluded.key, waits_for = excluded.waits_for,
    service = excluded.service, reason = excluded.reason, number = excluded.number
WHERE farandole_standings.number <= excluded.number;

-- stand_upto: All events up to this place are looked at.
UPDATE farandole_stood SET number = ?1 WHERE number < ?1;

-- stood: Up to which place events were looked at.
SELECT number FROM farandole_stood;

-- standings: Where instances are, those that began last first. It takes the latest of each workflow and state, and of these the latest.
WITH RECURSIVE heads (place) AS (
    SELECT (SELECT rowid FROM farandole_standings ORDER BY workflow, state LIMIT 1)
    UNION ALL
    SELECT coalesce(  -- of a comparison of rows, SQLite's index would take the first column only
        (SELECT n.rowid FROM farandole_standings n WHERE n.workflow = h.workflow AND n.state > h.state ORDER BY n.state LIMIT 1),
        (SELECT n.rowid FROM farandole_standings n WHERE n.workflow > h.workflow ORDER BY n.workflow, n.state LIMIT 1))
    FROM heads JOIN farandole_standings h ON h.rowid = heads.place
)
SELECT s.correlation_id, s.workflow, s.state, s.since, s.began, s.due, s.changes_at, s.field, s.key, s.waits_for, s.service, s.reason, s.number
FROM heads CROSS JOIN farandole_standings p ON p.rowid = heads.place
CROSS JOIN farandole_standings s ON s.rowid IN (
    SELECT rowid FROM farandole_standings o
    WHERE o.workflow = p.workflow AND o.state = p.state AND coalesce(o.began, 0) >= ?3
    ORDER BY coalesce(o.began, 0) DESC, o.number DESC LIMIT ?4)
WHERE (?1 IS NULL OR p.workflow = ?1) AND (?2 = '[]' OR p.state IN (SELECT value FROM json_each(?2)))
ORDER BY coalesce(s.began, 0) DESC, s.number DESC LIMIT ?4;

-- standing_of: Where these instances are.
SELECT correlation_id, workflow, state, since, began, due, changes_at, field, key, waits_for, service, reason, number
FROM farandole_standings WHERE correlation_id IN (SELECT value FROM json_each(?));

-- counts: How many instances there are, by workflow and state.
SELECT workflow, state, count(*) FROM farandole_standings GROUP BY workflow, state;

-- changing: The instances to look at again by now.
SELECT correlation_id FROM farandole_standings WHERE changes_at <= ? ORDER BY changes_at, correlation_id LIMIT ?;

-- alert: Open an alert, unless it is open.
INSERT INTO farandole_alerts (key, rule, correlation_id, workflow, text, at, resolved, owed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?6)
ON CONFLICT (key) DO UPDATE SET
    rule = excluded.rule, correlation_id = excluded.correlation_id, workflow = excluded.workflow, text = excluded.text,
    at = excluded.at, resolved = NULL, owed = excluded.at
WHERE farandole_alerts.resolved IS NOT NULL RETURNING key;

-- resolve: Close an alert that is open.
UPDATE farandole_alerts SET resolved = ?1, owed = ?1 WHERE key = ?2 AND resolved IS NULL
RETURNING key, rule, correlation_id, workflow, text, at, resolved;

-- told: People were told of an alert, as it is here.
UPDATE farandole_alerts SET owed = NULL WHERE key = ? AND at = ? AND resolved IS ?;

-- owed: Alerts of which people were not told for long; whoever asks is to tell.
UPDATE farandole_alerts SET owed = ?2 WHERE key IN (
    SELECT key FROM farandole_alerts WHERE owed <= ?1 ORDER BY owed LIMIT ?3)
RETURNING key, rule, correlation_id, workflow, text, at, resolved;

-- alerts_open: The alerts that are open, the latest first.
SELECT key, rule, correlation_id, workflow, text, at, resolved FROM farandole_alerts WHERE resolved IS NULL ORDER BY at DESC LIMIT ?;

-- alerts_over: The alerts that are over, the latest first.
SELECT key, rule, correlation_id, workflow, text, at, resolved FROM farandole_alerts WHERE resolved IS NOT NULL ORDER BY at DESC LIMIT ?;
