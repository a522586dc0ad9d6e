# ruff: noqa: PTH105, PTH109, PTH110, PTH123
# To load pathlib takes as long as all the rest.
"""Keeps one host alive. A program of its own, `python -I -S agent.py DIRECTORY`, that outlives the server.

Standard library in one file, and nothing of ours is imported, so that it starts in no time. The directory is its
memory, and each file in it is whole or not there:

    lock         held for as long as the agent lives; its pid stands in it
    order.json   what to run (written by the launcher)
    spare.json   instead, in a host that waits: what to run meanwhile, until an order comes
    began        when the program was started
    log          `<milliseconds>\\t<line>`, standard output and error as they come
    stop         there once the program was asked to end
    exit.json    how it ended; without it and without the lock's holder, the host is lost
"""

import contextlib
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

MOST_IN_A_LINE = 64 << 10
MOST_IN_A_LOG = 256 << 20
PROGRESS_EVERY = 5.0
"""Seconds between two lines of a bar that only ever goes back to the line's beginning."""
_PDEATHSIG = 1

Order = dict[str, Any]


def main(directory: str) -> None:
    os.chdir(directory)
    os.umask(0o022)
    agent = Agent()
    program = None if os.path.exists("order.json") else agent.wait_for_an_order()
    agent.supervise(_read("order.json"), program)


class Agent:
    """One program at a time: the spare one, then the ordered one, which may be the same."""

    def __init__(self) -> None:
        self.leaving = False
        self._selector = selectors.DefaultSelector()
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        self._selector.register(woken, selectors.EVENT_READ, lambda: _drain(woken))

    def wait_for_an_order(self) -> subprocess.Popen[bytes]:
        """The spare program, once there is an order. Ends here when the server is gone without having given one."""
        program = spawn(_read("spare.json"), stdin=subprocess.PIPE)
        self._hear(program, lambda data: None)
        asked: list[bool] = []
        self._selector.register(0, selectors.EVENT_READ, lambda: asked.append(True))
        while not asked and not self.leaving:
            self._turn(None)
        self._selector.unregister(0)
        if not os.path.exists("order.json"):
            _kill(program)
            shutil.rmtree(os.getcwd(), ignore_errors=True)
            raise SystemExit
        return program

    def supervise(self, order: Order, program: subprocess.Popen[bytes] | None) -> None:
        lines = Lines("log")
        if program is None or not _hand_over(order, program):
            program = spawn(order)
        self._hear(program, lines.write)
        _write("began", repr(time.time()))
        started, because = time.time(), self._see_through(order, program)
        if not order["nested"]:
            _kill(program)
        while self._turn(0):
            pass
        lines.close()
        if self.leaving and not because:
            return
        code = program.returncode
        _write(
            "exit.json",
            json.dumps(
                {
                    "exit_code": code if code >= 0 else 128 - code,
                    "because": because,
                    "started": started,
                    "ended": time.time(),
                }
            ),
        )

    def _see_through(self, order: Order, program: subprocess.Popen[bytes]) -> str:
        """Until the program has ended; returns why it was asked to, where it was."""
        limit, because, asked = _never(order["max_seconds"]), "", False
        patience = _never(None)
        while program.poll() is None:
            now = time.monotonic()
            if not because and os.path.exists("stop"):
                because = "stopped"
            if not because and now >= limit:
                because = "time limit"
            if (because or self.leaving) and not asked:
                asked = _ask_to_end(program, order["nested"])
                patience = _never(order["grace_seconds"])
            if now >= patience:
                _kill(program)
            waits_to_ask = (because or self.leaving) and not asked
            self._turn(0.02 if waits_to_ask else max(0.0, min(1.0, limit - now, patience - now)))
        return because

    def _hear(self, program: subprocess.Popen[bytes], use: Callable[[bytes], None]) -> None:
        assert program.stdout is not None
        output = program.stdout.fileno()
        os.set_blocking(output, False)

        def read() -> None:
            with contextlib.suppress(BlockingIOError):
                data = os.read(output, 1 << 16)
                if data:
                    use(data)
                else:
                    self._selector.unregister(output)

        if output in self._selector.get_map():
            self._selector.unregister(output)
        self._selector.register(output, selectors.EVENT_READ, read)

    def _turn(self, timeout: float | None) -> bool:
        """Take what came; False if nothing did."""
        ready = self._selector.select(timeout)
        for key, _ in ready:
            key.data()
        return bool(ready)

    def _leave(self, *_: object) -> None:
        """The machine goes down: the program may write its checkpoint, and the host counts as lost, not as ended."""
        self.leaving = True


def spawn(order: Order, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    agent = os.getpid()
    libc = None if order["nested"] else _libc()

    def confine() -> None:
        """In the child, before it becomes the program."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if order["most_processes"]:
            resource.setrlimit(resource.RLIMIT_NPROC, (order["most_processes"], order["most_processes"]))
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
        if libc is not None:
            # Behind bubblewrap, --die-with-parent sees to this.
            libc.prctl(_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != agent:
                os._exit(1)

    return subprocess.Popen(
        order["command"],
        env=order["environment"],
        cwd=order["folder"],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=confine,
    )


def _libc() -> Any:
    import ctypes  # slow to load, and needed where there is no sandbox only

    return ctypes.CDLL(None)


class Lines:
    """Turns what a program writes, in whatever pieces, into lines with a time that never goes back."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._room = MOST_IN_A_LOG - os.fstat(self._file).st_size
        self._pending = b""
        self._last = 0
        self._shown = time.monotonic()

    def write(self, data: bytes) -> None:
        *whole, self._pending = (self._pending + data).split(b"\n")
        out = [line for text in whole for line in _split(_shown(text))]
        while len(self._pending) > MOST_IN_A_LINE:
            start, self._pending = self._pending[:MOST_IN_A_LINE], self._pending[MOST_IN_A_LINE:]
            out.append(_shown(start))
        bar, _, rest = self._pending.rpartition(b"\r")
        if not out and bar and time.monotonic() - self._shown > PROGRESS_EVERY:
            out, self._pending = [_shown(bar)], rest
        self._append(out)

    def close(self) -> None:
        if self._pending:
            self._append([_shown(self._pending)])
        os.close(self._file)

    def _append(self, lines: list[bytes]) -> None:
        if not lines or self._room <= 0:
            return
        self._shown = time.monotonic()
        self._last = max(self._last, int(time.time() * 1000))
        block = b"".join(b"%d\t%s\n" % (self._last, _text(line)) for line in lines)
        self._room -= len(block)
        if self._room <= 0:
            block += b"%d\tThe log is full (%d bytes): what follows is not kept.\n" % (self._last, MOST_IN_A_LOG)
        _write_all(self._file, block)


def _shown(line: bytes) -> bytes:
    """What a terminal would show of a line that goes back to its beginning: the last thing written."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _split(line: bytes) -> list[bytes]:
    return [line[start : start + MOST_IN_A_LINE] for start in range(0, len(line), MOST_IN_A_LINE)] or [b""]


def _text(line: bytes) -> bytes:
    return line.decode("utf-8", "replace").encode()


def _write_all(file: int, block: bytes) -> None:
    """A full disk costs the program its log, not its life."""
    with contextlib.suppress(OSError):
        while block:
            block = block[os.write(file, block) :]


def _hand_over(order: Order, program: subprocess.Popen[bytes]) -> bool:
    """Give the spare program its order. False, and it is gone, where it cannot take it."""
    if order["warm"] and program.poll() is None and program.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            program.stdin.write(json.dumps(order["warm"]).encode() + b"\n")
            program.stdin.close()
            return True
    _kill(program)
    return False


def _ask_to_end(program: subprocess.Popen[bytes], nested: int) -> bool:
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


def _kill(program: subprocess.Popen[bytes]) -> None:
    """The program and what it left behind in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _never(seconds: float | None) -> float:
    return time.monotonic() + seconds if seconds is not None else float("inf")


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 512):
            pass


def _read(name: str) -> Order:
    with open(name) as file:
        read: Order = json.load(file)
    return read


def _write(name: str, text: str) -> None:
    with open(f"{name}.new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{name}.new", name)


def _exit() -> NoReturn:
    if len(sys.argv) != 2:
        raise SystemExit("usage: agent.py DIRECTORY")
    main(sys.argv[1])
    raise SystemExit


if __name__ == "__main__":
    _exit()
