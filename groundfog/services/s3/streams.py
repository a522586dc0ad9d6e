"""Bodies on their way in and out, a block at a time; files are touched in worker threads only."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from groundfog.engine.objects.blobs import BLOCK, Draft
from groundfog.wire.chunked import Body


@dataclass(frozen=True)
class Incoming:
    """A body on its way into a draft. The next block arrives while the last is being written."""

    body: Body
    draft: Draft

    async def until_last_block(self) -> bytes:
        """Write all but the last block, which comes back so that a small body needs one thread only, for everything.

        That thread owns the draft from then on: a client that hangs up must not take it away.
        """
        held: list[bytes] = []
        size = 0
        writing: asyncio.Future[None] | None = None
        try:
            async for part in self.body:
                held.append(part)
                size += len(part)
                if size >= BLOCK:
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(asyncio.to_thread(self.draft.write, b"".join(held)))
                    held, size = [], 0
            if writing is not None:
                await writing
        except BaseException:
            if writing is not None:
                await asyncio.gather(writing, return_exceptions=True)
            self.draft.discard()
            raise
        return b"".join(held)


@dataclass(frozen=True)
class Outgoing:
    """`length` bytes of an open file from `offset`. Whoever reads them closes the file, at an early end too."""

    file: BinaryIO
    offset: int
    length: int

    async def blocks(self) -> AsyncIterator[bytes]:
        left = self.length
        with self.file:
            self.file.seek(self.offset)
            while left and (block := await asyncio.to_thread(self.file.read, min(BLOCK, left))):
                left -= len(block)
                yield block

    def read(self) -> bytes:
        with self.file:
            self.file.seek(self.offset)
            return self.file.read(self.length)
