"""Open MPI over several hosts, without a secure shell.

mpirun runs on the first host and wants its daemon, `orted`, on each of the others. In AWS's images it goes there by
ssh; here the others wait to be asked for it, by who knows the job's secret, and run nothing else:

python -m groundfog.opt_ml.mpi wait              on every host but the first, until the daemon has ended
python -m groundfog.opt_ml.mpi ask HOST COMMAND  what mpirun starts where it would start ssh
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

PORT = 7778
PATIENCE = 600.0
"""Seconds for which the first host waits for another to be there."""
SECRET = "GROUNDFOG_JOB_SECRET"  # noqa: S105  the variable's name
WAIT = [sys.executable, "-m", "groundfog.opt_ml.mpi", "wait"]
ASK = f"{sys.executable} -m groundfog.opt_ml.mpi ask"
_PAUSE = 0.1


def main(wish: str, *arguments: str) -> int:
    """The exit code."""
    return wait() if wish == "wait" else ask(arguments[0], " ".join(arguments[1:]))


def wait(name: str = "", port: int = PORT) -> int:
    """Run what is asked for, once; the exit code of that. It ends with the connection of who asked."""
    signal.signal(signal.SIGTERM, _leave)
    with Listener((name or socket.gethostname(), port), authkey=_secret()) as listener, _accept(listener) as asking:
        command = asking.recv_bytes().decode()
        # What its processes say, mpirun says on the first host.
        daemon = subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, start_new_session=True)
        signal.signal(signal.SIGTERM, lambda *_: end_processes(daemon.pid))
        threading.Thread(target=_end_with, args=(asking, daemon), daemon=True).start()
        code = daemon.wait()
        with contextlib.suppress(OSError):
            asking.send_bytes(str(code).encode())
    return code if code >= 0 else 128 - code


def ask(host: str, command: str, port: int = PORT) -> int:
    """The exit code of the command on that host. Raises OSError if nobody waits there."""
    with _connect(host, port) as waiting:
        waiting.send_bytes(command.encode())
        try:
            return int(waiting.recv_bytes())
        except EOFError:
            print(f"{host} is gone.", file=sys.stderr, flush=True)  # noqa: T201
            return 1


def end_processes(launcher: int) -> None:
    """Ask the processes that mpirun or its daemon has started on this host to end, not the launcher: that would leave
    them a second for it. Once they have ended, so does the launcher."""
    for process in _below(launcher):
        with contextlib.suppress(OSError):
            if b"\0OMPI_COMM_WORLD_RANK=" in Path(f"/proc/{process}/environ").read_bytes():
                os.kill(process, signal.SIGTERM)


def _below(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()):
            yield child
            yield from _below(child)


def _connect(host: str, port: int) -> Connection:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return Client((host, port), authkey=_secret())
        except (ConnectionError, socket.gaierror, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def _accept(listener: Listener) -> Connection:
    """The first who knows the secret."""
    while True:
        with contextlib.suppress(AuthenticationError, OSError, EOFError):
            return listener.accept()


def _end_with(asking: Connection, daemon: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(EOFError, OSError):
        asking.recv_bytes()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGTERM)


def _leave(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _secret() -> bytes:
    return os.environ[SECRET].encode()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
