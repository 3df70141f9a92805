-- claim: Insert marks, in the order of arrival; those that are known drop out.
INSERT INTO farandole_inbox (reaction, id, state, handled_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 'done', ?2 FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING;

-- claim_one: The same for one mark, for texts that SQLite's JSON functions cut short (those with U+0000).
INSERT INTO farandole_inbox (reaction, id, state, handled_at) VALUES (?1, ?2, 'done', ?3) ON CONFLICT DO NOTHING;

-- last: The newest row; what a statement inserts comes after it.
SELECT coalesce(max(seq), 0) FROM farandole_inbox;

-- claimed: Which marks were new.
SELECT reaction, id FROM farandole_inbox WHERE seq > ?;

-- any_blocked: Whether anything waits at all; costs next to nothing when nothing does.
SELECT EXISTS (SELECT 1 FROM farandole_inbox WHERE blocks = 1);

-- blocked: Keys whose later events must wait, with how many rows wait there.
SELECT reaction, key, count(*) FROM farandole_inbox
WHERE blocks = 1 AND reaction IN (SELECT value FROM json_each(?)) GROUP BY reaction, key;

-- blocked_key: How many rows of one key wait.
SELECT count(*) FROM farandole_inbox WHERE blocks = 1 AND reaction = ? AND key = ?;

-- park: A mark of this transaction becomes a row that waits, is dead, or is skipped with a reason.
UPDATE farandole_inbox
SET state = ?, handled_at = ?, key = ?, topic = ?, body = ?, attempts = ?, due = ?, blocks = ?, reason = ?, place = ?, error = ?
WHERE reaction = ? AND id = ? AND state = 'done';

-- ingest: A waiting row; nothing happens where the event is known.
INSERT INTO farandole_inbox (reaction, id, state, handled_at, key, topic, body, attempts, due, blocks, reason, place, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- known: Whether an event has a row.
SELECT EXISTS (SELECT 1 FROM farandole_inbox WHERE reaction = ? AND id = ?);

-- close: A claimed row becomes a mark again, with what there is to say about it; only where the token matches.
UPDATE farandole_inbox
SET state = ?, handled_at = ?, attempts = coalesce(?, attempts), due = NULL, blocks = NULL, reason = ?, place = ?, error = ?,
    token = NULL, key = NULL, topic = NULL, body = NULL
WHERE seq = ? AND token = ?;

-- reopen: A claimed row waits again, or is dead or exhausted, with its event; only where the token matches.
UPDATE farandole_inbox
SET state = ?, handled_at = ?, attempts = coalesce(?, attempts), due = ?, blocks = ?, reason = ?, place = ?, error = ?, token = NULL
WHERE seq = ? AND token = ?;

-- promote: The first row of a key may run, where it waited for one ahead of it.
UPDATE farandole_inbox SET due = ?1
WHERE seq = (SELECT seq FROM farandole_inbox WHERE blocks = 1 AND reaction = ?2 AND key = ?3 ORDER BY seq LIMIT 1)
  AND state = 'parked' AND due IS NULL;

-- due: Rows of one reaction that may be taken, the longest due first; claimed ones among them were abandoned.
SELECT due, seq, key, state FROM farandole_inbox WHERE due IS NOT NULL AND reaction = ? AND due <= ? ORDER BY due, seq LIMIT ?;

-- next_due: When the first row of these reactions may be taken.
SELECT min((SELECT min(due) FROM farandole_inbox WHERE due IS NOT NULL AND reaction = r.value)) FROM json_each(?) AS r;

-- take: Claim rows.
UPDATE farandole_inbox SET state = 'claimed', attempts = coalesce(attempts, 0) + 1, token = ?1, due = ?2, handled_at = ?3
WHERE seq IN (SELECT value FROM json_each(?4))
RETURNING reaction, id, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at;

-- take_next: Claim the first row of a key, if it may run and never did.
UPDATE farandole_inbox SET state = 'claimed', attempts = 1, token = ?1, due = ?2, handled_at = ?3
WHERE seq = (SELECT seq FROM farandole_inbox WHERE blocks = 1 AND reaction = ?4 AND key = ?5 ORDER BY seq LIMIT 1)
  AND state = 'parked' AND due <= ?3 AND attempts = 0
RETURNING reaction, id, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at;

-- claimers: Who holds claims.
SELECT DISTINCT token FROM farandole_inbox WHERE key IS NOT NULL AND state = 'claimed';

-- abandon: What this claimer held may be taken at once.
UPDATE farandole_inbox SET due = ?1 WHERE key IS NOT NULL AND state = 'claimed' AND token = ?2 AND due > ?1;

-- extend: A lease begins anew.
UPDATE farandole_inbox SET due = ? WHERE seq = ? AND token = ?;

-- give_back: A claimed row that was not run waits again.
UPDATE farandole_inbox SET state = 'parked', due = ?, attempts = attempts - 1, token = NULL WHERE seq = ? AND token = ?;

-- waiting: How many rows of these reactions are due or claimed, and no more than so many: timers that are not due are not looked at.
SELECT count(*) FROM (
    SELECT 1 FROM json_each(?1) AS r CROSS JOIN farandole_inbox AS i WHERE i.due IS NOT NULL AND i.reaction = r.value AND i.due <= ?2
    UNION ALL
    SELECT 1 FROM json_each(?1) AS r CROSS JOIN farandole_inbox AS i
    WHERE i.key IS NOT NULL AND i.state = 'claimed' AND i.reaction = r.value AND +i.due > ?2 -- by state: many timers are due later
    LIMIT ?3
);

-- keep_receipt: What a command answered.
UPDATE farandole_inbox SET receipt = ? WHERE reaction = ? AND id = ?;

-- receipt: What a command answered.
SELECT receipt FROM farandole_inbox WHERE reaction = ? AND id = ?;

-- page: Some rows in the order of arrival, to find those to purge without looking at the whole table.
SELECT seq, state, handled_at FROM farandole_inbox WHERE seq > ? ORDER BY seq LIMIT ?;

-- purge: Delete settled rows that are old.
DELETE FROM farandole_inbox
WHERE seq IN (SELECT value FROM json_each(?)) AND state IN ('done', 'skipped', 'exhausted') AND handled_at < ?;

-- dead: Dead letters; with ?9 also events that were closed by their exhausted handler.
SELECT reaction, id, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at
FROM farandole_inbox
WHERE key IS NOT NULL AND state IN ('dead', CASE WHEN ?9 THEN 'exhausted' END)
  AND (?1 IS NULL OR reaction = ?1) AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR key = ?3)
  AND (?4 IS NULL OR error = ?4) AND (?5 IS NULL OR place = ?5)
  AND (?6 IS NULL OR instr(coalesce(reason, ''), ?6) OR instr(CAST(body AS TEXT), ?6))
  AND (?7 IS NULL OR handled_at >= ?7) AND (?8 IS NULL OR handled_at < ?8)
ORDER BY seq LIMIT ?10;

-- edit: A dead row gets another body, unless somebody was quicker.
UPDATE farandole_inbox SET body = ?1 WHERE reaction = ?2 AND id = ?3 AND state = 'dead' AND body = ?4;

-- keep_edit: Who changed it, why, and what it was.
INSERT INTO farandole_edits (reaction, id, at, who, why, body) VALUES (?, ?, ?, ?, ?, ?);

-- edits: What was changed by hand.
SELECT reaction, id, at, who, why, body FROM farandole_edits ORDER BY number;

-- edits_of: What was changed by hand in one event.
SELECT reaction, id, at, who, why, body FROM farandole_edits WHERE id = ? ORDER BY number;

-- any_edits: Whether anything old is kept of edits.
SELECT EXISTS (SELECT 1 FROM farandole_edits WHERE at < ?);

-- forget_edits: Some of what is old, and of rows that are gone.
DELETE FROM farandole_edits WHERE number IN (
    SELECT number FROM farandole_edits AS e
    WHERE at < ?1 AND NOT EXISTS (SELECT 1 FROM farandole_inbox AS i WHERE i.reaction = e.reaction AND i.id = e.id) ORDER BY at LIMIT ?2
);

-- retry: A dead row is due again; ?4 allows exhausted ones.
UPDATE farandole_inbox SET state = 'parked', attempts = 0, due = ?1, handled_at = ?1, token = NULL
WHERE reaction = ?2 AND id = ?3 AND (state = 'dead' OR (?4 AND state = 'exhausted' AND body IS NOT NULL));

-- bury: A message that no broker takes becomes a dead letter of the relay.
INSERT OR REPLACE INTO farandole_inbox (reaction, id, state, handled_at, key, topic, body, attempts, reason, error)
VALUES ('(relay)', ?, 'dead', ?, ?, ?, ?, 1, ?, 'unpublishable');

-- unbury: A dead letter of the relay is taken out, to be published again.
DELETE FROM farandole_inbox WHERE reaction = '(relay)' AND id = ? AND state = 'dead' RETURNING topic, key, id, body;

-- discard: A dead row becomes a mark with a reason.
UPDATE farandole_inbox
SET state = 'skipped', handled_at = ?, reason = ?, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
WHERE reaction = ? AND id = ? AND state = 'dead';

-- fates: What became of some events; the reactions are found by skipping along the index, not by reading it.
WITH RECURSIVE reactions (name) AS (
    SELECT min(reaction) FROM farandole_inbox
    UNION ALL
    SELECT (SELECT min(reaction) FROM farandole_inbox WHERE reaction > name) FROM reactions WHERE name IS NOT NULL
)
SELECT i.reaction, i.id, i.key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at
FROM reactions CROSS JOIN json_each(?) AS wanted CROSS JOIN farandole_inbox AS i
WHERE i.reaction = name AND i.id = wanted.value ORDER BY seq;
