"""Endpoints over real model servers: they come up, answer, are replaced, updated and found again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine.houses import MODELS, House, housed, until

from groundfog.engine.endpoints import (
    Deployment,
    Pace,
    TooSlow,
    Unanswered,
    Unhealthy,
    UnknownVariant,
)
from groundfog.engine.errors import Busy, Missing, Taken

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path) as house:
        yield house


async def test_an_endpoint_comes_up_answers_and_goes(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    answer = await house.ask("abc def")
    assert (answer.variant, answer.reply.body) == ("a", b"a-cba a-fed")
    [(group, stream)] = house.logs.streams
    assert (group, stream) == ("/aws/sagemaker/Endpoints/mirror", answer.stream)
    await asyncio.to_thread(house.endpoints.delete, "mirror")
    await house.endpoints.until_settled("mirror")
    with pytest.raises(Missing):
        await house.say("abc")
    assert not house.resources.has("endpoint", "mirror")
    assert list(house.runs.iterdir()) == []


async def test_a_name_is_taken_until_its_endpoint_is_gone(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    with pytest.raises(Taken):
        house.create(house.variant("a"))
    await asyncio.to_thread(house.endpoints.delete, "mirror")
    await house.endpoints.until_settled("mirror")
    await house.create_and_wait(house.variant("b"))
    assert await house.say("x") == "b-x"


async def test_an_endpoint_is_not_said_to_be_gone_before_its_name_is_free(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.create_and_wait(house.variant("a"))
    delete = house.resources.delete

    def delete_slowly(kind: str, name: str) -> None:
        time.sleep(0.2)
        delete(kind, name)

    monkeypatch.setattr(house.resources, "delete", delete_slowly)
    await asyncio.to_thread(house.endpoints.delete, "mirror")
    await house.endpoints.until_settled("mirror")
    await house.create_and_wait(house.variant("b"))


async def test_an_endpoint_that_is_being_created_can_be_neither_asked_nor_changed(house: House) -> None:
    house.create(house.variant("a"))
    with pytest.raises(Busy, match="Creating"):
        await house.say("abc")
    with pytest.raises(Busy, match="Creating"):
        await asyncio.to_thread(house.endpoints.delete, "mirror")
    await house.endpoints.until_settled("mirror")


@pytest.mark.parametrize(
    ("files", "what", "detail"),
    [({"broken": ""}, "ping", "RuntimeError: these weights are for another model")],
)
async def test_a_model_that_does_not_load_fails_the_endpoint_with_its_last_words(
    house: House, files: dict[str, str], what: str, detail: str
) -> None:
    house.create(house.variant("a", **files))
    await house.endpoints.until_settled("mirror")
    endpoint = house.resources.find("endpoint", "mirror")
    assert endpoint.status == "Failed"
    failure = endpoint.document["failure"]
    assert (failure["what"], failure["variant"], failure["detail"]) == (what, "a", detail)
    await until(lambda: list(house.runs.iterdir()) == [])
    await asyncio.to_thread(house.endpoints.delete, "mirror")
    await house.endpoints.until_settled("mirror")
    assert not house.resources.has("endpoint", "mirror")


async def test_a_model_that_is_no_archive_fails_at_once(house: House) -> None:
    variant = house.variant("a")
    house.objects.put("models", "a-.tar.gz", b"no archive at all")
    house.create(variant)
    await house.endpoints.until_settled("mirror")
    assert house.resources.find("endpoint", "mirror").document["failure"]["what"] == "archive"


async def test_a_replica_that_is_killed_is_replaced(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    before = await house.say("pid")
    os.kill(int(before.removeprefix("a-")), signal.SIGKILL)
    after = await house.say("pid")
    assert after != before
    assert len(house.replicas()) == 1


async def test_a_request_that_kills_its_replicas_gets_an_error_and_the_endpoint_recovers(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    with pytest.raises(Unanswered):
        await house.say("die")
    assert await house.say("abc") == "a-cba"


async def test_requests_in_flight_are_batched_together(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    answers = await asyncio.gather(house.say("sleep:0.3"), *(house.say("together") for _ in range(6)))
    assert max(int(answer.removeprefix("a-")) for answer in answers[1:]) > 1


async def test_a_request_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with housed(tmp_path, Pace(check=0.05, answer=0.3)) as house:
        await house.create_and_wait(house.variant("a"))
        with pytest.raises(TooSlow):
            await house.say("sleep:1")


async def test_variants_share_the_requests_by_weight(house: House) -> None:
    await house.create_and_wait(
        house.variant("a", weight=3), house.variant("b", weight=1), house.variant("c", weight=0)
    )
    answers = Counter([await house.say("x") for _ in range(400)])
    assert set(answers) == {"a-x", "b-x"}
    assert 250 < answers["a-x"] < 350
    assert await house.say("x", variant="c") == "c-x"
    with pytest.raises(UnknownVariant):
        await house.say("x", variant="d")


async def test_instances_of_a_variant_share_the_requests_that_run(house: House) -> None:
    await house.create_and_wait(house.variant("a", instances=2))
    pids = await asyncio.gather(*(house.say("sleep:0.2 pid") for _ in range(2)))
    assert len({answer.split()[1] for answer in pids}) == 2


async def test_an_update_loses_no_request(house: House) -> None:
    await house.create_and_wait(house.variant("a", instances=2))
    said: list[str] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            said.append(await house.say("sleep:0.01"))

    asking = [asyncio.create_task(keep_asking()) for _ in range(8)]
    await until(lambda: len(said) > 20)
    await asyncio.to_thread(house.endpoints.update, "mirror", Deployment(name="next", variants=(house.variant("b"),)))
    await house.endpoints.until_settled("mirror")
    assert house.status() == "InService"
    await until(lambda: len(list(house.runs.iterdir())) == 1)
    done.set()
    await asyncio.gather(*asking)
    first_of_b = next(number for number, answer in enumerate(said) if answer.startswith("b-"))
    assert all(answer.startswith("a-") for answer in said[:first_of_b])
    assert house.resources.find("endpoint", "mirror").document["running"]["name"] == "next"


async def test_an_update_that_fails_leaves_the_old_one_serving(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    broken = Deployment(name="next", variants=(house.variant("b", broken=""),))
    await asyncio.to_thread(house.endpoints.update, "mirror", broken)
    assert await house.say("x") == "a-x"
    with pytest.raises(Busy):
        await asyncio.to_thread(house.endpoints.update, "mirror", broken)
    await house.endpoints.until_settled("mirror")
    endpoint = house.resources.find("endpoint", "mirror")
    assert (endpoint.status, endpoint.document["running"]["name"]) == ("InService", "first")
    assert endpoint.document["failure"]["detail"] == "RuntimeError: these weights are for another model"
    await until(lambda: len(list(house.runs.iterdir())) == 1)
    assert await house.say("x") == "a-x"


async def test_weights_and_sizes_change_without_new_replicas_for_what_stays(house: House) -> None:
    await house.create_and_wait(house.variant("a"), house.variant("b", weight=0))
    pid = await house.say("pid", variant="a")
    await asyncio.to_thread(house.endpoints.adjust, "mirror", {"a": 0, "b": 1}, {"b": 2})
    await house.endpoints.until_settled("mirror")
    assert house.endpoints.instances("mirror") == {"a": 1, "b": 2}
    assert await house.say("x") == "b-x"
    assert await house.say("pid", variant="a") == pid
    await asyncio.to_thread(house.endpoints.adjust, "mirror", {}, {"b": 1})
    await house.endpoints.until_settled("mirror")
    assert house.endpoints.instances("mirror") == {"a": 1, "b": 1}
    await until(lambda: len(list(house.runs.iterdir())) == 2)
    with pytest.raises(UnknownVariant):
        await asyncio.to_thread(house.endpoints.adjust, "mirror", {"c": 1}, {})


async def test_six_megabytes_go_both_ways(house: House) -> None:
    await house.create_and_wait(house.variant("a"))
    words = "x" * (6_291_456 - 2)
    assert await house.say(words) == f"a-{words}"


async def test_a_socket_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    """A program could put a link to any socket of this machine in its socket's place."""
    elsewhere = await asyncio.start_unix_server(_always_well, tmp_path / "s")
    async with housed(tmp_path, stop_replicas=False) as house:
        await house.create_and_wait(house.variant("a"))
        [directory] = house.replicas()
    link = directory / "opt_ml" / "serve.sock"
    link.unlink()
    link.symlink_to(tmp_path / "s")
    async with housed(tmp_path, Pace(start=1, check=0.05, patience=0.3)) as house:
        with pytest.raises(Unhealthy):
            await house.say("abc")
    elsewhere.close()


async def _always_well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_a_new_server_finds_the_replicas_of_the_old_one(tmp_path: Path) -> None:
    async with housed(tmp_path, stop_replicas=False) as first:
        await first.create_and_wait(first.variant("a"))
        pid = await first.say("pid")
    async with housed(tmp_path) as second:
        assert await second.say("pid") == pid


async def test_a_clean_end_stops_the_replicas_and_the_next_server_starts_new_ones(tmp_path: Path) -> None:
    async with housed(tmp_path) as first:
        await first.create_and_wait(first.variant("a"))
    assert list((tmp_path / "runs").iterdir()) == []
    async with housed(tmp_path) as second:
        assert await second.say("abc") == "a-cba"


SERVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from engine.houses import House, Pace
house = House(Path({folder!r}), Pace(check=0.05)).start()
house.create(house.variant("a", instances=2))
while {until}:
    time.sleep(0.005)
print("now", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "until_then",
    ["not house.replicas()", 'house.status() != "InService"'],
    ids=["while it is created", "in service"],
)
async def test_an_endpoint_survives_kill_9_of_its_server(tmp_path: Path, until_then: str) -> None:
    script = SERVER.format(tests=str(MODELS.parents[1]), folder=str(tmp_path), until=until_then)
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"now\n"
    server.kill()
    server.communicate()
    left = {path.name for path in (tmp_path / "runs").iterdir()}
    async with housed(tmp_path) as house:
        await house.endpoints.until_settled("mirror")
        assert house.status() == "InService"
        assert await house.say("abc") == "a-cba"
        await until(lambda: house.endpoints.instances("mirror") == {"a": 2})
        kept = {path.name for path in house.replicas()}
        await until(lambda: {path.name for path in house.runs.iterdir()} == kept)
        if until_then.startswith("house.status"):
            assert kept == left
