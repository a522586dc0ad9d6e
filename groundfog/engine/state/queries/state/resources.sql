-- name: add_resource!
-- A primary key that is taken violates.
INSERT INTO resource (kind, name, status, document, created, modified)
VALUES (:kind, :name, :status, :document, :created, :created);

-- name: find_resource^
SELECT kind, name, status, document, created, modified FROM resource WHERE kind = :kind AND name = :name;

-- name: find_mention^
SELECT 1 FROM resource WHERE instr(document, :text) > 0 LIMIT 1;

-- name: change_resource!
UPDATE resource
SET status = :status, document = :document, modified = :modified
WHERE kind = :kind AND name = :name;

-- name: delete_resource!
DELETE FROM resource WHERE kind = :kind AND name = :name;

-- name: resources_in_status
-- Oldest first. `statuses` is a JSON list.
SELECT kind, name, status, document, created, modified FROM resource
WHERE kind = :kind AND status IN (SELECT value FROM json_each(:statuses))
ORDER BY created, name;

-- name: tags_of
SELECT key, value FROM tag WHERE kind = :kind AND name = :name ORDER BY key;

-- name: put_tag!
INSERT INTO tag (kind, name, key, value) VALUES (:kind, :name, :key, :value)
ON CONFLICT (kind, name, key) DO UPDATE SET value = excluded.value;

-- name: delete_tag!
DELETE FROM tag WHERE kind = :kind AND name = :name AND key = :key;
