-- JSON, by key.
ALTER TABLE log_group ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
