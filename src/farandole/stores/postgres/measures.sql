-- tallies: The totals of all measures.
SELECT measure, upto, begun, done, total, buckets FROM farandole_tallies;

-- begin_tallies: New measures have a row, so that it can be locked.
INSERT INTO farandole_tallies (measure, upto, begun, done, total, buckets)
SELECT measure, 0, 0, 0, 0, '{}' FROM unnest($1::text[]) AS n (measure) ORDER BY measure ON CONFLICT DO NOTHING;

-- lock_tallies: How far these have counted. Nobody else goes on with them before this transaction ends.
SELECT upto FROM farandole_tallies WHERE measure = ANY($1::text[]) ORDER BY measure FOR UPDATE;

-- tally: Keep the totals of a measure.
UPDATE farandole_tallies SET upto = $2, begun = $3, done = $4, total = $5, buckets = $6::bigint[] WHERE measure = $1;

-- parts_of: What measures know of instances.
SELECT p.measure, p.correlation_id, p.began, p.ended, p.value
FROM unnest($1::text[]) AS m (id) CROSS JOIN unnest($2::text[]) AS c (id)
JOIN farandole_parts p ON p.measure = m.id AND p.correlation_id = c.id;

-- parts: Keep what measures know of instances.
INSERT INTO farandole_parts (measure, correlation_id, began, ended, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::double precision[], $4::double precision[], $5::double precision[])
ON CONFLICT (measure, correlation_id) DO UPDATE SET began = excluded.began, ended = excluded.ended, value = excluded.value;

-- open_parts: How many instances are open in each measure, and what they are worth.
SELECT measure, count(*), sum(value) FROM farandole_parts WHERE began IS NOT NULL AND ended IS NULL GROUP BY measure;

-- next_parts: The next parts to be looked at.
SELECT measure, correlation_id FROM farandole_parts WHERE (measure, correlation_id) > ($1, $2) ORDER BY measure, correlation_id LIMIT $3;

-- forget_parts: Of these, those whose instances are forgotten go.
DELETE FROM farandole_parts p WHERE (measure, correlation_id) > ($1, $2) AND (measure, correlation_id) <= ($3, $4)
AND NOT EXISTS (SELECT 1 FROM farandole_record r WHERE r.correlation_id = p.correlation_id) RETURNING 1;
