-- name: add_log_group!
-- A name that is taken violates.
INSERT INTO log_group (name, created, tags) VALUES (:name, :created, :tags);

-- name: add_log_group_if_new!
INSERT INTO log_group (name, created) VALUES (:name, :created) ON CONFLICT DO NOTHING;

-- name: find_log_group^
SELECT name, created, tags FROM log_group WHERE name = :name;

-- name: tag_log_group!
UPDATE log_group SET tags = :tags WHERE name = :name;

-- name: log_groups
-- In the order of names, those after `after` only.
SELECT name, created FROM log_group
WHERE name > :after AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name LIMIT :most;

-- name: delete_log_group!
DELETE FROM log_group WHERE name = :name;

-- name: add_log_stream!
-- A name that is taken violates, and so does a group that is missing.
INSERT INTO log_stream (log_group, name, file, created) VALUES (:log_group, :name, :file, :created);

-- name: put_log_stream!
INSERT INTO log_stream (log_group, name, file, created) VALUES (:log_group, :name, :file, :created)
ON CONFLICT (log_group, name) DO UPDATE SET file = excluded.file;

-- name: find_log_stream^
SELECT name, file, created FROM log_stream WHERE log_group = :log_group AND name = :name;

-- name: log_streams
SELECT name, file, created FROM log_stream
WHERE log_group = :log_group AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name;

-- name: delete_log_stream!
DELETE FROM log_stream WHERE log_group = :log_group AND name = :name;
