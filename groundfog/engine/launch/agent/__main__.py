"""Keeps one host alive. A program of its own, `python -I -S agent DIRECTORY`, that outlives the server.

Standard library, and nothing of ours is imported but what lies beside this file, so that it starts in no time:

    process   how the program is started, asked to end, and killed
    lines     what the program writes, as lines with a time
    room      what the program may take of the machine
    usage     what it does take: measured now and then
    keeping   who keeps its network, and a container's life
    network   what it may reach; a process of its own
    feeding   what writes the FIFOs of its Pipe channels; a process of its own

The directory is the agent's memory, and each file in it is whole or not there:

    lock         held for as long as the agent lives; its pid stands in it
    order.json   what to run (written by the launcher)
    calls        which system calls it does without: a file that its command finds open as number 99
    spare.json   instead, in a host that waits: what to run meanwhile, until an order comes
    began        when the program was started
    log          `<milliseconds>\\t<line>`, standard output and error as they come
    stop         there once the program was asked to end
    network      which process keeps the host's network
    usage        what the program takes of the machine: a line for each look
    feed.failure why its channels could not be fed any more, where the user can put that right
    exit.json    how it ended; without it and without the lock's holder, the host is lost
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

# What lies beside this file is found by its own name, so that nothing above it is loaded.
if TYPE_CHECKING:
    from groundfog.engine.launch.agent import process, room
    from groundfog.engine.launch.agent.feeding import Feeder
    from groundfog.engine.launch.agent.keeping import Keeper
    from groundfog.engine.launch.agent.lines import Lines
    from groundfog.engine.launch.agent.usage import Meter
else:
    import process
    import room
    from feeding import Feeder
    from keeping import Keeper
    from lines import Lines
    from usage import Meter

_UNSTARTABLE = 126
"""The exit code of what could not be run, as a shell has it."""

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
        self._network: Keeper | None = None
        self._feeder: Feeder | None = None
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

    def wait_for_an_order(self) -> subprocess.Popen[bytes] | None:
        """The spare program, once there is an order. Ends here when the server is gone without having given one."""
        spare = _read("spare.json")
        program = self._spawn(spare, lambda data: None, stdin=subprocess.PIPE)
        asked: list[bool] = []
        self._selector.register(0, selectors.EVENT_READ, lambda: asked.append(True))
        while not asked and not self.leaving:
            self._turn(None)
        self._selector.unregister(0)
        if not os.path.exists("order.json"):
            if program is not None:
                process.kill(program)
            self._close_network()
            room.leave(spare["room"])
            shutil.rmtree(os.getcwd(), ignore_errors=True)
            raise SystemExit
        return program

    def supervise(self, order: Order, program: subprocess.Popen[bytes] | None) -> None:
        lines = Lines("log")
        if order.get("feeder"):
            self._feeder = Feeder(order["feeder"], self._selector)
        if program is not None and process.hand_over(order, program):
            self._hear(program, lines.write)
        else:
            program = self._spawn(order, lines.write)
        started = time.time()
        _write("began", repr(started))
        because = "" if program is None else self._see_through(order, program)
        if program is not None and not order["nested"]:
            process.kill(program)
        if self._feeder is not None:
            self._feeder.close()
        while self._turn(0):
            pass
        unfed = because == "input" and not os.path.exists("feed.failure")
        if unfed:
            lines.write(b"What feeds the Pipe channels of this host died; so the program was killed.\n")
        orphaned = not because and self._is_orphaned(program)
        if orphaned:
            lines.write(b"What keeps the network of this host's container ended; so the program was killed.\n")
        lines.close()
        self._close_network()
        if order["afterwards"]:
            process.run(order["afterwards"], order["environment"])
        if unfed or orphaned or (self.leaving and not because):
            return
        code = _UNSTARTABLE if program is None else program.returncode
        if code and not because and room.was_short_of_memory(order["room"]):
            because = "memory"
        room.leave(order["room"])
        end = {"exit_code": code if code >= 0 else 128 - code, "because": because}
        _write("exit.json", json.dumps({**end, "started": started, "ended": time.time()}))

    def _see_through(self, order: Order, program: subprocess.Popen[bytes]) -> str:
        """Until the program has ended; returns why it was asked to, where it was."""
        limit, because, asked = _never(order["max_seconds"]), "", False
        patience, disk = _never(None), room.Disk(order["room"])
        meter = Meter(order, disk)
        while program.poll() is None:
            now = time.monotonic()
            if not because and os.path.exists("stop"):
                because = "stopped"
            if not because and now >= limit:
                because = "time limit"
            if not because and self._is_unfed():
                because = "input"
                process.kill(program)
            if disk.is_full():
                because = "disk"
                process.kill(program)
            if (because or self.leaving) and not asked:
                asked = process.ask_to_end(program, order["nested"])
                patience = _never(order["grace_seconds"])
            if now >= patience:
                process.kill(program)
            meter.look()
            waits_to_ask = (because or self.leaving) and not asked
            self._turn(0.02 if waits_to_ask else max(0.0, min(1.0, limit - now, patience - now, meter.patience)))
        disk.close()
        meter.close()
        # It may have ended because it took a pipe for read to its end.
        return "input" if not because and self._is_unfed() else because

    def _is_orphaned(self, program: subprocess.Popen[bytes] | None) -> bool:
        killed = program is not None and program.returncode == 128 + signal.SIGKILL
        return killed and self._network is not None and self._network.has_failed()

    def _is_unfed(self) -> bool:
        return self._feeder is not None and self._feeder.has_ended()

    def _spawn(
        self, order: Order, use: Callable[[bytes], None], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes] | None:
        """The program, its output heard; None, and why, where it can have no network."""
        try:
            way_in = self._open_network(order)
        except OSError as problem:
            use(f"The network of this host could not be made: {problem}\n".encode())
            return None
        program = process.spawn(order, way_in, stdin)
        self._hear(program, use)
        return program

    def _open_network(self, order: Order) -> list[str]:
        """What to put before a command so that it runs there. Raises OSError."""
        self._close_network()
        if order["network"] is None and not order["keeper"]:
            return []
        self._network = Keeper(order)
        return self._network.way_in

    def _close_network(self) -> None:
        if self._network is not None:
            self._network.close()
            self._network = None

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
        raise SystemExit("usage: agent DIRECTORY")
    main(sys.argv[1])
    raise SystemExit


if __name__ == "__main__":
    _exit()
