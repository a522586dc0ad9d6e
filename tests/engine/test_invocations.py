"""Requests in line: their order and number, what becomes of those that nobody will answer, and the server's end."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine.houses import House, housed, until

from groundfog.engine.endpoints import Deployment, Queueing
from groundfog.engine.errors import Missing, Taken
from groundfog.engine.invocations import Invocation, Invocations
from groundfog.engine.logs import Logs

pytestmark = pytest.mark.anyio

ASKED = Invocation(
    endpoint="mirror",
    source=None,
    body=None,
    headers={"Content-Type": "text/plain"},
    answer=("answers", ""),
    failure=None,
    complaint="{side} {status}: {said}",
    expires=0,
    seconds=10,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Desk:
    def __init__(self, house: House) -> None:
        self.house = house
        logs = Logs(house.runs.parent / "logs", house.state)
        with contextlib.suppress(Taken):
            logs.create_group("/aws/sagemaker/Endpoints/mirror")
        self.invocations = Invocations(house.resources, house.objects, house.endpoints, logs)
        if not house.objects.has_bucket("answers"):
            house.objects.create_bucket("answers", "us-east-1")

    async def serve(self, at_once: int = 1) -> None:
        queueing = Queueing(answers=("answers", ""), failures=None, at_once=at_once)
        deployment = Deployment(name="first", variants=(self.house.variant("v"),), queueing=queueing)
        await asyncio.to_thread(self.house.endpoints.create, "mirror", deployment, {})
        await self.house.endpoints.until_settled("mirror")

    async def ask(self, name: str, words: str, **changes: object) -> None:
        await self.invocations.submit(name, asked(name, words, **changes))

    def said(self, key: str) -> str | None:
        try:
            return self.house.objects.read("answers", key).decode()
        except Missing:
            return None

    async def wait(self, key: str) -> str:
        await until(lambda: self.said(key) is not None)
        return self.said(key) or ""

    def waiting(self) -> int:
        return len(self.house.resources.in_status("invocation", "Waiting"))


def asked(name: str, words: str, **changes: object) -> Invocation:
    given = {
        "body": base64.b64encode(words.encode()).decode(),
        "answer": ("answers", name),
        "failure": ("answers", f"{name}-error"),
        "expires": time.time() + 60,
    }
    return replace(ASKED, **{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with housed(tmp_path) as house:
        desk = Desk(house)
        yield desk
        await desk.invocations.close()


async def test_an_answer_is_an_object_and_then_the_row_is_gone(desk: Desk) -> None:
    await desk.serve()
    await desk.ask("one", "abc")
    assert await desk.wait("one") == "v-cba"
    await until(lambda: desk.waiting() == 0)


async def test_as_many_run_as_there_is_room_for_in_the_order_of_their_coming(desk: Desk) -> None:
    await desk.serve(at_once=1)
    for number in range(4):
        await desk.ask(f"{number}", "together:" if number else "sleep:0.3")
    assert [await desk.wait(f"{number}") for number in range(1, 4)] == ["v-1"] * 3
    written = [desk.house.objects.find("answers", f"{number}").modified for number in range(4)]
    assert written == sorted(written)


async def test_what_waited_too_long_is_a_failure(desk: Desk) -> None:
    await desk.serve()
    await desk.ask("long", "sleep:1")
    await desk.ask("late", "abc", expires=time.time() + 0.2)
    assert await desk.wait("late-error") == "server 0: The request expired before an instance was free to answer it."


async def test_requests_of_an_endpoint_that_goes_are_failures(desk: Desk) -> None:
    await desk.serve()
    await desk.ask("long", "sleep:0.5")
    await desk.ask("next", "abc")
    await asyncio.to_thread(desk.house.endpoints.delete, "mirror")
    assert await desk.wait("next-error") == "server 0: The endpoint mirror was deleted."
    await until(lambda: desk.waiting() == 0)


async def test_a_models_refusal_is_told_with_its_status(desk: Desk) -> None:
    await desk.serve()
    await desk.ask("odd", "abc", headers={"Content-Type": "image/png"})
    assert await desk.wait("odd-error") == "client 415: image/png is not text"


async def test_an_answer_whose_bucket_is_gone_is_a_failure(desk: Desk) -> None:
    await desk.serve()
    await desk.ask("lost", "abc", answer=("nowhere", "lost"))
    assert await desk.wait("lost-error") == "server 0: The bucket nowhere, where the answer was to go, does not exist."


async def test_the_next_server_asks_what_has_no_answer_yet(tmp_path: Path) -> None:
    async with housed(tmp_path, stop_replicas=False) as house:
        first = Desk(house)
        await first.serve()
        await first.ask("one", "sleep:1")
        await first.ask("two", "abc")
        await asyncio.sleep(0.1)
        await first.invocations.close()
        assert first.waiting()
    async with housed(tmp_path) as house:
        second = Desk(house)
        second.invocations.start()
        assert await second.wait("two") == "v-cba"
        assert await second.wait("one") == "v-1:peels"
        await second.invocations.close()
