-- JSON; NULL for a bucket that was never given any.
ALTER TABLE bucket ADD COLUMN tags TEXT;
