"""Host a predictor: `GET /ping`, `POST /invocations`, micro-batching.

    serve(load)     the model is loaded, then the process listens: so who answers /ping can predict
    Host            one request: decode, wait for the answers, encode
    Batcher         many requests: instances that wait together go through the model together

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from groundfog.opt_ml import asgi, siblings
from groundfog.opt_ml.asgi import Message, Receive, Refused, Send
from groundfog.opt_ml.layout import Layout

__all__ = ["Batcher", "Predictor", "Refused", "serve"]

LARGE_BODY = 256 * 1024
"""Bodies from here on are decoded and encoded in a thread, so that /ping is answered meanwhile."""

Instance = TypeVar("Instance")
Answer = TypeVar("Answer")
ReplyFormat = TypeVar("ReplyFormat")

log = logging.getLogger(__name__)


class Predictor(Protocol[Instance, Answer, ReplyFormat]):
    """A loaded model. `decode` and `encode` are quick and keep no state; `predict` runs in one thread."""

    max_batch: int
    """Instances in one forward pass, unless `SAGEMAKER_MAX_BATCH` says fewer: 1 is no micro-batching."""

    def decode(self, body: bytes, content_type: str, accept: str) -> tuple[list[Instance], ReplyFormat]:
        """`content_type` is the full header, `application/json; charset=utf-8`. Raises Refused (400, 406, 415)."""
        ...

    def predict(self, instances: list[Instance]) -> list[Answer]:
        """One answer for each instance, in order. Never called concurrently."""
        ...

    def encode(self, answers: list[Answer], reply: ReplyFormat) -> tuple[bytes, str]:
        """The body and its content type."""
        ...


def serve(load: Callable[[Path], Predictor[Any, Any, Any]]) -> None:
    """Load from the model folder, answer requests until SIGTERM, finish what runs, exit with 0.

    `SAGEMAKER_MODEL_SERVER_WORKERS` says in how many processes, each with a model of its own: usually one, since
    requests that wait together are answered together.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    layout = Layout.here()
    sockets = asgi.sockets(layout)
    workers = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or "1")

    def work() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        predictor = load(layout.model)
        log.info("The model is loaded: ready to predict.")
        asgi.server(Host(predictor)).run(sockets=sockets)

    siblings.run(workers, work) if workers > 1 else work()


class Host:
    """The ASGI application."""

    def __init__(self, predictor: Predictor[Any, Any, Any]) -> None:
        self._predictor = predictor
        most = int(os.environ.get("SAGEMAKER_MAX_BATCH", predictor.max_batch))
        self._batcher = Batcher(predictor.predict, max(1, min(most, predictor.max_batch)))
        self._most_bytes = asgi.most_bytes()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await asgi.route(scope, receive, send, self._invocation)

    async def _invocation(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Refused as refused:
            await asgi.refuse(send, refused.status, refused.message)
        except Exception as problem:
            log.exception("An invocation failed.")
            await asgi.refuse(send, 500, f"{type(problem).__name__}: {problem}"[:1024])
        else:
            if answer is not None:
                await asgi.reply(send, 200, *answer)

    async def _answer(self, scope: Message, receive: Receive) -> tuple[bytes, str] | None:
        """None where the client has gone."""
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        accept = headers.get(b"accept", b"").decode("latin-1")
        body = await asgi.read(receive, self._most_bytes)
        if body is None:
            return None
        large = len(body) > LARGE_BODY
        instances, reply = await _apply(large, self._predictor.decode, body, content_type, accept)
        answers = await _unless_gone(receive, self._batcher.answer(instances))
        return None if answers is None else await _apply(large, self._predictor.encode, answers, reply)


async def _apply(large: bool, function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments) if large else function(*arguments)


async def _unless_gone(receive: Receive, answer: Awaitable[list[Answer]]) -> list[Answer] | None:
    """Who hangs up leaves the queue, so that the model does not work for nobody."""
    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(receive())
    await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
    if answering.done():
        gone.cancel()
        return answering.result()
    answering.cancel()
    return None


@dataclass
class _Asked(Generic[Instance, Answer]):
    """A request that waits: its instances, how many went into a batch, the answers so far."""

    instances: list[Instance]
    answered: asyncio.Future[list[Answer]]
    taken: int = 0
    answers: list[Answer] = field(default_factory=list)


class Batcher(Generic[Instance, Answer]):
    """What queued up while a batch ran is the next batch. An idle model is asked at once: nobody waits to be joined."""

    def __init__(self, predict: Callable[[list[Instance]], list[Answer]], max_batch: int) -> None:
        self._predict, self._max_batch = predict, max_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._waiting: deque[_Asked[Instance, Answer]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def answer(self, instances: list[Instance]) -> list[Answer]:
        """One answer for each instance, in order. Raises what `predict` raised over them."""
        if not instances:
            return []
        asked = _Asked[Instance, Answer](instances, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await asked.answered

    async def _work(self) -> None:
        while batch := self._next():
            await self._run(batch)
        self._working = None

    def _next(self) -> list[tuple[_Asked[Instance, Answer], list[Instance]]]:
        """A share for each request until the batch is full; the rest of a long one goes to the end of the queue."""
        batch, room = [], self._max_batch
        while self._waiting and room:
            asked = self._waiting.popleft()
            if asked.answered.done():
                continue
            share = asked.instances[asked.taken : asked.taken + room]
            batch.append((asked, share))
            asked.taken += len(share)
            room -= len(share)
            if asked.taken < len(asked.instances):
                self._waiting.append(asked)
        return batch

    async def _run(self, batch: list[tuple[_Asked[Instance, Answer], list[Instance]]]) -> None:
        """A batch that fails is tried again request by request, so that a bad one fails alone."""
        instances = [instance for _, share in batch for instance in share]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, instances)
            if len(answers) != len(instances):
                raise RuntimeError(f"{len(answers)} answers to {len(instances)} instances")
        except Exception as problem:
            if len(batch) > 1:
                for part in batch:
                    await self._run([part])
            elif not batch[0][0].answered.done():
                batch[0][0].answered.set_exception(problem)
            return
        rest = iter(answers)
        for asked, share in batch:
            asked.answers += [next(rest) for _ in share]
            if len(asked.answers) == len(asked.instances) and not asked.answered.done():
                asked.answered.set_result(asked.answers)
