"""S3: buckets, objects, listings, multipart uploads, tags.

No versions, no ACLs but the default one, no customer's encryption keys: asking for one is refused, never ignored.
"""
