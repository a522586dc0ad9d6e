"""HTTP: `GET /ping`, `POST /invocations`, and where an answer comes in parts, a chunked response."""

from __future__ import annotations

import asyncio

from groundfog.opt_ml import asgi
from groundfog.opt_ml.asgi import Message, Receive, Refused, Send
from groundfog.opt_ml.inference.pool import Failed, Job, Pool, failure


class Front:
    """The ASGI application."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._most_bytes = pool, asgi.most_bytes()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await asgi.route(scope, receive, send, self._invocation)

    async def _invocation(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await asgi.read(receive, self._most_bytes)
        except Refused as refused:
            await asgi.refuse(send, refused.status, refused.message)
            return
        if body is None:
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        job = self._pool.submit(headers, body)
        answering = asyncio.ensure_future(_answer(job, send))
        gone = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            gone.cancel()
            answering.cancel()
            # A request that waits is not begun for nobody; a worker that is at one finishes it.
            job.leave()


async def _answer(job: Job, send: Send) -> None:
    try:
        head = await job.head()
    except Failed as failed:
        await asgi.reply(send, *failure(failed))
    else:
        await asgi.stream(send, head["status"], head["headers"], job.parts())
