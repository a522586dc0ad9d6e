"""A store for those who only read it."""

from pathlib import Path
from typing import BinaryIO

from groundfog.engine.errors import Missing
from groundfog.engine.objects.listing import bound
from groundfog.engine.objects.records import Object, object_of
from groundfog.engine.state import Database


class Shelf:
    """Beside the process whose `Objects` they are: begins no start and sweeps nothing."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._state = Database(root / "index.sqlite", "objects")

    def page(self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000) -> list[Object]:
        rows = self._state.queries.objects_from(
            self._state.here,
            bucket=bucket,
            first=max(prefix, after + "\0") if after else prefix,
            beyond=bound(prefix),
            limit=limit,
        )
        return [object_of(row, self._blobs) for row in rows]

    def find(self, bucket: str, key: str) -> Object:
        """Raises Missing."""
        row = self._state.queries.find_object(self._state.here, bucket=bucket, key=key)
        if row is None:
            raise Missing(key)
        return object_of(row, self._blobs)

    def open(self, bucket: str, key: str) -> tuple[Object, BinaryIO]:
        """Raises Missing."""
        gone: Object | None = None
        while True:
            found = self.find(bucket, key)
            try:
                return found, found.blob.open("rb", buffering=0)
            except FileNotFoundError:
                # Replaced meanwhile, so that the index names another blob now; if it does not, the disk lost it.
                if gone == found:
                    raise
                gone = found

    def close(self) -> None:
        self._state.close()
