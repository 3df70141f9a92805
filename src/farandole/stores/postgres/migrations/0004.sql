-- What a process keeps with its instance: its state with what was done so far, as JSON, and how often that changed. Instances of
-- processes that run, or that are being undone, are no tombstones.
ALTER TABLE farandole_instances ADD COLUMN data bytea;
ALTER TABLE farandole_instances ADD COLUMN revision bigint NOT NULL DEFAULT 0;
DROP INDEX farandole_instances_over;
CREATE INDEX farandole_instances_over ON farandole_instances (since) WHERE state NOT IN ('open', 'full', 'running', 'undoing');
