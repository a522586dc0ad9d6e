"""Gzipped objects, a block at a time."""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from groundfog.engine.errors import Unfit

MOST_BYTES = 1 << 40
"""Of one object that is unpacked."""
BLOCK = 1 << 20


def unpacked(packed: BinaryIO, key: str, most: int = MOST_BYTES) -> Iterator[bytes]:
    """Raises Unfit for what is not gzipped, or gets larger than `most` bytes."""
    try:
        with gzip.open(packed) as file:
            while block := file.read(BLOCK):
                most -= len(block)
                if most < 0:
                    raise Unfit(f"{key!r} is too large when unpacked")
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Unfit(f"{key!r} is not gzipped as CompressionType says ({error})") from None
