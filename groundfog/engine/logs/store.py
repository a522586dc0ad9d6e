"""Which log groups and streams there are, and what stands in them."""

import contextlib
import heapq
import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.errors import Missing, Taken, Unfit
from groundfog.engine.logs.file import Event, append, backward, end_of, forward
from groundfog.engine.logs.pattern import Pattern
from groundfog.engine.state import Database, Row

MOST_BYTES = 1 << 20
"""In one page, each event counted with 26 bytes more than its text."""

Cursor = tuple[int, str, int]
"""Time, stream and offset of an event: streams that are read together have one order."""


@dataclass(frozen=True)
class Group:
    name: str
    created: float


@dataclass(frozen=True)
class Stream:
    """`created` is in seconds since the epoch; the first and the last event are None in an empty stream."""

    name: str
    created: float
    file: Path

    @property
    def first(self) -> Event | None:
        return next((event for event, _ in forward(self.file)), None)

    @property
    def last(self) -> Event | None:
        return next((event for event, _ in backward(self.file)), None)


@dataclass(frozen=True)
class Page:
    """Events of one stream in their order, and the offsets before and after them."""

    events: list[Event]
    before: int
    after: int


@dataclass(frozen=True)
class Found:
    stream: str
    event: Event
    cursor: Cursor


@dataclass(frozen=True, kw_only=True)
class Span:
    """Milliseconds since the epoch: from `start`, up to but not `end`."""

    start: int = 0
    end: int = 1 << 62

    def holds(self, event: Event) -> bool:
        return self.start <= event.timestamp < self.end


class Logs:
    """A stream is a file below `root`; that of a running program is the same file as the `log` of its host."""

    def __init__(self, root: Path, state: Database) -> None:
        self._root, self._state = root, state
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create_group(self, name: str, tags: Mapping[str, str] | None = None) -> None:
        """Raises Taken."""
        try:
            self._state.queries.add_log_group(
                self._state.here, name=name, created=time.time(), tags=json.dumps(tags or {})
            )
        except self._state.violated:
            raise Taken(name) from None

    def tags(self, group: str) -> dict[str, str]:
        """Raises Missing."""
        row = self._state.queries.find_log_group(self._state.here, name=group)
        if row is None:
            raise Missing(group)
        found: dict[str, str] = json.loads(row["tags"])
        return found

    def change_tags(self, group: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Raises Missing, and what `change` raises."""
        with self._state.transaction() as here:
            tags = change(self.tags(group))
            self._state.queries.tag_log_group(here, name=group, tags=json.dumps(tags))

    def delete_group(self, name: str) -> None:
        """With all its streams. Raises Missing."""
        files = [stream.file for stream in self.streams(name)]
        self._state.queries.delete_log_group(self._state.here, name=name)
        for file in files:
            file.unlink(missing_ok=True)

    def groups(self, *, prefix: str = "", after: str = "", limit: int = 50) -> list[Group]:
        """In the order of their names, from the one after `after`."""
        rows = self._state.queries.log_groups(self._state.here, prefix=prefix, after=after, most=limit)
        return [Group(row["name"], row["created"]) for row in rows]

    def create_stream(self, group: str, name: str) -> None:
        """Raises Missing for the group, Taken."""
        self._need(group)
        file = self._new_name()
        (self._root / file).touch()
        try:
            self._state.queries.add_log_stream(
                self._state.here, log_group=group, name=name, file=file, created=time.time()
            )
        except self._state.violated:
            (self._root / file).unlink()
            raise Taken(name) from None

    def attach(self, group: str, name: str, log: Path) -> None:
        """Make a host's log a stream, group and all. From then on the file has two names, and outlives the host."""
        self._state.queries.add_log_group_if_new(self._state.here, name=group, created=time.time())
        with contextlib.suppress(Missing):
            attached = self.find(group, name).file
            if attached.exists() and attached.samefile(log):
                return
        file = self._new_name()
        os.link(log, self._root / file)
        self._state.queries.put_log_stream(self._state.here, log_group=group, name=name, file=file, created=time.time())

    def delete_stream(self, group: str, name: str) -> None:
        """Raises Missing."""
        stream = self.find(group, name)
        self._state.queries.delete_log_stream(self._state.here, log_group=group, name=name)
        stream.file.unlink(missing_ok=True)

    def find(self, group: str, name: str) -> Stream:
        """Raises Missing."""
        row = self._state.queries.find_log_stream(self._state.here, log_group=group, name=name)
        if row is None:
            raise Missing(name)
        return self._stream(row)

    def streams(self, group: str, *, prefix: str = "") -> list[Stream]:
        """In the order of their names. Raises Missing."""
        self._need(group)
        rows = self._state.queries.log_streams(self._state.here, log_group=group, prefix=prefix)
        return [self._stream(row) for row in rows]

    def put(self, group: str, name: str, events: Sequence[Event]) -> None:
        """Raises Missing."""
        append(self.find(group, name).file, events)

    def read(self, group: str, name: str, *, start: int = 0, limit: int, span: Span) -> Page:
        """Events from an offset on. Raises Missing, and Unfit for an offset that the stream does not have."""
        file = self._file(group, name, start)
        events: list[Event] = []
        room, after = MOST_BYTES, start
        for event, position in forward(file, start):
            if span.holds(event):
                room -= _size(event)
                if len(events) == limit or (room < 0 and events):
                    break
                events.append(event)
            after = position
        return Page(events, start, after)

    def read_back(self, group: str, name: str, *, end: int | None = None, limit: int, span: Span) -> Page:
        """The last events before an offset, or before the end. Raises Missing, Unfit."""
        file = self._file(group, name, end or 0)
        end = end_of(file) if end is None else end
        events: list[Event] = []
        room, before = MOST_BYTES, end
        for event, position in backward(file, end):
            if span.holds(event):
                room -= _size(event)
                if len(events) == limit or (room < 0 and events):
                    break
                events.append(event)
            before = position
        return Page(events[::-1], before, end)

    def search(
        self, streams: Sequence[Stream], pattern: Pattern, *, after: Cursor | None = None, span: Span
    ) -> Iterator[Found]:
        """What the pattern finds, streams interleaved by time."""
        for found in heapq.merge(*map(_in_order, streams), key=lambda found: found.cursor):
            new = after is None or found.cursor > after
            if new and span.holds(found.event) and pattern.is_in(found.event.message):
                yield found

    def _file(self, group: str, name: str, offset: int) -> Path:
        self._need(group)
        file = self.find(group, name).file
        if not 0 <= offset <= file.stat().st_size:
            raise Unfit("The specified nextToken is invalid.")
        return file

    def _need(self, group: str) -> None:
        if self._state.queries.find_log_group(self._state.here, name=group) is None:
            raise Missing(group)

    def _stream(self, row: Row) -> Stream:
        return Stream(row["name"], row["created"], self._root / row["file"])

    def _new_name(self) -> str:
        return secrets.token_hex(12)


def first_page(found: Iterator[Found], limit: int) -> tuple[list[Found], bool]:
    """As many as one answer holds, and whether there are more."""
    page: list[Found] = []
    room = MOST_BYTES
    for one in itertools.islice(found, limit + 1):
        room -= _size(one.event)
        if len(page) == limit or (room < 0 and page):
            return page, True
        page.append(one)
    return page, False


def _in_order(stream: Stream) -> Iterator[Found]:
    """By the latest time so far, so that an event that came late does not upset the order of the rest."""
    latest = 0
    for event, position in forward(stream.file):
        latest = max(latest, event.timestamp)
        yield Found(stream.name, event, (latest, stream.name, position))


def _size(event: Event) -> int:
    return len(event.message.encode("utf-8", "replace")) + 26
