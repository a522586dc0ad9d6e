"""Who waits to be asked, and who asks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import pytest
from served import wait_until

from groundfog.opt_ml import mpi

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv(mpi.SECRET, "the job's")
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(call: str) -> "subprocess.Popen[str]":
        text = f"import sys; from groundfog.opt_ml import mpi; sys.exit(mpi.{call}, port={port}))"
        started.append(subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_what_is_asked_for_is_run_once_and_its_end_is_told(start: Start, tmp_path: Path) -> None:
    waiting = start("wait('127.0.0.1'")
    asking = start(f"ask('127.0.0.1', 'echo $0 here >> {tmp_path}/said; exit 3'")
    assert (asking.wait(30), waiting.wait(30)) == (3, 3)
    assert (tmp_path / "said").read_text() == "/bin/sh here\n"


def test_who_does_not_know_the_secret_is_not_heard(start: Start, port: int, tmp_path: Path) -> None:
    waiting = start("wait('127.0.0.1'")

    def refused() -> bool:
        try:
            Client(("127.0.0.1", port), authkey=b"a guess")
        except AuthenticationError:
            return True
        except OSError:
            return False
        return False

    wait_until(refused, "it did not listen")
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"touch /tmp/x\n")
    asking = start(f"ask('127.0.0.1', 'touch {tmp_path}/done'")
    assert (asking.wait(30), waiting.wait(30)) == (0, 0)
    assert (tmp_path / "done").exists()


def test_it_ends_with_who_asked(start: Start, tmp_path: Path) -> None:
    waiting = start("wait('127.0.0.1'")
    asking = start(f"ask('127.0.0.1', 'touch {tmp_path}/begun; sleep 1000'")
    wait_until((tmp_path / "begun").exists, "it did not begin")
    asking.kill()
    assert waiting.wait(30) == 128 + signal.SIGTERM


def test_who_asks_hears_that_the_other_is_gone(start: Start, tmp_path: Path) -> None:
    waiting = start("wait('127.0.0.1'")
    asking = start(f"ask('127.0.0.1', 'echo $PPID > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 2'")
    wait_until((tmp_path / "pid").exists, "it did not begin")
    waiting.kill()
    assert asking.communicate(timeout=30)[1] == "127.0.0.1 is gone.\n"
    assert asking.returncode == 1


def test_processes_are_asked_to_end_and_not_who_started_them(tmp_path: Path) -> None:
    inner = f"trap 'echo bye > {tmp_path}/bye; exit 0' TERM; touch {tmp_path}/begun; while true; do sleep 0.05; done"
    outer = subprocess.Popen(["/bin/sh", "-c", 'OMPI_COMM_WORLD_RANK=0 /bin/sh -c "$0" & wait $!; exit 5', inner])
    wait_until((tmp_path / "begun").exists, "it did not begin")
    time.sleep(0.05)
    mpi.end_processes(outer.pid)
    assert outer.wait(30) == 5
    assert (tmp_path / "bye").read_text() == "bye\n"


def test_asked_to_end_before_anything_was_asked_for(start: Start, port: int) -> None:
    waiting = start("wait('127.0.0.1'")
    wait_until(lambda: _listens(port), "it did not get ready")
    os.kill(waiting.pid, signal.SIGTERM)
    assert waiting.wait(30) == 128 + signal.SIGTERM


def _listens(port: int) -> bool:
    """Without a connection, which would be an answer to its waiting."""
    return f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()
