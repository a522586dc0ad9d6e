"""One request: to the model, and its answer to its place."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import IO

from groundfog.engine.endpoints import Answering, Endpoints, Question, TooSlow, Unanswered, Unhealthy, log_group
from groundfog.engine.errors import Busy, Missing
from groundfog.engine.invocations.invocation import Invocation, Place
from groundfog.engine.logs import Logs
from groundfog.engine.logs.diary import Diary
from groundfog.engine.objects import UNTYPED, Objects

MOST_ANSWER = 1 << 30
_MOST_OF_AN_ERROR = 1 << 20
_BLOCK = 1 << 20
"""Bytes that are put on the disk together."""
_PAUSE = 0.5
_DIARY = "data-log"


class _Failed(Exception):
    """A status of 0 where the model did not answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class Carrier:
    """What fails is told in the endpoint's log too."""

    def __init__(self, objects: Objects, endpoints: Endpoints, logs: Logs) -> None:
        self._objects, self._endpoints, self._logs = objects, endpoints, logs

    async def carry(self, invocation: Invocation) -> None:
        """The answer or the failure is an object afterwards, unless its bucket, or the endpoint, is gone."""
        try:
            await self._answer(invocation)
        except _Failed as failed:
            await asyncio.to_thread(self._complain, invocation, failed)

    async def _answer(self, invocation: Invocation) -> None:
        answering = await self._asked(invocation)
        try:
            if not 200 <= answering.status < 300:
                said = await answering.read(_MOST_OF_AN_ERROR)
                raise _Failed(answering.status, said.decode(errors="replace"))
            await self._keep(invocation.answer, answering)
        except Unanswered as unanswered:
            raise _Failed(0, str(unanswered)) from None
        finally:
            answering.close()

    async def _asked(self, invocation: Invocation) -> Answering:
        """Once there is an instance that can answer, and until the request expires."""
        question = await asyncio.to_thread(self._question, invocation)
        while not invocation.is_expired:
            try:
                answer = await self._endpoints.stream(invocation.endpoint, question, invocation.seconds)
            except (Busy, Unhealthy):
                await asyncio.sleep(_PAUSE)
            except Missing:
                raise _Failed(0, f"The endpoint {invocation.endpoint} was deleted.") from None
            except TooSlow:
                raise _Failed(0, f"The model did not answer in {invocation.seconds:g} s.") from None
            except Unanswered as unanswered:
                raise _Failed(0, str(unanswered)) from None
            else:
                return answer.reply
        raise _Failed(0, "The request expired before an instance was free to answer it.")

    def _question(self, invocation: Invocation) -> Question:
        """Where the request has no content type, that of its object counts: the SDK leaves it at that."""
        if invocation.source is None:
            return Question(base64.b64decode(invocation.body or ""), invocation.headers)
        bucket, key = invocation.source

        def opened() -> IO[bytes]:
            return self._objects.open(bucket, key)[1]

        try:
            found = self._objects.find(bucket, key)
        except Missing:
            raise _Failed(0, f"There is no object {key} in the bucket {bucket} to be sent.") from None
        typed = {} if found.content_type == UNTYPED else {"Content-Type": found.content_type}
        return Question(opened, {**typed, **invocation.headers})

    async def _keep(self, place: Place, answering: Answering) -> None:
        with self._objects.draft() as draft:
            size = 0
            async for block in _blocks(answering.parts()):
                size += len(block)
                if size > MOST_ANSWER:
                    raise _Failed(answering.status, f"An answer may have {MOST_ANSWER} bytes at most.")
                await asyncio.to_thread(draft.write, block)
            content_type = answering.headers.get("content-type", "application/octet-stream")
            try:
                await asyncio.to_thread(self._objects.keep, draft, *place, content_type=content_type)
            except Missing:
                raise _Failed(0, f"The bucket {place[0]}, where the answer was to go, does not exist.") from None

    def _complain(self, invocation: Invocation, failed: _Failed) -> None:
        side = "client" if 400 <= failed.status < 500 else "server"
        text = invocation.complaint.format(side=side, status=failed.status, said=failed.said)
        diary = Diary(self._logs, log_group(invocation.endpoint), _DIARY)
        diary.write(f"No answer at s3://{'/'.join(invocation.answer)}: {text}")
        if invocation.failure is not None:
            try:
                self._objects.put(*invocation.failure, text.encode(), content_type="text/plain")
            except Missing:
                diary.write(f"The bucket {invocation.failure[0]}, where failures were to be told, does not exist.")


async def _blocks(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Small parts together."""
    held: list[bytes] = []
    size = 0
    async for part in parts:
        held.append(part)
        size += len(part)
        if size >= _BLOCK:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
