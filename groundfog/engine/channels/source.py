"""Where the bytes of a channel come from, as far as channels want to know."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from groundfog.engine.objects import Shelf


class Item(Protocol):
    @property
    def bucket(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


ItemT = TypeVar("ItemT", bound=Item, covariant=True)


class Source(Protocol[ItemT]):
    """`Objects` is one. Safe for many threads; all of it raises Missing."""

    def page(self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ItemT]:
        """In the order of the keys; empty at the end."""
        ...

    def find(self, bucket: str, key: str) -> ItemT: ...

    def open(self, bucket: str, key: str) -> tuple[ItemT, BinaryIO]:
        """The bytes stay whole even if the object is replaced while they are read."""
        ...


class Store(Source[ItemT], Protocol[ItemT]):
    def fetch(self, item: Any, file: Path, *, link: bool) -> None:
        """With `link`, the file may be the object's own."""
        ...


def source_of(document: Mapping[str, Any]) -> Source[Item]:
    """What a process of its own is told: `{"folder": "/.../objects"}` is the store on this machine, and `{"s3": ...}`
    one on another machine."""
    if "s3" in document:
        from groundfog.engine.channels.remote import RemoteStore

        return RemoteStore(document["s3"])
    return Shelf(Path(document["folder"]))
