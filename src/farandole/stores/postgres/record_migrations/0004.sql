-- The record in a partition per day of the events' own time, so that old days are dropped instead of deleted row by row. What has no time, or one
-- that is far off, is in `farandole_record_other`. A copy of an event has the same day, so (id, day) is unique where id was.
ALTER TABLE farandole_record RENAME TO farandole_record_before;
ALTER TABLE farandole_record_before DROP CONSTRAINT farandole_record_pkey, DROP CONSTRAINT farandole_record_id_key;
DROP INDEX farandole_record_instance, farandole_record_type, farandole_record_key;
CREATE SEQUENCE farandole_record_numbers;
CREATE TABLE farandole_record (
    number bigint NOT NULL DEFAULT nextval('farandole_record_numbers'),
    id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    source text NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    causationid text NOT NULL,
    time double precision,
    field text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    topic text NOT NULL,
    body bytea NOT NULL,
    recorded_at bigint NOT NULL,
    day integer NOT NULL
) PARTITION BY RANGE (day);
ALTER SEQUENCE farandole_record_numbers OWNED BY farandole_record.number;
CREATE TABLE farandole_record_other PARTITION OF farandole_record DEFAULT;

-- The day of a time, counted from 1970; -1 where there is none.
CREATE FUNCTION farandole_record_day(seconds double precision) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(least(greatest(floor(seconds / 86400), -1), 10000000), -1)::integer
$$;

-- Give a day its partition, with what came of it before. It waits a second at most for those who read: others would stand behind it.
CREATE FUNCTION farandole_record_open_day(wanted integer) RETURNS void LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE name text := 'farandole_record_' || to_char(date '1970-01-01' + wanted, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('farandole_record_days'), 'farandole_record'::regclass::oid::int);
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE farandole_record INCLUDING ALL)', name);
    EXECUTE format('WITH moved AS (DELETE FROM farandole_record_other WHERE day = %s RETURNING *) INSERT INTO %I SELECT * FROM moved', wanted, name);
    EXECUTE format('ALTER TABLE farandole_record ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, wanted, wanted + 1);
END $$;

-- Drop the partition of a day, but for the events of instances that are not forgotten: these go to the others.
CREATE FUNCTION farandole_record_drop_day(wanted integer, forgotten text[]) RETURNS void LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE name text := 'farandole_record_' || to_char(date '1970-01-01' + wanted, 'YYYYMMDD');
BEGIN
    EXECUTE format('ALTER TABLE farandole_record DETACH PARTITION %I', name);
    EXECUTE format('INSERT INTO farandole_record SELECT * FROM %I kept WHERE NOT EXISTS '
                   '(SELECT 1 FROM unnest($1) AS gone WHERE gone = kept.correlation_id)', name) USING forgotten;
    EXECUTE format('DROP TABLE %I', name);
END $$;

-- What was recorded so far: its last 100 days get partitions.
DO $$
DECLARE today integer := (SELECT max(recorded_at) / 86400000 FROM farandole_record_before);
BEGIN
    PERFORM farandole_record_open_day(day) FROM (
        SELECT DISTINCT farandole_record_day(time) AS day FROM farandole_record_before
    ) AS days WHERE day BETWEEN today - 100 AND today + 1;
END $$;
INSERT INTO farandole_record
SELECT number, id, type, source, correlation_id, causationid, time, field, key, topic, body, recorded_at, farandole_record_day(time)
FROM farandole_record_before ORDER BY number;
SELECT setval('farandole_record_numbers', coalesce(max(number), 0) + 1, false) FROM farandole_record_before;
DROP TABLE farandole_record_before;

ALTER TABLE farandole_record ADD CONSTRAINT farandole_record_pkey PRIMARY KEY (id, day);
CREATE INDEX farandole_record_number ON farandole_record (number);
CREATE INDEX farandole_record_instance ON farandole_record (correlation_id, number);
CREATE INDEX farandole_record_type ON farandole_record (type, number);
CREATE INDEX farandole_record_key ON farandole_record (key, field, number) WHERE field <> '';
