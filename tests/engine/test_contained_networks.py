"""What keeps the network of a container, without one: root may run it as it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine.hosts import wait_until
from engine.test_networks import answering

from groundfog.engine.launch.agent import network

CONTAINED = Path(network.__file__).with_name("contained.py")
PORT = 4321
FETCH = f"""
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:{PORT}/").read(10).decode())
"""
HEAR = """
import socket
with socket.create_server(("0.0.0.0", 7777)) as listening:
    print("listening", flush=True)
    print(listening.accept()[0].recv(99).decode())
"""
SAY = """
import socket
socket.create_connection(("10.0.0.2", 7777), 10).sendall(b"from the first")
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="not root")
Keeper = subprocess.Popen[str]


def wish(tmp_path: Path, number: int, count: int) -> dict[str, object]:
    return {
        "door": str(tmp_path / "server.sock"),
        "port": PORT,
        "number": number,
        "count": count,
        "neighbour": "" if number == 1 else "the first host's directory",
        "hub": str(tmp_path / "hub"),
    }


@pytest.fixture
def keep() -> Iterator[Callable[[dict[str, object] | None], Keeper]]:
    kept: list[Keeper] = []

    def start(wish: dict[str, object] | None) -> Keeper:
        command = [sys.executable, "-I", "-S", str(CONTAINED), json.dumps(wish)]
        kept.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return kept[-1]

    yield start
    for keeper in kept:
        with keeper:
            keeper.kill()


def says(keeper: Keeper) -> str:
    assert keeper.stdout is not None
    return keeper.stdout.readline().strip()


def inside(keeper: Keeper, script: str) -> Keeper:
    command = ["nsenter", f"--net=/proc/{keeper.pid}/ns/net", "--", sys.executable, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_it_reaches_the_server_and_the_others_of_its_job(tmp_path: Path, keep: Callable[..., Keeper]) -> None:
    second = keep(wish(tmp_path, 2, 2))
    first = keep(wish(tmp_path, 1, 2))
    assert says(first) == says(second) == "ready"
    with answering(tmp_path / "server.sock"), inside(second, FETCH) as fetching:
        assert fetching.communicate()[0] == "the server\n"
    with inside(second, HEAR) as hearing:
        assert says(hearing) == "listening"
        with inside(first, SAY):
            assert says(hearing) == "from the first"


@pytest.mark.parametrize("alone", [True, False])
def test_it_keeps_no_right_that_it_does_not_need_and_ends_with_its_input(
    tmp_path: Path, keep: Callable[..., Keeper], alone: bool
) -> None:
    keeper = keep(wish(tmp_path, 1, 1) if alone else None)
    assert says(keeper) == "ready"
    tasks = Path(f"/proc/{keeper.pid}/task")
    wait_until(lambda: rights(tasks) == [0, 2 if alone else 0])  # CAP_DAC_OVERRIDE is 2
    assert keeper.stdin is not None
    keeper.stdin.close()
    assert keeper.wait(20) == 0
    wait_until(lambda: not tasks.exists())


def rights(tasks: Path) -> list[int]:
    statuses = [(task / "status").read_text().splitlines() for task in tasks.iterdir()]
    return sorted(int(line.split()[1], 16) for lines in statuses for line in lines if line.startswith("CapPrm"))
