"""Bytes by bucket and key. Keys are not paths: `a`, `a/b`, `a//b` and `../a` live side by side.

    store.py     Objects: buckets, put, find, open, delete
    listing.py   pages of keys, rolled up at a delimiter
    uploads.py   an object in parts
    shelf.py     Shelf: the same for another process, which only reads
    blobs.py     the files

An object is a row of the index that names a blob. The blob is complete before the row is committed, and is removed
after the commit that stops naming it; so a crash at any line leaves at most a file that nobody names.
"""

from groundfog.engine.objects.listing import Page
from groundfog.engine.objects.records import UNTYPED, Attributes, Bucket, NoBucket, NoUpload, Object, Part, Upload
from groundfog.engine.objects.shelf import Shelf
from groundfog.engine.objects.store import Objects

__all__ = [
    "UNTYPED",
    "Attributes",
    "Bucket",
    "NoBucket",
    "NoUpload",
    "Object",
    "Objects",
    "Page",
    "Part",
    "Shelf",
    "Upload",
]
