-- instance: Lock an instance; one that is not there begins.
INSERT INTO farandole_instances (reaction, key, state, have, since) VALUES ($2, $3, 'open', '{}', :now)
ON CONFLICT (reaction, key) DO UPDATE SET key = excluded.key
RETURNING state, timer, runner, have, expected, since;

-- keep: What changed in an instance.
UPDATE farandole_instances SET state = $2, timer = $3, runner = $4, have = $5, expected = $6, since = :now WHERE reaction = $7 AND key = $8;

-- add: A part; nothing happens where it is known.
INSERT INTO farandole_parts (reaction, key, id, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING id;

-- parts: The parts of an instance in the order of arrival.
SELECT body FROM farandole_parts WHERE reaction = $1 AND key = $2 ORDER BY number;

-- forget: The parts of an instance that is over.
DELETE FROM farandole_parts WHERE reaction = $1 AND key = $2;

-- drop: A row that waits is not to run any more.
UPDATE farandole_inbox
SET state = 'skipped', handled_at = :now, reason = $2, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
WHERE reaction = $3 AND id = $4 AND state = 'parked';

-- over: Some tombstones that are old, with the parts of those that expired.
WITH gone AS (
    DELETE FROM farandole_instances WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM farandole_instances WHERE state NOT IN ('open', 'full') AND since < :now - $2::bigint ORDER BY since LIMIT $3
        FOR UPDATE SKIP LOCKED
    )) RETURNING reaction, key
)
DELETE FROM farandole_parts AS p USING gone WHERE p.reaction = gone.reaction AND p.key = gone.key RETURNING p.id;
