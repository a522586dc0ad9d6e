"""Pages of keys, in the order of their UTF-8 bytes (which is that of their code points)."""

from dataclasses import dataclass

from groundfog.engine.objects.index import Index
from groundfog.engine.objects.records import Object, object_of

_LAST = chr(0x10FFFF)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Objects and rolled-up prefixes, each in order. `last` is the greatest of both if more follows, else None."""

    objects: list[Object]
    prefixes: list[str]
    last: str | None


class Listing:
    def __init__(self, index: Index) -> None:
        self._index = index

    def objects(self, bucket: str, prefix: str, after: str, limit: int) -> list[Object]:
        return self._from(bucket, prefix, max(prefix, after + "\0") if after else prefix, limit)

    def page(self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> Page:
        """What sorts behind `after`. Keys with a delimiter behind the prefix count as one: up to that delimiter."""
        if delimiter:
            return self._rolled_up(bucket, prefix, delimiter, after, limit)
        found = self.objects(bucket, prefix, after, limit + 1)
        return Page(objects=found[:limit], prefixes=[], last=found[limit - 1].key if len(found) > limit else None)

    def _rolled_up(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        """A prefix's further keys are not read but jumped over, however many there are."""
        objects: list[Object] = []
        prefixes: list[str] = []
        last = ""
        first: str | bytes = prefix
        if after >= prefix and after:
            first = _beyond_all_of(after, rolled(after, prefix, delimiter))
        while rows := self._from(bucket, prefix, first, min(limit + 1, 100)):
            for row in rows:
                if not _reaches(row.key, first):
                    continue
                if len(objects) + len(prefixes) == limit:
                    return Page(objects=objects, prefixes=prefixes, last=last)
                head = rolled(row.key, prefix, delimiter)
                if head is None:
                    objects.append(row)
                else:
                    prefixes.append(head)
                last, first = head or row.key, _beyond_all_of(row.key, head)
        return Page(objects=objects, prefixes=prefixes, last=None)

    def _from(self, bucket: str, prefix: str, first: str | bytes, limit: int) -> list[Object]:
        rows = self._index.queries.objects_from(
            self._index.here, bucket=bucket, first=first, beyond=bound(prefix), limit=limit
        )
        return [object_of(row, self._index.blobs.root) for row in rows]


def bound(prefix: str) -> str | bytes:
    """What is greater than all that begins with the prefix, as SQLite compares: an empty BLOB follows every TEXT."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return b""
    following = ord(kept[-1]) + 1
    # There are no surrogates in UTF-8, so none in keys.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def rolled(key: str, prefix: str, delimiter: str) -> str | None:
    """The key up to the first delimiter behind the prefix."""
    end = key.find(delimiter, len(prefix)) if key.startswith(prefix) else -1
    return None if end < 0 else key[: end + len(delimiter)]


def _beyond_all_of(key: str, head: str | None) -> str | bytes:
    return key + "\0" if head is None else bound(head)


def _reaches(key: str, first: str | bytes) -> bool:
    return isinstance(first, str) and key >= first
