-- make: An instance that is not there begins.
INSERT INTO farandole_instances (reaction, key, state, have, since) VALUES (?, ?, 'open', '{}', ?) ON CONFLICT DO NOTHING;

-- look: Where an instance stands.
SELECT state, timer, runner, have, expected, since, data, revision, number FROM farandole_instances WHERE reaction = ? AND key = ?;

-- keep: What changed in an instance.
UPDATE farandole_instances SET state = ?, timer = ?, runner = ?, have = ?, expected = ?, since = ?, data = ?, revision = ?
WHERE reaction = ? AND key = ?;

-- number: An action happened, after all others.
UPDATE farandole_instances
SET number = 1 + (SELECT coalesce(max(number), 0) FROM farandole_instances WHERE number IS NOT NULL) WHERE reaction = ? AND key = ?;

-- hasten: Rows of an event that were put off without blocking their key, and have not run, are due.
UPDATE farandole_inbox SET due = ?1
WHERE id = ?2 AND reaction IN (SELECT value FROM json_each(?3)) AND state = 'parked' AND attempts = 0 AND blocks IS NULL AND due > ?1;

-- add: A part; nothing happens where it is known.
INSERT INTO farandole_parts (reaction, key, id, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- parts: The parts of an instance in the order of arrival.
SELECT body FROM farandole_parts WHERE reaction = ? AND key = ? ORDER BY number;

-- forget: The parts of an instance that is over.
DELETE FROM farandole_parts WHERE reaction = ? AND key = ?;

-- state: What state an inbox row is in.
SELECT state FROM farandole_inbox WHERE reaction = ? AND id = ?;

-- drop: A row that waits is not to run any more.
UPDATE farandole_inbox
SET state = 'skipped', handled_at = ?, reason = ?, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
WHERE reaction = ? AND id = ? AND state = 'parked';

-- wake: A row that waits, and not for one ahead of it, may run.
UPDATE farandole_inbox SET due = ? WHERE reaction = ? AND id = ? AND state = 'parked' AND (due IS NOT NULL OR blocks IS NULL);

-- any_over: Whether a tombstone is old.
SELECT EXISTS (SELECT 1 FROM farandole_instances WHERE state NOT IN ('open', 'full', 'running', 'undoing') AND since < ?);

-- over: Some tombstones that are old.
DELETE FROM farandole_instances WHERE (reaction, key) IN (
    SELECT reaction, key FROM farandole_instances WHERE state NOT IN ('open', 'full', 'running', 'undoing') AND since < ? ORDER BY since LIMIT ?
) RETURNING reaction, key;
