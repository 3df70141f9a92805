-- tallies: The totals of all measures.
SELECT measure, upto, begun, done, total, buckets FROM farandole_tallies;

-- tally: Keep the totals of a measure.
INSERT INTO farandole_tallies (measure, upto, begun, done, total, buckets) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (measure) DO UPDATE SET
    upto = excluded.upto, begun = excluded.begun, done = excluded.done, total = excluded.total, buckets = excluded.buckets;

-- parts_of: What measures know of an instance.
SELECT measure, correlation_id, began, ended, value FROM farandole_parts WHERE correlation_id = ?;

-- part: Keep what a measure knows of an instance.
INSERT INTO farandole_parts (measure, correlation_id, began, ended, value) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (measure, correlation_id) DO UPDATE SET began = excluded.began, ended = excluded.ended, value = excluded.value;

-- open_parts: How many instances are open in each measure, and what they are worth.
SELECT measure, count(*), total(value) FROM farandole_parts INDEXED BY farandole_parts_open
WHERE began IS NOT NULL AND ended IS NULL GROUP BY measure;

-- next_parts: The next parts to be looked at.
SELECT correlation_id, measure FROM farandole_parts WHERE (correlation_id, measure) > (?1, ?2) ORDER BY correlation_id, measure LIMIT ?3;

-- forget_parts: Of these, those whose instances are forgotten go.
DELETE FROM farandole_parts WHERE (correlation_id, measure) > (?1, ?2) AND (correlation_id, measure) <= (?3, ?4)
AND NOT EXISTS (SELECT 1 FROM farandole_record r WHERE r.correlation_id = farandole_parts.correlation_id);
