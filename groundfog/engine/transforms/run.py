"""One run of a transform job: its model servers, and the objects that they take in turn.

At each instance so many requests are under way as the job says; answers are put together in the order of the records,
in a file that becomes the object. What was not finished when a server died is done again from the object's start.
"""

import asyncio
import contextlib
import gzip
import io
import itertools
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from groundfog.engine.channels import Interrupted, chosen
from groundfog.engine.endpoints.furnishing import Furnisher, Unfurnished
from groundfog.engine.endpoints.line import Reply, Unanswered
from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.endpoints.seat import Pace
from groundfog.engine.errors import Missing, Unfit, Unreachable
from groundfog.engine.launch import Launcher, Program
from groundfog.engine.logs import Logs
from groundfog.engine.logs.diary import Diary
from groundfog.engine.logs.file import backward
from groundfog.engine.measurements import Gauge, Measurements
from groundfog.engine.objects import Object, Objects
from groundfog.engine.rounds import Rounds
from groundfog.engine.transforms.order import SUFFIX, Transform
from groundfog.engine.transforms.processing import Processing
from groundfog.engine.transforms.records import Payload, noun_of, payloads, records

MOST_ANSWER = 256 << 20
"""Bytes that a model may answer to one request."""
_GLANCE, _GAUGES_EVERY = 0.05, 2.0
_FROM_BAD = 400


class Broken(Exception):
    """The job failed through no fault of its input; the text is the whole reason."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every run needs."""

    objects: Objects
    furnisher: Furnisher
    launcher: Launcher
    logs: Logs
    pace: Pace
    measurements: Measurements | None = None


class Run:
    """`started` is told of each directory before anything starts in it, `done` how far all is finished: a key."""

    def __init__(
        self,
        name: str,
        order: Transform,
        workshop: Workshop,
        *,
        started: Callable[[Path], None],
        done: Callable[[str], None],
    ) -> None:
        self._name, self._order, self._workshop = name, order, workshop
        self._started, self._done = started, done
        self._processing = Processing(order)
        self._inputs: Iterator[tuple[Object, str]] = iter(())
        self._gauges: list[Gauge] = []
        self._under_way: dict[str, bool] = {}
        """Keys in their order, and whether each is finished."""

    async def work(self, after: str, since: float, interrupted: Callable[[], bool]) -> None:
        """From the object after the key `after`; the job began at `since`. Raises Unfit for what the user can put
        right, Broken, and Interrupted."""
        there = chosen(self._workshop.objects, self._order.source, after)
        self._inputs = (found for found in there if not self._order.has_made(found[0], since))
        first = self._next()
        if first is None and not after:
            raise Unfit(self._order.source.if_empty)
        if first is None:
            return
        self._inputs = itertools.chain([first], self._inputs)
        hosts = [f"i-{uuid.uuid4().hex[:17]}" for _ in range(self._order.instances)]
        working = asyncio.create_task(_together([self._instance(host) for host in hosts]))
        gauges = Rounds(_GAUGES_EVERY)
        while not working.done():
            gauges.due(self._look_at_gauges)
            if interrupted():
                working.cancel()
                await asyncio.wait({working})
                raise Interrupted
            await asyncio.wait({working}, timeout=_GLANCE)
        working.result()

    async def _instance(self, host: str) -> None:
        directory = self._workshop.launcher.make()
        self._started(directory)
        replica = Replica(directory, host, MOST_ANSWER)
        try:
            self._workshop.logs.attach(self._order.log_group, f"{self._name}/{host}", replica.log)
            program = await self._furnish(replica)
            diary = Diary(self._workshop.logs, self._order.log_group, f"{self._name}/{host}/data-log")
            await asyncio.to_thread(self._workshop.launcher.start, directory, program)
            if self._workshop.measurements is not None:
                of_host = (("Host", f"{self._name}/{host}"),)
                self._gauges.append(Gauge(directory, self._order.log_group, of_host, self._workshop.measurements))
            await self._until_healthy(replica)
            diary.write(self._settings())
            slots = asyncio.Semaphore(self._order.concurrent)
            await _together([self._take(replica, slots, diary) for _ in range(self._order.concurrent)])
        finally:
            replica.hang_up()
            self._look_at_gauges()
            self._workshop.launcher.remove(directory)
            await asyncio.sleep(0)

    def _look_at_gauges(self) -> None:
        with contextlib.suppress(Unreachable):
            for gauge in self._gauges:
                gauge.look()

    async def _furnish(self, replica: Replica) -> Program:
        ended = threading.Event()
        try:
            return await asyncio.to_thread(self._workshop.furnisher.furnish, replica, self._order, ended.is_set)
        except Unfurnished as lacking:
            place = "/".join(self._order.model or ())
            texts = {
                "model": f"The model data s3://{place} is not there.",
                "archive": f"The model data s3://{place}: {lacking}",
            }
            raise Unfit(texts.get(lacking.what, str(lacking))) from None
        finally:
            ended.set()

    async def _until_healthy(self, replica: Replica) -> None:
        deadline = time.monotonic() + self._workshop.pace.start
        while not await replica.ping(self._workshop.pace.ping):
            if self._ended(replica) or time.monotonic() > deadline:
                said = next((event.message for event, _ in backward(replica.log) if event.message.strip()), "nothing")
                raise Broken(f"AlgorithmError: The model server did not become ready to predict. It said last: {said}")
            await asyncio.sleep(_GLANCE)

    async def _take(self, replica: Replica, slots: asyncio.Semaphore, diary: Diary) -> None:
        """One object after the other, of those that nobody else has taken."""
        while (found := self._next()) is not None:
            uri = f"s3://{found[0].bucket}/{found[0].key}"
            try:
                await self._transform(*found, replica, slots, diary)
            except Unfit as unfit:
                diary.write(f"{uri}: {unfit}")
                raise Unfit(f"See job logs for more information. {uri}: {unfit}") from None
            self._finish(found[0].key)

    def _next(self) -> tuple[Object, str] | None:
        try:
            found = next(self._inputs, None)
        except Missing:
            raise Unfit(self._order.source.if_empty) from None
        if found is not None:
            self._under_way[found[0].key] = False
        return found

    def _finish(self, key: str) -> None:
        self._under_way[key] = True
        finished = None
        for first, over in list(self._under_way.items()):
            if not over:
                break
            finished = first
            del self._under_way[first]
        if finished is not None:
            self._done(finished)

    async def _transform(
        self, found: Object, relative: str, replica: Replica, slots: asyncio.Semaphore, diary: Diary
    ) -> None:
        made = replica.directory / f"{uuid.uuid4().hex}.out"
        start, count = time.monotonic(), 0
        waiting: deque[asyncio.Task[bytes]] = deque()
        try:
            with self._opened(found) as file, made.open("wb") as written:
                parts = self._payloads(file)
                while payload := await _with_slot(slots, parts):
                    count += len(payload)
                    waiting.append(asyncio.create_task(self._answer(payload, replica, slots)))
                    if len(waiting) >= self._order.concurrent:
                        written.write(await waiting.popleft())
                while waiting:
                    written.write(await waiting.popleft())
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        key = f"{self._order.prefix}/{relative}{SUFFIX}".lstrip("/")
        try:
            self._workshop.objects.put_file(self._order.bucket, key, made)
        except Missing:
            raise Unfit(f"The bucket {self._order.bucket} of S3OutputPath does not exist.") from None
        made.unlink()
        seconds = time.monotonic() - start
        diary.write(f"s3://{found.bucket}/{found.key}: {count} records in {seconds:.2f} s, to {key}")

    @contextlib.contextmanager
    def _opened(self, found: Object) -> Iterator[IO[bytes]]:
        try:
            _, packed = self._workshop.objects.open(found.bucket, found.key)
        except Missing:
            raise Unfit("it went while the job ran") from None
        try:
            with (
                packed,
                gzip.open(packed)
                if self._order.source.is_gzipped
                else io.BufferedReader(cast(io.RawIOBase, packed)) as file,
            ):
                yield cast(IO[bytes], file)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Unfit(f"it is not gzipped as CompressionType says ({error})") from None

    def _payloads(self, file: IO[bytes]) -> Iterator[Payload]:
        order = self._order
        found = records(file, order.split, order.most_bytes, self._processing.incoming)
        return payloads(found, one_by_one=order.one_by_one, most_bytes=order.most_bytes)

    async def _answer(self, payload: Payload, replica: Replica, slots: asyncio.Semaphore) -> bytes:
        try:
            reply = await self._ask(payload, replica)
            if reply.status >= _FROM_BAD:
                payload, reply = await self._blame(payload, reply, replica)
                said = reply.body.decode("utf-8", "replace").strip()
                raise Unfit(f"{self._named(payload)}: the model answered {reply.status}: {said}")
            content_type = reply.headers.get("content-type", self._order.accept or "")
        finally:
            slots.release()
        try:
            answer = self._processing.outgoing(payload, reply.body, content_type)
        except Unfit as unfit:
            raise Unfit(f"{self._named(payload)}: {unfit}") from None
        return answer + b"\n" if self._order.lines and not answer.endswith(b"\n") else answer

    async def _blame(self, payload: Payload, reply: Reply, replica: Replica) -> tuple[Payload, Reply]:
        """The one record, of several, that the model refuses also by itself; all of them, where there is no such."""
        suspects = payload
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            again = await self._ask(half, replica)
            if again.status >= _FROM_BAD:
                suspects, reply = half, again
                continue
            suspects = suspects[len(half) :]
            again = await self._ask(suspects, replica)
            if again.status < _FROM_BAD:
                return payload, reply
            reply = again
        return suspects, reply

    async def _ask(self, payload: Payload, replica: Replica) -> Reply:
        headers = {"Content-Type": self._order.content_type or "application/octet-stream"}
        if self._order.accept:
            headers["Accept"] = self._order.accept
        body = b"".join(record.sent for record in payload)
        for left in range(self._order.retries, -1, -1):
            try:
                reply = await replica.call(body, headers, self._order.answer_seconds)
            except Unanswered as problem:
                if self._ended(replica):
                    raise Unfit(f"{self._named(payload)}: the model server ended under the request") from None
                if not left:
                    raise Unfit(f"{self._named(payload)}: the model did not answer: {problem}") from None
            else:
                if reply.status < 500 or not left:
                    return reply
            await asyncio.sleep(_GLANCE)
        raise AssertionError("the last try returns or raises")

    def _named(self, payload: Payload) -> str:
        first, last, noun = payload[0].number, payload[-1].number, noun_of(self._order.split)
        return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"

    def _ended(self, replica: Replica) -> bool:
        return self._workshop.launcher.poll(replica.directory).phase in ("exited", "lost")

    def _settings(self) -> str:
        order = self._order
        size = 0 if order.most_bytes is None else order.most_bytes >> 20
        strategy = "SingleRecord" if order.one_by_one else "MultiRecord"
        return f"MaxConcurrentTransforms={order.concurrent}, MaxPayloadInMB={size}, BatchStrategy={strategy}"


async def _with_slot(slots: asyncio.Semaphore, parts: Iterator[Payload]) -> Payload | None:
    """The next payload, read when it can be sent; whoever sends it gives the slot back."""
    await slots.acquire()
    payload = None
    try:
        payload = next(parts, None)
    finally:
        if payload is None:
            slots.release()
    return payload


async def _together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of them; the first that fails ends the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
