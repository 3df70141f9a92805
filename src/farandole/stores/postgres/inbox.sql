-- look: Whether any key waits. In the order of its index, so that nobody takes the whole table for the shorter way while it has no statistics.
SELECT 1 FROM farandole_inbox WHERE blocks ORDER BY reaction, key, seq LIMIT 1;

-- claim: Insert marks, numbered as they arrived; those that are known drop out. Sorted, so that overlapping batches do not deadlock.
INSERT INTO farandole_inbox (seq, reaction, id, state, handled_at)
SELECT seq, reaction, id, 'done', :now FROM (
    SELECT nextval('farandole_inbox_seq') AS seq, reaction, id FROM unnest($2::text[], $3::text[]) AS m (reaction, id)
) AS numbered ORDER BY reaction, id
ON CONFLICT DO NOTHING RETURNING reaction, id;

-- blocked: Keys whose later events must wait, with how many rows wait there.
SELECT reaction, key, count(*) FROM farandole_inbox WHERE blocks AND reaction = ANY($1::text[]) GROUP BY reaction, key;

-- lock: Take the locks of these queues (of one reaction and key each), in the order given, until the transaction ends.
SELECT pg_advisory_xact_lock(queue) FROM unnest($1::bigint[]) AS queue;

-- queues: How many rows wait in these queues.
SELECT reaction, key, count(*) FROM farandole_inbox
WHERE blocks AND (reaction, key) IN (SELECT * FROM unnest($1::text[], $2::text[])) GROUP BY reaction, key;

-- known: Which of these events have a row.
SELECT reaction, id FROM farandole_inbox WHERE (reaction, id) IN (SELECT * FROM unnest($1::text[], $2::text[]));

-- park: Marks of this transaction become rows that wait, are dead, or are skipped with a reason. Due in so many milliseconds.
UPDATE farandole_inbox AS i
SET state = p.state, handled_at = :now, key = p.key, topic = p.topic, body = p.body, attempts = p.attempts,
    due = :now + p.wait, blocks = p.blocks, reason = p.reason, place = p.place, error = p.error
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::int[], $9::bigint[], $10::boolean[],
            $11::text[], $12::text[], $13::text[])
     AS p (reaction, id, state, key, topic, body, attempts, wait, blocks, reason, place, error)
WHERE i.reaction = p.reaction AND i.id = p.id AND i.state = 'done' RETURNING i.id;

-- ingest: Waiting rows, in the order of arrival; nothing happens where the event is known.
INSERT INTO farandole_inbox (reaction, id, state, handled_at, key, topic, body, attempts, due, blocks, reason, place, error)
SELECT p.reaction, p.id, p.state, :now, p.key, p.topic, p.body, p.attempts, :now + p.wait, p.blocks, p.reason, p.place, p.error
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::int[], $9::bigint[], $10::boolean[],
            $11::text[], $12::text[], $13::text[])
     WITH ORDINALITY AS p (reaction, id, state, key, topic, body, attempts, wait, blocks, reason, place, error, number)
ORDER BY p.number ON CONFLICT DO NOTHING RETURNING id;

-- close: A claimed row becomes a mark again, with what there is to say about it; only where the token matches. Locks its queue.
WITH queue AS (SELECT pg_advisory_xact_lock($2::bigint))
UPDATE farandole_inbox
SET state = $3, handled_at = :now, attempts = coalesce($4, attempts), due = NULL, blocks = NULL, reason = $5, place = $6, error = $7,
    token = NULL, key = NULL, topic = NULL, body = NULL
FROM queue WHERE reaction = $8 AND id = $9 AND token = $10 RETURNING id;

-- reopen: A claimed row waits again, or is dead or exhausted, with its event; only where the token matches. Locks its queue.
WITH queue AS (SELECT pg_advisory_xact_lock($2::bigint))
UPDATE farandole_inbox
SET state = $3, handled_at = :now, attempts = coalesce($4, attempts), reason = $5, place = $6, error = $7, token = NULL,
    due = :now + $11::bigint, blocks = $12::boolean
FROM queue WHERE reaction = $8 AND id = $9 AND token = $10 RETURNING id;

-- promote: The first row of a key may run, where it waited for one ahead of it.
UPDATE farandole_inbox SET due = :now
WHERE (reaction, id) = (SELECT reaction, id FROM farandole_inbox WHERE blocks AND reaction = $2 AND key = $3 ORDER BY seq LIMIT 1)
  AND state = 'parked' AND due IS NULL;

-- due: Rows that may be taken, the longest due first; claimed ones among them were abandoned. What another takes just now is passed over.
SELECT found.* FROM unnest($2::text[]) AS name CROSS JOIN LATERAL (
    SELECT due, seq, key, state, reaction, id FROM farandole_inbox
    WHERE due IS NOT NULL AND reaction = name AND due <= :now ORDER BY due, seq LIMIT $3 FOR UPDATE SKIP LOCKED
) AS found ORDER BY found.due, found.seq;

-- next_due: In how many milliseconds the first row of these reactions may be taken.
SELECT min((SELECT min(due) FROM farandole_inbox WHERE due IS NOT NULL AND reaction = name)) - :now FROM unnest($2::text[]) AS name;

-- take: Claim rows.
UPDATE farandole_inbox AS i SET state = 'claimed', attempts = coalesce(attempts, 0) + 1, token = $2, due = :now + $3::bigint, handled_at = :now
FROM unnest($4::text[], $5::text[]) AS w (reaction, id) WHERE i.reaction = w.reaction AND i.id = w.id
RETURNING i.reaction, i.id, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at;

-- take_next: Claim the first rows of these keys, those that may run and never did.
UPDATE farandole_inbox AS i SET state = 'claimed', attempts = 1, token = $2, due = :now + $3::bigint, handled_at = :now
FROM unnest($4::text[], $5::text[]) AS w (reaction, key) CROSS JOIN LATERAL (
    SELECT id FROM farandole_inbox AS b WHERE b.blocks AND b.reaction = w.reaction AND b.key = w.key ORDER BY b.seq LIMIT 1
) AS head
WHERE i.reaction = w.reaction AND i.id = head.id AND i.state = 'parked' AND i.due <= :now AND i.attempts = 0
RETURNING i.reaction, i.id, i.key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at;

-- claimers: Who holds claims.
SELECT DISTINCT token FROM farandole_inbox WHERE key IS NOT NULL AND state = 'claimed';

-- abandon: What this claimer held may be taken at once.
UPDATE farandole_inbox SET due = :now WHERE key IS NOT NULL AND state = 'claimed' AND token = $2 AND due > :now;

-- extend: Leases begin anew.
UPDATE farandole_inbox AS i SET due = :now + $2::bigint
FROM unnest($3::text[], $4::text[], $5::text[]) AS w (reaction, id, token)
WHERE i.reaction = w.reaction AND i.id = w.id AND i.token = w.token;

-- give_back: Claimed rows that were not run wait again.
UPDATE farandole_inbox AS i SET state = 'parked', due = :now, attempts = attempts - 1, token = NULL
FROM unnest($2::text[], $3::text[], $4::text[]) AS w (reaction, id, token)
WHERE i.reaction = w.reaction AND i.id = w.id AND i.token = w.token;

-- waiting: How many rows of these reactions are due or claimed, and no more than so many: timers that are not due are not looked at.
SELECT count(*) FROM (
    SELECT 1 FROM farandole_inbox WHERE due IS NOT NULL AND reaction = ANY($2::text[]) AND due <= :now
    UNION ALL
    SELECT 1 FROM farandole_inbox WHERE key IS NOT NULL AND state = 'claimed' AND reaction = ANY($2::text[]) AND due + 0 > :now -- by state: many timers are due later
    LIMIT $3
) AS rows;

-- keep_receipt: What a command answered.
UPDATE farandole_inbox SET receipt = $1 WHERE reaction = $2 AND id = $3 RETURNING id;

-- receipt: What a command answered.
SELECT receipt FROM farandole_inbox WHERE reaction = $1 AND id = $2;

-- purge: Delete some settled rows that are old, from $4 on; what stood before it is deleted, but a long snapshot of another may keep it in the index.
WITH gone AS (
    DELETE FROM farandole_inbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM farandole_inbox
        WHERE state IN ('done', 'skipped', 'exhausted') AND handled_at >= $4 AND handled_at < :now - $2::bigint
        ORDER BY handled_at LIMIT $3
    )) AND state IN ('done', 'skipped', 'exhausted') RETURNING handled_at
) SELECT count(*), max(handled_at) FROM gone;

-- dead: Dead letters; with $9 also events that were closed by their exhausted handler.
SELECT reaction, id, key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at
FROM farandole_inbox
WHERE key IS NOT NULL AND (state = 'dead' OR $9::boolean AND state = 'exhausted')
  AND ($1::text IS NULL OR reaction = $1) AND ($2::text IS NULL OR id = $2) AND ($3::text IS NULL OR key = $3)
  AND ($4::text IS NULL OR error = $4) AND ($5::text IS NULL OR place = $5)
  AND ($6::text IS NULL OR strpos(coalesce(reason, ''), $6) > 0 OR position(convert_to($6, 'UTF8') IN body) > 0)
  AND ($7::bigint IS NULL OR handled_at >= $7) AND ($8::bigint IS NULL OR handled_at < $8)
ORDER BY seq LIMIT $10;

-- edit: A dead row gets another body, unless somebody was quicker; what it had is kept, with who and why.
WITH edited AS (
    UPDATE farandole_inbox SET body = $2 WHERE reaction = $3 AND id = $4 AND state = 'dead' AND body = $5 RETURNING reaction, id
)
INSERT INTO farandole_edits (reaction, id, at, who, why, body) SELECT reaction, id, :now, $6, $7, $5 FROM edited RETURNING number;

-- edits: What was changed by hand.
SELECT reaction, id, at, who, why, body FROM farandole_edits ORDER BY number;

-- edits_of: What was changed by hand in one event.
SELECT reaction, id, at, who, why, body FROM farandole_edits WHERE id = $1 ORDER BY number;

-- forget_edits: Some of what is old, and of rows that are gone.
DELETE FROM farandole_edits WHERE number = ANY(ARRAY(
    SELECT number FROM farandole_edits AS e
    WHERE at < :now - $2::bigint AND (SELECT seq FROM farandole_inbox AS i WHERE i.reaction = e.reaction AND i.id = e.id) IS NULL
    ORDER BY at LIMIT $3
));

-- retry: A dead row is due again; $4 allows exhausted ones.
UPDATE farandole_inbox SET state = 'parked', due = :now, attempts = 0, handled_at = :now, token = NULL
WHERE reaction = $2 AND id = $3 AND (state = 'dead' OR $4::boolean AND state = 'exhausted' AND body IS NOT NULL) RETURNING id;

-- discard: A dead row becomes a mark; what it held goes on. Locks its queue.
WITH queue AS (SELECT pg_advisory_xact_lock($2::bigint))
UPDATE farandole_inbox
SET state = 'skipped', handled_at = :now, reason = $3, due = NULL, blocks = NULL, key = NULL, topic = NULL, body = NULL
FROM queue WHERE reaction = $4 AND id = $5 AND state = 'dead' RETURNING id;

-- bury: A dead letter of the relay.
INSERT INTO farandole_inbox (reaction, id, state, handled_at, key, topic, body, reason, attempts, error)
VALUES ('(relay)', $2, 'dead', :now, $3, $4, $5, $6, 1, 'unpublishable')
ON CONFLICT (reaction, id) DO UPDATE SET state = 'dead', handled_at = :now, key = $3, topic = $4, body = $5, reason = $6;

-- unbury: It returns to the outbox.
DELETE FROM farandole_inbox WHERE reaction = '(relay)' AND id = $1 AND state = 'dead' RETURNING topic, key, id, body;

-- fates: The rows of these events, whatever the reaction.
WITH RECURSIVE reactions (name) AS (
    (SELECT reaction FROM farandole_inbox ORDER BY reaction LIMIT 1)
    UNION ALL
    SELECT (SELECT reaction FROM farandole_inbox WHERE reaction > name ORDER BY reaction LIMIT 1) FROM reactions WHERE name IS NOT NULL
)
SELECT i.reaction, i.id, i.key, topic, body, state, attempts, due, blocks, reason, place, error, token, seq, handled_at
FROM reactions JOIN farandole_inbox AS i ON i.reaction = name AND i.id = ANY($1::text[]) ORDER BY seq;
