"""File and FastFile mode: objects become files in the channel's folder.

The part of a key that follows the channel's prefix becomes the path. Keys are not paths, though: what would leave the
folder, or be a file and a folder at once, is refused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from groundfog.engine.archive import clear
from groundfog.engine.channels.channel import Channel, Interrupted, Share
from groundfog.engine.channels.choosing import chosen
from groundfog.engine.channels.dealing import dealt
from groundfog.engine.channels.source import Item, ItemT, Store
from groundfog.engine.channels.unpacking import unpacked
from groundfog.engine.errors import Missing, Unfit


@dataclass
class _Paths:
    """What is in the folder already."""

    files: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)

    def take(self, relative: str, key: str) -> Path:
        """Raises Unfit if the key is no place for a file."""
        parts = relative.split("/")
        if "\0" in relative or any(part in ("", ".", "..") for part in parts):
            raise Unfit(f"the key {key!r} cannot be a path below the channel's folder")
        if any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
            raise Unfit(f"the key {key!r} has a part of more than 255 bytes, which no file's name may have")
        path = Path(relative)
        if path in self.files or path in self.folders or not self.files.isdisjoint(path.parents):
            raise Unfit(f"the key {key!r} would be a file where another key needs a folder, or the same file twice")
        self.files.add(path)
        self.folders.update(path.parents)
        return path


def fill(
    objects: Store[ItemT],
    channel: Channel,
    folder: Path,
    *,
    link: bool,
    share: Share | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Into a folder that is empty then, whatever an earlier try left. Raises Unfit with what the user can put right.

    With `link`, files are the objects' own: for programs that cannot write to them. A host whose share is nothing gets
    an empty folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Unfit(f"{channel.uri} is to be put where another channel has put a file") from None
    clear(folder)
    try:
        found = _with_paths(objects, channel)
        for item, path in dealt(found, share.of(channel)) if share is not None and channel.is_sharded else found:
            if interrupted():
                raise Interrupted
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if channel.is_gzipped:
                _unpack(objects, item, target)
            else:
                objects.fetch(item, target, link=link)
    except Missing:
        # The bucket is not there, or an object went while it was fetched.
        raise Unfit(channel.if_empty) from None


def _with_paths(objects: Store[ItemT], channel: Channel) -> Iterable[tuple[ItemT, Path]]:
    paths = _Paths()
    for item, relative in chosen(objects, channel):
        yield item, paths.take(relative.removesuffix(".gz") if channel.is_gzipped else relative, item.key)
    if not paths.files:
        raise Unfit(channel.if_empty)


def _unpack(objects: Store[ItemT], found: Item, target: Path) -> None:
    _, packed = objects.open(found.bucket, found.key)
    with packed, target.open("xb") as file:
        file.writelines(unpacked(packed, found.key))
