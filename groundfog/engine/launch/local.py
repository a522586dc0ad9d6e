"""Hosts on this machine: a directory and an agent each, and one spare that has imported already what takes long."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundfog.engine.channels import feed
from groundfog.engine.launch import Host, Network, Passes, Program
from groundfog.engine.sandbox import AGENT, Sandbox, prepare

MODULES = ("torch", "torch._dynamo", "groundfog.algorithms.seq2seq")
"""What takes long to import, and most jobs need; torch loads the second when it makes its first optimizer, two seconds
into a job. What is not installed is passed over."""
_WHOLE_FILE = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""`struct flock`: a lock of the open file, which the agent inherits, so that there is no moment without a holder."""


class Local:
    """Implements Launcher. `warm` is how many spares are kept, and `modules` what they import beforehand."""

    def __init__(
        self,
        runs: Path,
        *,
        sandbox: Sandbox,
        warm: int = 0,
        modules: Sequence[str] = MODULES,
        rest: float = 3.0,
        network: Network = "server",
        passes: Passes | None = None,
    ) -> None:
        """`rest` is for how many seconds a new job has the machine to itself before the next spare is made; spares are
        for programs on the given `network`."""
        self._runs, self._sandbox, self._rest = runs, sandbox, rest
        self._wanted, self._passes = warm, passes
        self._usual = Program(module="groundfog.opt_ml.warm", arguments=tuple(modules), trusted=True, network=network)
        self._agents: dict[Path, subprocess.Popen[bytes]] = {}
        self._spares: list[Path] = []
        self._lock = threading.Lock()
        self._timers: list[threading.Timer] = []
        self._closed = False
        runs.mkdir(parents=True, exist_ok=True, mode=0o700)

    def sweep(self, is_recorded: Callable[[Path], bool]) -> None:
        # A spare whose server died still holds its directory for a moment, and deletes it itself.
        for directory in self._runs.iterdir():
            ordered = (directory / "order.json").exists()
            if not ordered and not _is_held(directory) and not is_recorded(directory):
                self._withdraw(directory)
                _delete(directory)
        self._sandbox.sweep(self._runs)

    def warm_up(self) -> None:
        """Make the spares that are wanting. Returns at once; they are warm some seconds later."""
        with self._lock:
            while not self._closed and len(self._spares) < self._wanted:
                self._spares.append(self._spare())

    @property
    def shields_input(self) -> bool:
        return self._sandbox.walled

    @property
    def fetches_input(self) -> bool:
        return False

    def interface(self, program: Program) -> str:
        return self._sandbox.interface(program)

    def describe(self) -> str:
        reach = ", in this machine's network" if self._usual.network == "open" else ""
        return self._sandbox.describe() + reach

    def make(self, *, warm: bool = True) -> Path:
        with self._lock:
            while warm and self._spares:
                directory = self._spares.pop(0)
                if _is_held(directory):
                    return directory
        return self._new()

    def start(self, directory: Path, program: Program) -> None:
        if (directory / "exit.json").exists() or ((directory / "order.json").exists() and _is_held(directory)):
            return
        if self._passes is not None:
            issued = self._passes.issue(directory.name, program, apart=self._sandbox.is_apart(program))
            program = replace(program, environment={**issued, **program.environment})
        confined = self._sandbox.confine(directory, program)
        self._sandbox.hand_over(directory, program)
        order = confined.order(program, warm=program.trusted and self._is_usual(program))
        order["feeder"] = feed.command(directory)
        (directory / "network").unlink(missing_ok=True)
        _write(directory / "order.json", order)
        spare = self._agents.get(directory)
        if spare is not None and spare.stdin is not None and _is_held(directory):
            _wake(spare)
            self._refill()
        else:
            self._launch(directory, stdin=subprocess.DEVNULL)

    def poll(self, directory: Path) -> Host:
        self._reap()
        if (directory / "exit.json").exists():
            return Host(phase="exited", **json.loads((directory / "exit.json").read_text()))
        if not (directory / "order.json").exists():
            return Host(phase="starting")
        if not _is_held(directory):
            # The agent writes how it ended and then lets go: asked in this order, an end is not taken for a loss.
            if (directory / "exit.json").exists():
                return self.poll(directory)
            return Host(phase="lost", started=_began(directory))
        began = _began(directory)
        return Host(phase="starting") if began is None else Host(phase="running", started=began)

    def stop(self, directory: Path) -> None:
        (directory / "stop").touch()
        _signal(directory, signal.SIGUSR1)

    def renew(self, directory: Path) -> None:
        # An agent that has said how its program ended still holds the directory for a moment.
        self._end(directory)
        while _is_held(directory):
            time.sleep(0.005)
        # The order last: until it is gone, the host counts as ended or as lost.
        for name in ("stop", "began", "network", "exit.json", "order.json"):
            (directory / name).unlink(missing_ok=True)

    def remove(self, directory: Path) -> None:
        with self._lock:
            if directory in self._spares:
                self._spares.remove(directory)
        self._end(directory)
        self._withdraw(directory)
        self._sandbox.clear(directory)
        _delete(directory)

    def close(self) -> None:
        """Let go of the spares, which then end; what was started runs on."""
        with self._lock:
            self._closed = True
            for timer in self._timers:
                timer.cancel()
            for directory in self._spares:
                agent = self._agents.pop(directory)
                _wake(agent)
                agent.wait()
            self._spares.clear()
        for agent in self._agents.values():
            # Not ours to wait for any more; without this the interpreter would complain that it still runs.
            agent.returncode = agent.poll() or 0
            if agent.stdin is not None:
                agent.stdin.close()

    def _new(self) -> Path:
        directory = self._runs / secrets.token_hex(8)
        directory.mkdir(mode=0o700)
        prepare(directory)
        return directory

    def _spare(self) -> Path:
        directory = self._new()
        self._sandbox.hand_over(directory)
        _write(directory / "spare.json", self._sandbox.confine(directory, self._usual).order(self._usual))
        self._launch(directory, stdin=subprocess.PIPE)
        return directory

    def _is_usual(self, program: Program) -> bool:
        """Whether it runs in such a place as spares are made in."""
        place = ("python", "readable", "network", "host", "hosts", "neighbour")
        return all(getattr(program, what) == getattr(self._usual, what) for what in place)

    def _end(self, directory: Path) -> None:
        """The agent, at once, whoever started it, and with it its program."""
        agent = self._agents.pop(directory, None)
        _signal(directory, signal.SIGKILL)
        if agent is not None:
            agent.kill()
            agent.communicate()

    def _withdraw(self, directory: Path) -> None:
        if self._passes is not None:
            self._passes.withdraw(directory.name)

    def _refill(self) -> None:
        with self._lock:
            if not self._closed:
                timer = threading.Timer(self._rest, self.warm_up)
                timer.daemon = True
                self._timers = [other for other in self._timers if other.is_alive()] + [timer]
                timer.start()

    def _launch(self, directory: Path, stdin: int) -> None:
        """Start the agent with the lock in its hands; if another holds it, it is running already."""
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, _WHOLE_FILE)
            if (earlier := self._agents.pop(directory, None)) is not None:
                earlier.communicate()  # It has let go, and is about to end.
            with (directory / "agent.log").open("ab") as complaints:
                agent = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(AGENT), str(directory)],
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    env={"PATH": os.defpath},
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            os.pwrite(lock, b"%d\n" % agent.pid, 0)
            self._agents[directory] = agent
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        finally:
            os.close(lock)

    def _reap(self) -> None:
        for directory, agent in list(self._agents.items()):
            if agent.poll() is not None:
                self._agents.pop(directory, None)


def _is_held(directory: Path) -> bool:
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, _WHOLE_FILE)
    finally:
        os.close(lock)
    kind: int = struct.unpack("hhqqi", answer)[0]
    return kind != fcntl.F_UNLCK


def _signal(directory: Path, number: int) -> None:
    """To the agent, if it is alive: the pid in the lock is its own for as long as it holds it."""
    with contextlib.suppress(OSError, ValueError):
        if _is_held(directory):
            os.kill(int((directory / "lock").read_text()), number)


def _wake(agent: subprocess.Popen[bytes]) -> None:
    """A spare looks for its order when its standard input ends; so it does when the server dies."""
    assert agent.stdin is not None
    agent.stdin.close()
    agent.stdin = None


def _began(directory: Path) -> float | None:
    try:
        return float((directory / "began").read_text())
    except FileNotFoundError:
        return None


def _write(file: Path, document: dict[str, Any]) -> None:
    """For nobody else's eyes: a key pair may be in it."""
    new = file.with_suffix(".new")
    new.touch(0o600)
    new.write_text(json.dumps(document))
    new.replace(file)


def _delete(directory: Path) -> None:
    def open_up(function: Any, path: str, _: object) -> None:
        """A program may have left folders that their owner cannot enter."""
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            if not Path(path).is_symlink():
                Path(path).chmod(0o700)
            function(path)

    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, onerror=open_up)
        shutil.rmtree(directory, ignore_errors=True)
    # Folders within one another, deeper than Python goes or a path is long.
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        if directory.exists():
            subprocess.run([*command, "--", str(directory)], stderr=subprocess.DEVNULL, check=False)
