"""Which objects a channel holds: those below a prefix, or those that a manifest names."""

import json
from collections.abc import Iterator
from typing import Any

from groundfog.engine.channels.channel import Channel
from groundfog.engine.channels.source import ItemT, Source
from groundfog.engine.errors import Missing, Unfit

MOST_OF_A_MANIFEST = 1 << 30
"""Bytes."""


def chosen(objects: Source[ItemT], channel: Channel, after: str = "") -> Iterator[tuple[ItemT, str]]:
    """Objects and their paths, from the one after the key `after`. Raises Unfit, Missing."""
    if channel.is_manifest:
        yield from _named_by_manifest(objects, channel, after)
        return
    for found in below(objects, channel, after):
        yield found, _below(channel.prefix, found.key)


def require_any(objects: Source[Any], channel: Channel) -> None:
    """Raises Unfit if the channel holds nothing, as far as can be seen at once."""
    try:
        if channel.attributes:
            objects.find(channel.bucket, channel.prefix)
        elif next(chosen(objects, channel), None) is None:
            raise Unfit(channel.if_empty)
    except Missing:
        raise Unfit(channel.if_empty) from None


def below(objects: Source[ItemT], channel: Channel, after: str = "") -> Iterator[ItemT]:
    """Without the empty objects by which consoles show folders."""
    while page := objects.page(channel.bucket, channel.prefix, after):
        yield from (found for found in page if not (found.key.endswith("/") and found.size == 0))
        after = page[-1].key


def _below(prefix: str, key: str) -> str:
    """What of the key is the path: `train` means the folder `train/`, the object `train`, or all that begins so."""
    if prefix and key != prefix and (prefix.endswith("/") or key.startswith(f"{prefix}/")):
        return key[len(prefix) :] if prefix.endswith("/") else key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def _named_by_manifest(objects: Source[ItemT], channel: Channel, after: str) -> Iterator[tuple[ItemT, str]]:
    bucket, prefix, names = manifest(objects, channel)
    begun = [number for number, name in enumerate(names, start=1) if prefix + name == after]
    for name in names[begun[-1] if begun else 0 :]:
        try:
            yield objects.find(bucket, prefix + name), name
        except Missing:
            raise Unfit(f"s3://{bucket}/{prefix}{name}, which the manifest {channel.uri} names, is not there") from None


def manifest(objects: Source[Any], channel: Channel) -> tuple[str, str, list[str]]:
    """A bucket, what all keys begin with, and how each goes on. Raises Unfit.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
    """
    try:
        _, file = objects.open(channel.bucket, channel.prefix)
        with file:
            document = json.loads(file.read(MOST_OF_A_MANIFEST))
        start = document[0]["prefix"]
        names = document[1:]
        if not isinstance(start, str) or not all(isinstance(name, str) for name in names):
            raise TypeError
    except Missing:
        raise Unfit(channel.if_empty) from None
    except (ValueError, TypeError, KeyError, IndexError):
        raise Unfit(
            f'{channel.uri} is no manifest: a JSON list of {{"prefix": "s3://..."}} and the names below it'
        ) from None
    bucket, _, prefix = start.removeprefix("s3://").partition("/")
    return bucket, prefix, names
