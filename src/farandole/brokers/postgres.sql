-- publish: Append messages. The rows of `farandole_log_ends` are locked until the commit, in order, so that positions grow as commits do.
WITH batch AS (
    SELECT * FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bytea[])
        WITH ORDINALITY AS m (topic, partition, key, id, type, body, place)
), counts AS (
    SELECT topic, partition, count(*) AS many FROM batch GROUP BY topic, partition
), ends AS (
    INSERT INTO farandole_log_ends (topic, partition, last) SELECT topic, partition, many FROM counts ORDER BY topic, partition
    ON CONFLICT (topic, partition) DO UPDATE SET last = farandole_log_ends.last + excluded.last RETURNING topic, partition, last
)
INSERT INTO farandole_log (topic, partition, position, key, id, type, body, time)
SELECT topic, partition, last - many + row_number() OVER (PARTITION BY topic, partition ORDER BY place), key, id, type, body,
       coalesce($1::double precision, extract(epoch FROM clock_timestamp()))
FROM batch JOIN counts USING (topic, partition) JOIN ends USING (topic, partition);

-- read: What stands after some positions.
SELECT l.topic, l.partition, l.position, l.body, l.key, l.id, l.type
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS c (topic, partition, position) CROSS JOIN LATERAL (
    SELECT * FROM farandole_log WHERE topic = c.topic AND partition = c.partition AND position > c.position ORDER BY position LIMIT $4
) AS l;

-- last: The last position of a partition.
SELECT coalesce((SELECT last FROM farandole_log_ends WHERE topic = $1 AND partition = $2), 0);

-- since: The first position from a time on.
SELECT position FROM farandole_log WHERE topic = $1 AND partition = $2 AND time >= $3 ORDER BY position LIMIT 1;

-- count: How many messages stand after a position.
SELECT coalesce((SELECT last FROM farandole_log_ends WHERE topic = $1 AND partition = $2), 0) - greatest($3::bigint,
    coalesce((SELECT min(position) - 1 FROM farandole_log WHERE topic = $1 AND partition = $2),
             (SELECT last FROM farandole_log_ends WHERE topic = $1 AND partition = $2), 0));

-- join: Make the marks of a group that are missing.
INSERT INTO farandole_log_marks (grp, topic, partition, position)
SELECT $1, m.* FROM unnest($2::text[], $3::int[], $4::bigint[]) AS m ON CONFLICT DO NOTHING;

-- marks: Those that there are.
SELECT m.topic, m.partition, m.position, m.suspects, m.suspects_end, m.is_left FROM farandole_log_marks AS m
JOIN unnest($2::text[], $3::int[]) AS k (topic, partition) USING (topic, partition) WHERE grp = $1;

-- take: Put our token in; give the marks as they were, with the end of each log now.
WITH before AS (
    SELECT m.* FROM farandole_log_marks AS m JOIN unnest($3::text[], $4::int[]) AS k (topic, partition) USING (topic, partition)
    WHERE m.grp = $1 ORDER BY m.topic, m.partition FOR UPDATE OF m
), taken AS (
    UPDATE farandole_log_marks AS m SET token = $2, is_left = false FROM before AS b
    WHERE m.grp = $1 AND m.topic = b.topic AND m.partition = b.partition
)
SELECT b.topic, b.partition, b.position, b.suspects, b.suspects_end, b.is_left, coalesce(e.last, 0)
FROM before AS b LEFT JOIN farandole_log_ends AS e USING (topic, partition);

-- put: Write marks where the token is still the same.
UPDATE farandole_log_marks AS m
SET position = k.position, suspects = k.suspects, suspects_end = k.suspects_end, is_left = k.is_left,
    token = CASE WHEN k.is_left THEN '' ELSE m.token END
FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::boolean[])
     AS k (topic, partition, position, suspects, suspects_end, is_left)
WHERE m.grp = $1 AND m.token = $2 AND m.topic = k.topic AND m.partition = k.partition;

-- group: A group's document and its version.
SELECT version, document FROM farandole_log_groups WHERE grp = $1;

-- change: Write it, where nobody came between.
INSERT INTO farandole_log_groups (grp, version, document) VALUES ($1, 1, $3)
ON CONFLICT (grp) DO UPDATE SET version = farandole_log_groups.version + 1, document = $3 WHERE farandole_log_groups.version = $2
RETURNING version;

-- forget: Delete some of what is old and settled by every group.
WITH settled AS (
    SELECT topic, partition, min(position) AS position FROM farandole_log_marks GROUP BY topic, partition
), old AS (
    SELECT l.topic, l.partition, l.position FROM settled AS s CROSS JOIN LATERAL (
        SELECT topic, partition, position, time FROM farandole_log
        WHERE topic = s.topic AND partition = s.partition AND position <= s.position ORDER BY position LIMIT $2
    ) AS l WHERE l.time < coalesce($1::double precision, extract(epoch FROM clock_timestamp())) - $3::double precision
), gone AS (
    DELETE FROM farandole_log AS l USING old AS o
    WHERE l.topic = o.topic AND l.partition = o.partition AND l.position = o.position RETURNING 1
) SELECT count(*) FROM gone;

-- tables: What must be there; made by whoever opens first.
CREATE TABLE IF NOT EXISTS farandole_log (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    position bigint NOT NULL,
    key text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    body bytea NOT NULL,
    time double precision NOT NULL,
    PRIMARY KEY (topic, partition, position)
);
CREATE TABLE IF NOT EXISTS farandole_log_ends (
    topic text COLLATE "C" NOT NULL, partition integer NOT NULL, last bigint NOT NULL, PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS farandole_log_groups (grp text PRIMARY KEY, version bigint NOT NULL, document bytea NOT NULL);
CREATE TABLE IF NOT EXISTS farandole_log_marks (
    grp text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    position bigint NOT NULL,
    suspects bigint NOT NULL DEFAULT 0,
    suspects_end bigint NOT NULL DEFAULT 0,
    is_left boolean NOT NULL DEFAULT true,
    token text NOT NULL DEFAULT '',
    PRIMARY KEY (grp, topic, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS farandole_log_settings (schema integer NOT NULL, partitions integer NOT NULL);
