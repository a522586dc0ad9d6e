"""Which blob stands at which key: the rows, and the one way to change them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import IntegrityError
from typing import Any

from groundfog.engine.objects.blobs import Blobs, Draft
from groundfog.engine.objects.records import Attributes, NoBucket, Object, object_of
from groundfog.engine.state import Connection, Database

Guard = Callable[[Object | None], None]
"""Looks at what stands at a key just before it is replaced or deleted, and raises if that must not be."""


def anything(there: Object | None) -> None:
    """The guard that lets everything pass."""


class Index:
    def __init__(self, root: Path, *, durable: bool) -> None:
        self.blobs = Blobs(root / "blobs", durable=durable)
        self._state = Database(root / "index.sqlite", "objects", durable=durable)
        self._writing = threading.Lock()
        self.queries: Any = self._state.queries

    @property
    def here(self) -> Connection:
        return self._state.here

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """A transaction. SQLite's own wait for a turn sleeps; a lock in front of it does not."""
        with self._writing, self._state.transaction() as here:
            yield here

    def has_bucket(self, bucket: str) -> bool:
        return self.queries.find_bucket(self.here, name=bucket) is not None

    def find(self, bucket: str, key: str) -> Object | None:
        row = self.queries.find_object(self.here, bucket=bucket, key=key)
        return None if row is None else object_of(row, self.blobs.root)

    def put(
        self,
        draft: Draft,
        etag: str,
        bucket: str,
        key: str,
        attributes: Attributes,
        parts: tuple[int, ...] = (),
        upload: str | None = None,
    ) -> Object:
        """The row of a finished draft, inside a change. Raises NoBucket."""
        modified = time.time()
        try:
            self.queries.put_object(
                self.here,
                bucket=bucket,
                key=key,
                blob=draft.name,
                size=draft.size,
                etag=etag,
                modified=modified,
                attributes=attributes_json(attributes, parts, upload),
            )
        except IntegrityError:
            raise NoBucket(bucket) from None
        return Object(
            bucket=bucket,
            key=key,
            size=draft.size,
            etag=etag,
            modified=modified,
            blobs=self.blobs.root,
            name=draft.name,
            parts=parts,
            upload=upload,
            **attributes,
        )

    def close(self) -> None:
        self._state.close()
        self.blobs.close()


def attributes_json(attributes: Attributes, parts: tuple[int, ...] = (), upload: str | None = None) -> str:
    document = {**attributes, "parts": parts, "upload": upload}
    return json.dumps({name: value for name, value in document.items() if value})
