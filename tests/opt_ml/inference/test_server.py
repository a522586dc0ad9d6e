"""Front and workers as a program: in parallel, replaced, in another Python, ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundfog.engine.environments import pythons
from groundfog.engine.errors import Unfit
from groundfog.opt_ml.inference import __main__

SCRIPT = """
import json, os, signal, sys, threading, time
import frames, handler

def model_fn(model_dir):
    return os.getpid()

def transform_fn(model, data, content_type, accept):
    asked = json.loads(data)
    if asked == "wait":
        open("begun", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    if asked == "leave":
        threading.Timer(0.5, os._exit, [3]).start()
    if asked == "unload":
        os.rename(__file__, __file__ + ".gone")
        os._exit(1)
    return json.dumps({"pid": model, "python": sys.version_info[:2], "mine": [frames.MINE, handler.MINE]})
"""
OWN = {"code/inference.py": SCRIPT, "code/frames.py": "MINE = 1\n", "code/handler.py": "MINE = 2\n"}
"""Two modules have the names of ours, as a user's may."""


class Served:
    def __init__(self, base: Path, *options: str, **environment: str) -> None:
        self.base = base
        for name, text in OWN.items():
            (base / "model" / name).parent.mkdir(parents=True, exist_ok=True)
            (base / "model" / name).write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "groundfog.opt_ml.inference", "pytorch", *options],
            env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | environment,
            cwd=base,
            stderr=subprocess.PIPE,
        )

    def ask(self, asked: str, method: str = "POST", path: str = "/invocations") -> tuple[int, bytes]:
        connection = _OverUnix(self.base / "serve.sock")
        connection.request(method, path, json.dumps(asked), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, read

    def pid(self) -> int:
        status, body = self.ask("who")
        assert status == 200, body
        return int(json.loads(body)["pid"])

    def ready(self) -> "Served":
        def answers() -> bool:
            assert self.process.poll() is None, self.process.communicate()[1].decode()
            try:
                return self.ask("", "GET", "/ping")[0] == 200
            except OSError:
                return False

        until(answers)
        return self


class _OverUnix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        except OSError:
            self.sock.close()
            raise
        finally:
            os.close(folder)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*options: str, **environment: str) -> Served:
        started.append(Served(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.wait()
        assert served.process.stderr is not None
        served.process.stderr.close()


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("toolkit", "given", "limits"),
    [
        ("pytorch", {}, (1, 60.0)),
        ("pytorch", {"SAGEMAKER_TS_MIN_WORKERS": "3", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "5"}, (3, 5.0)),
        ("pytorch", {"SAGEMAKER_TS_RESPONSE_TIMEOUT": "7", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "5"}, (1, 7.0)),
        ("huggingface", {"SAGEMAKER_TS_MIN_WORKERS": "3", "SAGEMAKER_MODEL_SERVER_WORKERS": "2"}, (2, 60.0)),
    ],
)
def test_workers_and_their_time_go_by_each_toolkits_names(
    toolkit: str, given: dict[str, str], limits: tuple[int, float]
) -> None:
    assert __main__.limits(toolkit, given) == limits


def test_while_one_worker_is_busy_another_answers(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve(SAGEMAKER_MODEL_SERVER_WORKERS="2").ready()
    waited: list[tuple[int, bytes]] = []
    waiting = threading.Thread(target=lambda: waited.append(served.ask("wait")))
    waiting.start()
    until((tmp_path / "begun").exists)
    other = {served.pid() for _ in range(3)}
    assert not waited
    (tmp_path / "go").touch()
    waiting.join()
    assert waited[0][0] == 200
    assert json.loads(waited[0][1])["pid"] not in other


def test_requests_wait_for_the_only_worker_and_all_are_answered(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve().ready()
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda asked=asked: answers.append(served.ask(asked)[0])) for asked in ["wait"] * 6
    ]
    for thread in asking:
        thread.start()
    (tmp_path / "go").touch()
    for thread in asking:
        thread.join()
    assert answers == [200] * 6


def test_a_worker_that_ends_while_nobody_asks_is_replaced_and_nobody_notices(serve: Callable[..., Served]) -> None:
    served = serve().ready()
    first = served.pid()
    assert served.ask("leave")[0] == 200
    until(lambda: not Path(f"/proc/{first}").exists())
    assert served.pid() != first


def test_it_ends_when_no_worker_can_load_the_model_any_more(serve: Callable[..., Served]) -> None:
    """Whoever looks after it then starts another."""
    served = serve(SAGEMAKER_PROGRAM="inference.py").ready()
    status, body = served.ask("unload")
    assert (status, json.loads(body)["message"]) == (500, "Worker died.")
    assert served.process.wait(30) == 1


def test_it_ends_at_once_when_the_model_cannot_be_loaded(serve: Callable[..., Served]) -> None:
    served = serve(SAGEMAKER_PROGRAM="gone.py")
    assert served.process.wait(30) == 1
    said = served.process.communicate()[1].decode()
    assert said.count("SAGEMAKER_PROGRAM names gone.py") == 1


def test_what_runs_is_finished_after_sigterm_and_no_worker_is_left(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve().ready()
    worker, answers = served.pid(), list[int]()
    asking = threading.Thread(target=lambda: answers.append(served.ask("wait")[0]))
    asking.start()
    until((tmp_path / "begun").exists)
    served.process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    asking.join()
    assert answers == [200]
    assert served.process.wait(10) == 0
    until(lambda: not Path(f"/proc/{worker}").exists())


def test_the_users_code_runs_in_another_python_in_which_nothing_is_installed(serve: Callable[..., Served]) -> None:
    try:
        other = pythons.find(["3.9", "3.10", "3.12", "3.13"])
    except Unfit as unfit:
        pytest.skip(str(unfit))
    served = serve("--python", str(other.executable)).ready()
    told = json.loads(served.ask("who")[1])
    assert told["python"] == list(other.version[:2])
    assert told["mine"] == [1, 2]
