"""The program as a process: started, told what to do, asked to end, killed. For the agent: see `__main__.py`."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundfog.engine.launch.agent import room
else:
    import room

_CALLS = 99
_PDEATHSIG = 1


def spawn(order: dict[str, Any], way_in: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    agent = os.getpid()
    libc = None if order["nested"] else _libc()

    def confine() -> None:
        """In the child, before it becomes the program."""
        room.enter(order["room"])
        if libc is not None:
            # Behind bubblewrap, --die-with-parent sees to this.
            libc.prctl(_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != agent:
                os._exit(1)

    with _calls() as calls:
        return subprocess.Popen(
            [*way_in, *order["command"]],
            env=order["environment"],
            cwd=order["folder"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=confine,
            pass_fds=calls,
        )


@contextlib.contextmanager
def _calls() -> Iterator[tuple[int, ...]]:
    """What the program is to find open beside its standard files."""
    if not os.path.exists("calls"):
        yield ()
        return
    with open("calls", "rb") as file:
        os.dup2(file.fileno(), _CALLS)
    try:
        yield (_CALLS,)
    finally:
        os.close(_CALLS)


def _libc() -> Any:
    import ctypes  # slow to load, and needed where there is no sandbox only

    return ctypes.CDLL(None)


def hand_over(order: dict[str, Any], program: subprocess.Popen[bytes]) -> bool:
    """Give the spare program its order. False, and it is gone, where it cannot take it."""
    if order["warm"] and program.poll() is None and program.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            program.stdin.write(json.dumps(order["warm"]).encode() + b"\n")
            program.stdin.close()
            return True
    kill(program)
    return False


def ask_to_end(program: subprocess.Popen[bytes], nested: int) -> bool:
    """SIGTERM to the program itself. bubblewrap is its grandparent and would end at once, with all that is inside."""
    pid = program.pid
    for _ in range(nested):
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                pid = int(children.read().split()[0])
        except (OSError, IndexError):
            return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return True


def run(command: list[str], environment: dict[str, str]) -> None:
    """A command of ours, to its end, whatever comes of it."""
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def kill(program: subprocess.Popen[bytes]) -> None:
    """The program and what it left behind in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
