"""Hosting a predictor: batches, bad requests, the socket, SIGTERM."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.opt_ml.serve import Batcher

MODELS = Path(__file__).parents[1] / "engine" / "models"


def test_an_idle_model_is_asked_at_once() -> None:
    seen: list[list[int]] = []

    async def ask() -> list[int]:
        return await _recording(seen, 8).answer([1, 2])

    assert asyncio.run(ask()) == [10, 20]
    assert seen == [[1, 2]]


def test_what_waits_while_a_batch_runs_is_the_next_batch() -> None:
    seen: list[list[int]] = []
    free = threading.Event()

    async def ask() -> list[list[int]]:
        batcher = _recording(seen, 8, free)
        first = asyncio.create_task(batcher.answer([1]))
        while not seen:
            await asyncio.sleep(0)
        others = [asyncio.create_task(batcher.answer([number])) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        free.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask()) == [[10], [20], [30], [40]]
    assert seen == [[1], [2, 3, 4]]


@given(st.lists(st.lists(st.integers(), max_size=20), max_size=12), st.integers(1, 7))
def test_everyone_gets_the_answers_to_their_own_instances(requests: list[list[int]], max_batch: int) -> None:
    seen: list[list[int]] = []

    async def ask() -> list[list[int]]:
        batcher = _recording(seen, max_batch)
        return await asyncio.gather(*(batcher.answer(request) for request in requests))

    assert asyncio.run(ask()) == [[10 * one for one in request] for request in requests]
    assert all(len(batch) <= max_batch for batch in seen)


def test_a_long_request_does_not_hold_up_a_short_one() -> None:
    seen: list[list[int]] = []

    async def ask() -> None:
        batcher = _recording(seen, 4)
        await asyncio.gather(batcher.answer([1] * 40), batcher.answer([2]))

    asyncio.run(ask())
    assert [2 in batch for batch in seen].index(True) == 1


def test_a_bad_request_fails_alone() -> None:
    def predict(instances: list[int]) -> list[int]:
        return [1 // instance for instance in instances]

    async def ask() -> list[list[int] | BaseException]:
        batcher = Batcher(predict, 8)
        return await asyncio.gather(*(batcher.answer([one]) for one in (1, 0, 1)), return_exceptions=True)

    first, bad, last = asyncio.run(ask())
    assert (first, last) == ([1], [1])
    assert isinstance(bad, ZeroDivisionError)


def test_too_few_answers_are_an_error_and_not_a_shift() -> None:
    async def ask() -> list[int]:
        return await Batcher(lambda instances: instances[1:], 8).answer([1, 2])

    with pytest.raises(RuntimeError, match="1 answers to 2 instances"):
        asyncio.run(ask())


def test_predictions_never_run_at_the_same_time() -> None:
    running: list[int] = []

    def predict(instances: list[int]) -> list[int]:
        running.append(threading.get_ident())
        assert len(running) == 1
        time.sleep(0.001)
        running.clear()
        return instances

    async def ask() -> None:
        batcher = Batcher(predict, 1)
        await asyncio.gather(*(batcher.answer([1]) for _ in range(20)))

    asyncio.run(ask())


def _recording(seen: list[list[int]], max_batch: int, free: threading.Event | None = None) -> Batcher[int, int]:
    def predict(instances: list[int]) -> list[int]:
        seen.append(instances)
        if free is not None:
            free.wait(5)
        return [10 * instance for instance in instances]

    return Batcher(predict, max_batch)


class Served:
    """The mirror in a process of its own; the folder's path is longer than a socket's name may be."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.base = folder / ("d" * 60) / ("e" * 60)
        (self.base / "model").mkdir(parents=True)
        if environment.pop("BROKEN", None):
            (self.base / "model" / "broken").touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mirror_model", "serve"],
            env=os.environ | {"SAGEMAKER_BASE_DIR": str(self.base), "PYTHONPATH": str(MODELS)} | environment,
            stderr=subprocess.PIPE,
        )

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "text/plain") -> tuple[int, bytes]:
        connection = _OverUnix(self.base)
        connection.request(method, path, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, read

    def wait_until_ready(self) -> "Served":
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/ping")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.02)
        pytest.fail("it was never ready")


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, base: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._base = base

    def connect(self) -> None:
        folder = os.open(self._base, os.O_RDONLY)
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/serve.sock")
        except OSError:
            self.sock.close()
            raise
        finally:
            os.close(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from _served(tmp_path_factory.mktemp("served"))


@pytest.fixture
def own_served(tmp_path: Path) -> Iterator[Served]:
    yield from _served(tmp_path)


def _served(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    try:
        yield served.wait_until_ready()
    finally:
        served.process.kill()
        served.process.communicate()


def test_a_request_is_answered(served: Served) -> None:
    assert served.ask("POST", "/invocations", b"abc def") == (200, b"cba fed")


def test_the_predictors_refusal_is_the_answer(served: Served) -> None:
    assert served.ask("POST", "/invocations", b"x", "image/png") == (415, b"image/png is not text")


def test_an_error_is_a_500_that_names_it_without_a_traceback(served: Served) -> None:
    status, body = served.ask("POST", "/invocations", b"raise")
    assert (status, body) == (500, b"ValueError: a word that cannot be said")


def test_unknown_paths_and_methods_are_refused(served: Served) -> None:
    assert served.ask("GET", "/")[0] == 404
    assert served.ask("GET", "/invocations")[0] == 405


def test_six_megabytes_are_read_and_one_byte_more_is_refused(served: Served) -> None:
    assert served.ask("POST", "/invocations", b" " * (6 << 20)) == (200, b"")
    assert served.ask("POST", "/invocations", b" " * ((6 << 20) + 1))[0] == 413


def test_micro_batching_can_be_limited_from_outside(tmp_path: Path) -> None:
    served = Served(tmp_path, SAGEMAKER_MAX_BATCH="2")
    try:
        assert served.wait_until_ready().ask("POST", "/invocations", b"together together x") == (200, b"2 2 x")
    finally:
        served.process.kill()
        served.process.communicate()


def test_what_runs_is_finished_after_sigterm(own_served: Served) -> None:
    answers: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(own_served.ask("POST", "/invocations", b"sleep:0.5")))
    asking.start()
    time.sleep(0.2)  # Until the request has arrived, which nothing outside can see.
    own_served.process.send_signal(signal.SIGTERM)
    assert own_served.process.wait(10) == 0
    asking.join()
    assert answers == [(200, b"5.0:peels")]


def test_several_processes_answer_and_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    served = Served(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    try:
        served.wait_until_ready()
        first = served.ask("POST", "/invocations", b"pid:")[1]
        os.kill(int(first), signal.SIGKILL)
        seen = {served.ask("POST", "/invocations", b"pid:")[1] for _ in range(20)}
        assert first not in seen
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10) == 0
        assert not any(Path(f"/proc/{int(pid)}").exists() for pid in seen)
    finally:
        served.process.kill()
        served.process.communicate()


def test_several_processes_end_where_the_model_cannot_be_loaded(tmp_path: Path) -> None:
    served = Served(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS="2", BROKEN="1")
    assert served.process.wait(20) == 1
    assert b"these weights are for another model" in served.process.communicate()[1]


def test_nobody_answers_before_the_model_is_loaded(tmp_path: Path) -> None:
    served = Served(tmp_path, LOADING_TAKES="60")
    with pytest.raises(OSError, match=r"refused|No such file"):
        served.ask("GET", "/ping")
    served.process.send_signal(signal.SIGTERM)
    served.process.communicate()


def test_a_port_is_served_too_where_one_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = Served(tmp_path, SAGEMAKER_BIND_TO_PORT=str(port))
    try:
        served.wait_until_ready()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        served.process.kill()
        served.process.communicate()
