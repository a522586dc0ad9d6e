"""Objects that come in parts."""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from sqlite3 import IntegrityError
from typing import Unpack

from groundfog.engine.objects.blobs import Draft
from groundfog.engine.objects.index import Guard, Index, anything, attributes_json
from groundfog.engine.objects.listing import bound
from groundfog.engine.objects.records import Attributes, NoBucket, NoUpload, Object, Part, Upload, part_of, upload_of
from groundfog.engine.state import Connection


class Uploads:
    def __init__(self, index: Index) -> None:
        self._index = index

    def begin(self, bucket: str, key: str, **attributes: Unpack[Attributes]) -> Upload:
        """Raises NoBucket."""
        upload = Upload(
            id=secrets.token_urlsafe(48), bucket=bucket, key=key, created=time.time(), attributes=attributes
        )
        try:
            with self._index.change() as here:
                self._index.queries.add_upload(
                    here,
                    id=upload.id,
                    bucket=bucket,
                    key=key,
                    created=upload.created,
                    attributes=attributes_json(attributes),
                )
        except IntegrityError:
            raise NoBucket(bucket) from None
        return upload

    def find(self, bucket: str, key: str, upload: str) -> Upload:
        """Raises NoUpload, or NoBucket."""
        row = self._index.queries.find_upload(self._index.here, id=upload, bucket=bucket, key=key)
        if row is None:
            raise NoUpload(upload) if self._index.has_bucket(bucket) else NoBucket(bucket)
        return upload_of(row)

    def page(self, bucket: str, prefix: str = "", after: tuple[str, str] = ("", ""), limit: int = 1000) -> list[Upload]:
        """In the order of keys, then ids; `after` is such a pair."""
        rows = self._index.queries.uploads_from(
            self._index.here,
            bucket=bucket,
            first=prefix,
            beyond=bound(prefix),
            key=after[0],
            id=after[1],
            limit=limit,
        )
        return [upload_of(row) for row in rows]

    def keep_part(self, draft: Draft, upload: Upload, number: int, checksums: Mapping[str, str] | None = None) -> Part:
        """The draft becomes a part, in the place of one with that number. Raises NoUpload if the upload has ended."""
        part = Part(
            number=number,
            size=draft.size,
            etag=draft.md5,
            modified=time.time(),
            blob=draft.name,
            checksums=checksums or {},
        )
        with draft.finished(), self._index.change() as here:
            replaced = self._index.queries.find_part(here, upload=upload.id, number=number)
            self._put_part(here, upload, part)
        if replaced is not None:
            self._index.blobs.remove([replaced["blob"]])
        return part

    def parts(self, upload: Upload, after: int = 0, limit: int = 10_000) -> list[Part]:
        rows = self._index.queries.parts_after(self._index.here, upload=upload.id, number=after, limit=limit)
        return [part_of(row) for row in rows]

    def complete(
        self,
        upload: Upload,
        parts: Sequence[Part],
        *,
        guard: Guard = anything,
        attributes: Callable[[Path], Attributes] | None = None,
    ) -> Object:
        """Join these parts into the object and end the upload. Raises NoUpload if it ended meanwhile.

        `attributes` may replace those of the upload, after a look at the joined bytes.
        """
        with self._index.blobs.draft() as draft:
            for part in parts:
                self._append(draft, upload, part)
            draft.flush()
            given = upload.attributes if attributes is None else attributes(draft.path)
            sizes = tuple(part.size for part in parts)
            with draft.finished(), self._index.change() as here:
                gone = self._end(here, upload)
                replaced = self._index.find(upload.bucket, upload.key)
                guard(replaced)
                kept = self._index.put(draft, etag_of(parts), upload.bucket, upload.key, given, sizes, upload.id)
        self._index.blobs.remove(gone)
        if replaced is not None:
            replaced.blob.unlink(missing_ok=True)
        return kept

    def abort(self, upload: Upload) -> None:
        """Raises NoUpload if it has ended."""
        with self._index.change() as here:
            gone = self._end(here, upload)
        self._index.blobs.remove(gone)

    def _put_part(self, here: Connection, upload: Upload, part: Part) -> None:
        try:
            self._index.queries.put_part(
                here,
                upload=upload.id,
                number=part.number,
                blob=part.blob,
                size=part.size,
                etag=part.etag,
                modified=part.modified,
                checksums=json.dumps(part.checksums),
            )
        except IntegrityError:
            raise NoUpload(upload.id) from None

    def _append(self, draft: Draft, upload: Upload, part: Part) -> None:
        try:
            draft.append(self._index.blobs.path(part.blob))
        except FileNotFoundError:
            raise NoUpload(upload.id) from None

    def _end(self, here: Connection, upload: Upload) -> list[str]:
        """Delete the rows. Returns the blobs to be removed afterwards."""
        blobs = [part.blob for part in self.parts(upload)]
        if not self._index.queries.delete_upload(here, id=upload.id):
            raise NoUpload(upload.id)
        return blobs


def etag_of(parts: Sequence[Part]) -> str:
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"
