-- name: find_object^
SELECT bucket, key, blob, size, etag, modified, attributes FROM object WHERE bucket = :bucket AND key = :key;

-- name: put_object!
-- A bucket that is not there raises sqlite3.IntegrityError.
INSERT INTO object (bucket, key, blob, size, etag, modified, attributes)
VALUES (:bucket, :key, :blob, :size, :etag, :modified, :attributes)
ON CONFLICT (bucket, key) DO UPDATE SET
    blob = excluded.blob,
    size = excluded.size,
    etag = excluded.etag,
    modified = excluded.modified,
    attributes = excluded.attributes;

-- name: change_attributes!
UPDATE object SET attributes = :attributes WHERE bucket = :bucket AND key = :key;

-- name: delete_object!
DELETE FROM object WHERE bucket = :bucket AND key = :key;

-- name: objects_from
-- `beyond` is the first key that is too far; an empty BLOB for none, since every TEXT sorts before every BLOB.
SELECT bucket, key, blob, size, etag, modified, attributes FROM object
WHERE bucket = :bucket AND key >= :first AND key < :beyond
ORDER BY key LIMIT :limit;

-- name: blobs_in_use
-- Those of a JSON list of blobs to which an object or a part belongs.
SELECT blob FROM object WHERE blob IN (SELECT value FROM json_each(:blobs))
UNION ALL
SELECT blob FROM part WHERE blob IN (SELECT value FROM json_each(:blobs));
