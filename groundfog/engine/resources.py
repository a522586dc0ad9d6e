"""Everything that has a name and is kept: jobs, models, endpoints, roles, with their tags."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from groundfog.engine.errors import Busy, Missing, Taken, Unfit
from groundfog.engine.state import Database, Row

Document = dict[str, Any]
SortBy = Literal["name", "created", "modified", "status"]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A row. Times are seconds since the epoch; the document is JSON, shaped as its owner wants it."""

    kind: str
    name: str
    status: str
    document: Document
    created: float
    modified: float


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of a kind to list. Times are exclusive bounds in seconds since the epoch."""

    name_contains: str | None = None
    status: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Pairs of a path into the document (`$.EndpointConfigName`) and the text that must stand there."""
    sort_by: SortBy = "created"
    descending: bool = True
    limit: int = 100
    after: str | None = None
    """The token of the previous page."""


class Resources:
    """Names are unique within a kind, by constraint."""

    def __init__(self, state: Database) -> None:
        self._state = state

    def add(self, kind: str, name: str, document: Document, *, status: str = "", tags: dict[str, str]) -> Resource:
        """Keep a new one. Raises Taken."""
        now = time.time()
        try:
            with self._state.transaction() as here:
                self._state.queries.add_resource(
                    here, kind=kind, name=name, status=status, document=json.dumps(document), created=now
                )
                for key, value in tags.items():
                    self._state.queries.put_tag(here, kind=kind, name=name, key=key, value=value)
        except self._state.violated:
            raise Taken(name) from None
        return Resource(kind=kind, name=name, status=status, document=document, created=now, modified=now)

    def find(self, kind: str, name: str) -> Resource:
        """Raises Missing."""
        row = self._state.queries.find_resource(self._state.here, kind=kind, name=name)
        if row is None:
            raise Missing(name)
        return _resource(row)

    def has(self, kind: str, name: str) -> bool:
        return self._state.queries.find_resource(self._state.here, kind=kind, name=name) is not None

    def mention(self, text: str) -> bool:
        """Whether any document holds this text, which is without quotes and backslashes."""
        return self._state.queries.find_mention(self._state.here, text=text) is not None

    def change(
        self,
        kind: str,
        name: str,
        change: Callable[[Document], Document] = lambda document: document,
        *,
        status: str | None = None,
        only_from: Collection[str] | None = None,
    ) -> Resource:
        """Replace document and status in one step. Raises Missing, and Busy unless in one of `only_from`."""
        with self._state.transaction() as here:
            row = self._state.queries.find_resource(here, kind=kind, name=name)
            if row is None:
                raise Missing(name)
            before = _resource(row)
            if only_from is not None and before.status not in only_from:
                raise Busy(before.status)
            document, now = change(before.document), time.time()
            changed = self._state.queries.change_resource(
                here,
                kind=kind,
                name=name,
                status=before.status if status is None else status,
                document=json.dumps(document),
                modified=now,
            )
            if not changed:
                raise Missing(name)
        return Resource(
            kind=kind,
            name=name,
            status=before.status if status is None else status,
            document=document,
            created=before.created,
            modified=now,
        )

    def delete(self, kind: str, name: str) -> None:
        """Raises Missing."""
        if not self._state.queries.delete_resource(self._state.here, kind=kind, name=name):
            raise Missing(name)

    def in_status(self, kind: str, *statuses: str) -> list[Resource]:
        """Oldest first."""
        rows = self._state.queries.resources_in_status(self._state.here, kind=kind, statuses=json.dumps(statuses))
        return [_resource(row) for row in rows]

    def page(self, kind: str, wanted: Wanted) -> tuple[list[Resource], str | None]:
        """One page, and the token of the next. Raises Unfit for a token that is not one of ours."""
        statement, values = _select(kind, wanted)
        rows = self._state.select(statement, values)
        found = [_resource(row) for row in rows[: wanted.limit]]
        if len(rows) <= wanted.limit:
            return found, None
        last = found[-1]
        return found, json.dumps([getattr(last, wanted.sort_by), last.name])

    def tags(self, kind: str, name: str) -> dict[str, str]:
        rows = self._state.queries.tags_of(self._state.here, kind=kind, name=name)
        return {row["key"]: row["value"] for row in rows}

    def tag(self, kind: str, name: str, tags: dict[str, str]) -> None:
        """Add or replace tags. Raises Missing."""
        try:
            with self._state.transaction() as here:
                for key, value in tags.items():
                    self._state.queries.put_tag(here, kind=kind, name=name, key=key, value=value)
        except self._state.violated:
            raise Missing(name) from None

    def untag(self, kind: str, name: str, keys: Collection[str]) -> None:
        with self._state.transaction() as here:
            for key in keys:
                self._state.queries.delete_tag(here, kind=kind, name=name, key=key)


def _resource(row: Row) -> Resource:
    return Resource(
        kind=row["kind"],
        name=row["name"],
        status=row["status"],
        document=json.loads(row["document"]),
        created=row["created"],
        modified=row["modified"],
    )


def _select(kind: str, wanted: Wanted) -> tuple[str, list[Any]]:
    """The one statement that is put together here: which conditions it has depends on what was asked."""
    column, way = wanted.sort_by, "DESC" if wanted.descending else "ASC"
    conditions: list[tuple[str, Any]] = [
        ("kind = ?", kind),
        ("instr(name, ?) > 0", wanted.name_contains),
        ("status = ?", wanted.status),
        ("created > ?", wanted.created_after),
        ("created < ?", wanted.created_before),
        ("modified > ?", wanted.modified_after),
        ("modified < ?", wanted.modified_before),
    ]
    given = [(text, value) for text, value in conditions if value is not None]
    texts, values = [text for text, _ in given], [value for _, value in given]
    for path, text in wanted.where:
        texts.append("json_extract(document, ?) = ?")
        values += [path, text]
    if wanted.after is not None:
        texts.append(f"({column}, name) {'<' if wanted.descending else '>'} (?, ?)")
        values += _token(wanted.after, float if column in ("created", "modified") else str)
    statement = (
        "SELECT kind, name, status, document, created, modified FROM resource "  # noqa: S608
        f"WHERE {' AND '.join(texts)} ORDER BY {column} {way}, name {way} LIMIT ?"
    )
    return statement, [*values, wanted.limit + 1]


def _token(after: str, kind: type[str] | type[float]) -> list[str | float]:
    try:
        value, name = json.loads(after)
    except (ValueError, TypeError):
        raise Unfit("NextToken is not one that an earlier page gave") from None
    if not isinstance(name, str) or not isinstance(value, kind):
        raise Unfit("NextToken is not one that an earlier page gave")
    return [value, name]
