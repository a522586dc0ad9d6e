-- name: add_bucket!
INSERT INTO bucket (name, region, created) VALUES (:name, :region, :created);

-- name: find_bucket^
SELECT name, region, created, tags FROM bucket WHERE name = :name;

-- name: buckets_from
SELECT name, region, created, tags FROM bucket
WHERE name >= :first AND name < :beyond AND (:region IS NULL OR region = :region)
ORDER BY name LIMIT :limit;

-- name: delete_bucket!
-- A bucket that still has objects raises sqlite3.IntegrityError.
DELETE FROM bucket WHERE name = :name;

-- name: tag_bucket!
UPDATE bucket SET tags = :tags WHERE name = :name;
