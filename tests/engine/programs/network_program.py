# ruff: noqa: T201
"""What a program does with its network: `python -m network_program WISH...`."""

import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def fetch(*ports: str) -> None:
    """What is said at each of these ports of the loopback; nothing where nobody is."""
    for port in ports:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                print(port, answer.read().decode())
        except OSError:
            print(port, "nobody")


def fetch_twice(port: str) -> None:
    """Once while the server is there, and once when it was told to go on."""
    for turn in range(2):
        while turn and not (HERE / "model" / "go").exists():
            time.sleep(0.01)
        if turn:
            print("asking again")
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
        print("fetched")


def meet(names: str, port: str = "5000") -> None:
    """Each host greets each, at the name that it has in the job."""
    me, hosts = socket.gethostname(), names.split(",")
    with socket.create_server(("", int(port)), backlog=len(hosts)) as listening:
        for host in hosts:
            _persist(lambda host=host: socket.create_connection((host, int(port)), timeout=10)).sendall(me.encode())
        heard = sorted(listening.accept()[0].recv(100).decode() for _ in hosts)
    print(json.dumps({"me": me, "heard": heard, "interfaces": [name for _, name in socket.if_nameindex()]}))


def find_hosts(*names: str) -> None:
    """Which of these answer."""
    print([name for name in names if _is_there(name)])


def _is_there(name: str) -> bool:
    try:
        socket.create_connection((name, 5000), timeout=1).close()
    except OSError:
        return False
    return True


def _persist(attempt: Callable[[], socket.socket]) -> socket.socket:
    for _ in range(200):
        try:
            return attempt()
        except OSError:
            time.sleep(0.1)
    return attempt()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
