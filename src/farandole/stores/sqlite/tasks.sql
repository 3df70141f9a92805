-- open: Ask for something to be done; of one that is open already, the latest reason counts.
INSERT INTO farandole_tasks (opened_at, reaction, event, key, correlation, kind, text, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (reaction, event) WHERE done_at IS NULL DO UPDATE SET kind = excluded.kind, text = excluded.text, reason = excluded.reason;

-- close: What was asked for about an event needs nobody any more.
UPDATE farandole_tasks SET done_at = ?, who = ?, why = ? WHERE reaction = ? AND event = ? AND done_at IS NULL;

-- finish: Somebody did it, unless another was first.
UPDATE farandole_tasks SET done_at = ?, who = ?, why = ? WHERE id = ? AND done_at IS NULL;

-- listed: Open ones, and with ?1 those that are done; one of them, with ?2.
SELECT id, opened_at, reaction, event, key, correlation, kind, text, reason, done_at, who, why
FROM farandole_tasks WHERE (?1 OR done_at IS NULL) AND (?2 IS NULL OR id = ?2) ORDER BY id;

-- any_old: Whether one was done long ago.
SELECT EXISTS (SELECT 1 FROM farandole_tasks WHERE done_at IS NOT NULL AND done_at < ?);

-- forget: Some that were done long ago.
DELETE FROM farandole_tasks WHERE id IN (
    SELECT id FROM farandole_tasks WHERE done_at IS NOT NULL AND done_at < ? ORDER BY done_at LIMIT ?
);
