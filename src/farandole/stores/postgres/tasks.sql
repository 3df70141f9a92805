-- open: Ask for something to be done; of one that is open already, the latest reason counts.
INSERT INTO farandole_tasks (opened_at, reaction, event, key, correlation, kind, text, reason) VALUES (:now, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (reaction, event) WHERE done_at IS NULL DO UPDATE SET kind = excluded.kind, text = excluded.text, reason = excluded.reason;

-- close: What was asked for about an event needs nobody any more.
UPDATE farandole_tasks SET done_at = :now, who = $2, why = $3 WHERE reaction = $4 AND event = $5 AND done_at IS NULL;

-- finish: Somebody did it, unless another was first.
UPDATE farandole_tasks SET done_at = :now, who = $2, why = $3 WHERE id = $4 AND done_at IS NULL RETURNING id;

-- listed: Open ones, and with $1 those that are done; one of them, with $2.
SELECT id, opened_at, reaction, event, key, correlation, kind, text, reason, done_at, who, why
FROM farandole_tasks WHERE ($1::boolean OR done_at IS NULL) AND ($2::bigint IS NULL OR id = $2) ORDER BY id;

-- forget: Some that were done long ago.
DELETE FROM farandole_tasks WHERE id = ANY(ARRAY(
    SELECT id FROM farandole_tasks WHERE done_at < :now - $2::bigint ORDER BY done_at LIMIT $3
));
