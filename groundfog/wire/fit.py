"""Results against the model, before a client sees them: an answer that does not fit never leaves."""

import datetime
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from botocore.model import Shape

Fit = Callable[[Any], Any]
"""A value made ready for its shape: timestamps are datetimes, members that are None are gone. Or it raises Unfit."""

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "blob": (bytes, bytearray, memoryview, AsyncIterator),
}


class Unfit(Exception):
    """A result that does not fit the model: a bug of ours."""


class Fitter:
    """What one service's results are held against, each shape's part put together when first needed."""

    def __init__(self) -> None:
        self._fits: dict[str, Fit] = {}

    def fit(self, shape: Shape, result: Mapping[str, Any]) -> dict[str, Any]:
        ready: dict[str, Any] = self._for(shape)(result)
        return ready

    def _for(self, shape: Shape) -> Fit:
        if shape.name not in self._fits:
            self._fits[shape.name] = lambda value: self._fits[shape.name](value)
            self._fits[shape.name] = self._make(shape)
        return self._fits[shape.name]

    def _make(self, shape: Shape) -> Fit:
        if shape.type_name == "structure":
            return _document if shape.is_document_type else self._structure(shape)
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        return _timestamp if shape.type_name == "timestamp" else _scalar(shape)

    def _structure(self, shape: Shape) -> Fit:
        members = {
            name: _events if member.serialization.get("eventstream") else self._for(member)
            for name, member in shape.members.items()
        }
        required = frozenset(shape.required_members)

        def fit(value: Any) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise Unfit(f"{shape.name} is a structure, not {value!r:.80}")
            try:
                ready = {name: members[name](member) for name, member in value.items() if member is not None}
            except KeyError as unknown:
                raise Unfit(f"{shape.name} has no member {unknown}") from None
            if not required <= ready.keys():
                raise Unfit(f"{shape.name} lacks {', '.join(sorted(required - ready.keys()))}")
            if shape.is_tagged_union and len(ready) != 1:
                raise Unfit(f"{shape.name} has one member, not {len(ready)}")
            return ready

        return fit

    def _list(self, shape: Shape) -> Fit:
        member = self._for(shape.member)

        def fit(value: Any) -> list[Any]:
            if not isinstance(value, list | tuple):
                raise Unfit(f"{shape.name} is a list, not {value!r:.80}")
            return [member(item) for item in value]

        return fit

    def _map(self, shape: Shape) -> Fit:
        of_key, of_value = self._for(shape.key), self._for(shape.value)

        def fit(value: Any) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise Unfit(f"{shape.name} is a map, not {value!r:.80}")
            return {of_key(key): of_value(item) for key, item in value.items()}

        return fit


def _document(value: Any) -> Any:
    return value


def _events(value: Any) -> Any:
    """Each event is held against the model when its turn comes."""
    if not isinstance(value, AsyncIterator):
        raise Unfit(f"a stream of events is not {value!r:.80}")
    return value


def _timestamp(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC) if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    raise Unfit(f"{value!r:.80} is no time")


def _scalar(shape: Shape) -> Fit:
    expected, boolean = _SCALARS[shape.type_name], shape.type_name == "boolean"

    def fit(value: Any) -> Any:
        if not isinstance(value, expected) or (isinstance(value, bool) and not boolean):
            raise Unfit(f"{shape.name} is a {shape.type_name}, not {value!r:.80}")
        return value

    return fit
