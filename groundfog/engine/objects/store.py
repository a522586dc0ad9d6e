"""Buckets and objects."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile
from sqlite3 import IntegrityError
from typing import BinaryIO, Unpack

from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.objects.blobs import Draft, link_or_copy
from groundfog.engine.objects.index import Guard, Index, anything, attributes_json
from groundfog.engine.objects.listing import Listing, bound
from groundfog.engine.objects.records import Attributes, Bucket, NoBucket, Object, bucket_of
from groundfog.engine.objects.uploads import Uploads


class Objects:
    """A store in the folder `root`. Blocks; safe for many threads; several processes may share it."""

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self.root = root
        self._index = Index(root, durable=durable)
        self.listing = Listing(self._index)
        self.uploads = Uploads(self._index)
        self._sweeper = threading.Thread(target=self.sweep, name="sweep", daemon=True)
        if self._index.blobs.earlier_starts():
            self._sweeper.start()

    def create_bucket(self, bucket: str, region: str) -> Bucket:
        """Raises Taken."""
        created = time.time()
        try:
            with self._index.change() as here:
                self._index.queries.add_bucket(here, name=bucket, region=region, created=created)
        except IntegrityError:
            raise Taken(bucket) from None
        return Bucket(name=bucket, region=region, created=created)

    def has_bucket(self, bucket: str) -> bool:
        return self._index.has_bucket(bucket)

    def find_bucket(self, bucket: str) -> Bucket:
        """Raises NoBucket."""
        row = self._index.queries.find_bucket(self._index.here, name=bucket)
        if row is None:
            raise NoBucket(bucket)
        return bucket_of(row)

    def buckets(
        self, prefix: str = "", after: str = "", limit: int = 10_000, region: str | None = None
    ) -> list[Bucket]:
        """In the order of their names."""
        first = max(prefix, after + "\0") if after else prefix
        rows = self._index.queries.buckets_from(
            self._index.here, first=first, beyond=bound(prefix), region=region, limit=limit
        )
        return [bucket_of(row) for row in rows]

    def delete_bucket(self, bucket: str) -> None:
        """With the uploads under way in it. Raises NoBucket, and Busy if it holds objects."""
        queries = self._index.queries
        try:
            with self._index.change() as here:
                blobs = [row["blob"] for row in queries.blobs_of_bucket_uploads(here, bucket=bucket)]
                queries.delete_uploads_of_bucket(here, bucket=bucket)
                if not queries.delete_bucket(here, name=bucket):
                    raise NoBucket(bucket)
        except IntegrityError:
            raise Busy(f"{bucket} holds objects") from None
        self._index.blobs.remove(blobs)

    def tag_bucket(self, bucket: str, tags: Mapping[str, str]) -> None:
        """Replace the tags. Raises NoBucket."""
        with self._index.change() as here:
            if not self._index.queries.tag_bucket(here, name=bucket, tags=json.dumps(tags)):
                raise NoBucket(bucket)

    def find(self, bucket: str, key: str) -> Object:
        """Raises Missing, or its kind NoBucket."""
        found = self._index.find(bucket, key)
        if found is None:
            raise self._missing(bucket, key)
        return found

    def page(self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000) -> list[Object]:
        """In the order of the keys' UTF-8 bytes."""
        return self.listing.objects(bucket, prefix, after, limit)

    def open(self, bucket: str, key: str) -> tuple[Object, BinaryIO]:
        """An object and its bytes, whole even if it is replaced while they are read. Raises Missing."""
        while True:
            found = self.find(bucket, key)
            try:
                return found, found.blob.open("rb", buffering=0)
            except FileNotFoundError:
                self._unless_lost(found)

    def read(self, bucket: str, key: str) -> bytes:
        """Raises Missing."""
        _, file = self.open(bucket, key)
        with file:
            return file.read()

    def fetch(self, found: Object, target: Path, *, link: bool = True) -> None:
        """The object as a file, by a hard link if possible; its newest version if it was replaced. Raises Missing."""
        while True:
            try:
                if link:
                    link_or_copy(found.blob, target)
                else:
                    copyfile(found.blob, target)
            except FileNotFoundError:
                if not target.parent.is_dir():
                    raise
                self._unless_lost(found)
                found = self.find(found.bucket, found.key)
            else:
                return

    def put(self, bucket: str, key: str, body: bytes, **attributes: Unpack[Attributes]) -> Object:
        """Raises NoBucket."""
        with self.draft() as draft:
            draft.write(body)
            return self.keep(draft, bucket, key, **attributes)

    def put_file(self, bucket: str, key: str, source: Path, **attributes: Unpack[Attributes]) -> Object:
        """Raises NoBucket."""
        with self.draft() as draft:
            draft.write_file(source)
            return self.keep(draft, bucket, key, **attributes)

    def draft(self) -> Draft:
        """Bytes on their way in: write to it, then `keep` it here or as a part of an upload."""
        return self._index.blobs.draft()

    def keep(
        self,
        draft: Draft,
        bucket: str,
        key: str,
        *,
        etag: str | None = None,
        guard: Guard = anything,
        **attributes: Unpack[Attributes],
    ) -> Object:
        """The draft becomes the object. Raises NoBucket, and what the guard raises."""
        etag = etag or draft.md5
        with draft.finished(), self._index.change():
            replaced = self._index.find(bucket, key)
            guard(replaced)
            kept = self._index.put(draft, etag, bucket, key, attributes)
        _forget(replaced)
        return kept

    def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        *,
        guard: Guard = anything,
        attributes: Callable[[Object], Attributes] = lambda source: source.attributes,
    ) -> Object:
        """From bucket and key to bucket and key; shares the bytes on disk where it can.

        `attributes` says which the copy gets, or raises if the source is not to be copied. Raises Missing, NoBucket.
        """
        while True:
            found = self.find(*source)
            given = attributes(found)
            with self.draft() as draft:
                try:
                    etag = _copy(found, draft)
                except FileNotFoundError:
                    self._unless_lost(found)
                    continue
                return self.keep(draft, *target, etag=etag, guard=guard, **given)

    def tag(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace the tags. Raises Missing."""
        with self._index.change() as here:
            found = self._index.find(bucket, key)
            if found is None:
                raise self._missing(bucket, key)
            document = attributes_json({**found.attributes, "tags": tags}, found.parts, found.upload)
            self._index.queries.change_attributes(here, bucket=bucket, key=key, attributes=document)

    def delete(self, bucket: str, key: str, *, guard: Guard = anything) -> bool:
        """Whether there was one. Raises NoBucket, and what the guard raises."""
        with self._index.change() as here:
            found = self._index.find(bucket, key)
            guard(found)
            self._index.queries.delete_object(here, bucket=bucket, key=key)
        if found is None and not self.has_bucket(bucket):
            raise NoBucket(bucket)
        _forget(found)
        return found is not None

    def sweep(self) -> None:
        """Remove the blobs that a crash left. Runs by itself at the start, beside reads and writes."""

        def in_use(blobs: list[str]) -> set[str]:
            rows = self._index.queries.blobs_in_use(self._index.here, blobs=json.dumps(blobs))
            return {row["blob"] for row in rows}

        self._index.blobs.sweep(in_use)

    def close(self) -> None:
        if self._sweeper.is_alive():
            self._sweeper.join()
        self._index.close()

    def _missing(self, bucket: str, key: str) -> Missing:
        return Missing(key) if self.has_bucket(bucket) else NoBucket(bucket)

    def _unless_lost(self, found: Object) -> None:
        """A blob that is gone was replaced, if the index names another by now; else the disk lost it."""
        if self.find(found.bucket, found.key).blob == found.blob and not found.blob.exists():
            raise FileNotFoundError(f"the bytes of {found.bucket}/{found.key} are gone from {found.blob}")


def _copy(source: Object, draft: Draft) -> str:
    """Returns the etag, which is always that of an object in one part."""
    if "-" in source.etag:
        draft.write_file(source.blob)
        return draft.md5
    draft.link(source.blob)
    return source.etag


def _forget(gone: Object | None) -> None:
    if gone is not None:
        gone.blob.unlink(missing_ok=True)
