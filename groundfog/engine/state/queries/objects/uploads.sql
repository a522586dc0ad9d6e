-- name: add_upload!
-- A bucket that is not there raises sqlite3.IntegrityError.
INSERT INTO upload (id, bucket, key, created, attributes) VALUES (:id, :bucket, :key, :created, :attributes);

-- name: find_upload^
SELECT id, bucket, key, created, attributes FROM upload WHERE id = :id AND bucket = :bucket AND key = :key;

-- name: uploads_from
SELECT id, bucket, key, created, attributes FROM upload
WHERE bucket = :bucket AND (key, id) > (:key, :id) AND key >= :first AND key < :beyond
ORDER BY key, id LIMIT :limit;

-- name: delete_upload!
DELETE FROM upload WHERE id = :id;

-- name: delete_uploads_of_bucket!
DELETE FROM upload WHERE bucket = :bucket;

-- name: blobs_of_bucket_uploads
SELECT part.blob FROM part JOIN upload ON upload.id = part.upload WHERE upload.bucket = :bucket;

-- name: put_part!
-- An upload that is not there raises sqlite3.IntegrityError.
INSERT INTO part (upload, number, blob, size, etag, modified, checksums)
VALUES (:upload, :number, :blob, :size, :etag, :modified, :checksums)
ON CONFLICT (upload, number) DO UPDATE SET
    blob = excluded.blob,
    size = excluded.size,
    etag = excluded.etag,
    modified = excluded.modified,
    checksums = excluded.checksums;

-- name: find_part^
SELECT number, blob, size, etag, modified, checksums FROM part WHERE upload = :upload AND number = :number;

-- name: parts_after
SELECT number, blob, size, etag, modified, checksums FROM part
WHERE upload = :upload AND number > :number
ORDER BY number LIMIT :limit;
