-- instance: Lock an instance; one that is not there begins.
INSERT INTO farandole_instances (reaction, key, state, have, since) VALUES ($2, $3, 'open', '{}', :now)
ON CONFLICT (reaction, key) DO UPDATE SET key = excluded.key
RETURNING state, timer, runner, have, expected, since, data, revision, number;

-- keep: What changed in an instance.
UPDATE farandole_instances SET state = $2, timer = $3, runner = $4, have = $5, expected = $6, since = :now, data = $7, revision = $8,
    number = CASE WHEN $11 THEN nextval('farandole_instances_number') ELSE number END
WHERE reaction = $9 AND key = $10;

-- standing: Where instances stand, without a lock.
SELECT i.reaction, i.key, state, timer, runner, have, expected, since, data, revision, number
FROM farandole_instances AS i JOIN unnest($1::text[], $2::text[]) AS wanted (reaction, key) ON i.reaction = wanted.reaction AND i.key = wanted.key;

-- hasten: Rows of an event that were put off without blocking their key, and have not run, are due.
UPDATE farandole_inbox SET due = :now
WHERE id = $2 AND reaction = ANY($3::text[]) AND state = 'parked' AND attempts = 0 AND blocks IS NULL AND due > :now;

-- add: A part; nothing happens where it is known.
INSERT INTO farandole_parts (reaction, key, id, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id;

-- parts: The parts of an instance in the order of arrival.
SELECT body FROM farandole_parts WHERE reaction = $1 AND key = $2 ORDER BY number;

-- forget: The parts of an instance that is over.
DELETE FROM farandole_parts WHERE reaction = $1 AND key = $2;

-- state: What state an inbox row is in.
SELECT state FROM farandole_inbox WHERE reaction = $1 AND id = $2;

-- drop: A row that waits is not to run any more.
UPDATE farandole_inbox
SET state = 'skipped', handled_at = :now, reason = $2, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
WHERE reaction = $3 AND id = $4 AND state = 'parked';

-- wake: A row that waits, and not for one ahead of it, may run.
UPDATE farandole_inbox SET due = :now WHERE reaction = $2 AND id = $3 AND state = 'parked' AND (due IS NOT NULL OR blocks IS NULL);

-- over: Some tombstones that are old, with the parts of those that expired.
WITH gone AS (
    DELETE FROM farandole_instances WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM farandole_instances WHERE state NOT IN ('open', 'full', 'running', 'undoing') AND since < :now - $2::bigint ORDER BY since LIMIT $3
        FOR UPDATE SKIP LOCKED
    )) RETURNING reaction, key
)
DELETE FROM farandole_parts AS p USING gone WHERE p.reaction = gone.reaction AND p.key = gone.key RETURNING p.id;
