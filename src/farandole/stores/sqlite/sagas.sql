-- make: An instance that is not there begins.
INSERT INTO farandole_instances (reaction, key, state, have, since) VALUES (?, ?, 'open', '{}', ?) ON CONFLICT DO NOTHING;

-- look: Where an instance stands.
SELECT state, timer, runner, have, expected, since FROM farandole_instances WHERE reaction = ? AND key = ?;

-- keep: What changed in an instance.
UPDATE farandole_instances SET state = ?, timer = ?, runner = ?, have = ?, expected = ?, since = ? WHERE reaction = ? AND key = ?;

-- add: A part; nothing happens where it is known.
INSERT INTO farandole_parts (reaction, key, id, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- parts: The parts of an instance in the order of arrival.
SELECT body FROM farandole_parts WHERE reaction = ? AND key = ? ORDER BY number;

-- forget: The parts of an instance that is over.
DELETE FROM farandole_parts WHERE reaction = ? AND key = ?;

-- drop: A row that waits is not to run any more.
UPDATE farandole_inbox
SET state = 'skipped', handled_at = ?, reason = ?, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
WHERE reaction = ? AND id = ? AND state = 'parked';

-- any_over: Whether a tombstone is old.
SELECT EXISTS (SELECT 1 FROM farandole_instances WHERE state NOT IN ('open', 'full') AND since < ?);

-- over: Some tombstones that are old.
DELETE FROM farandole_instances WHERE (reaction, key) IN (
    SELECT reaction, key FROM farandole_instances WHERE state NOT IN ('open', 'full') AND since < ? ORDER BY since LIMIT ?
) RETURNING reaction, key;
