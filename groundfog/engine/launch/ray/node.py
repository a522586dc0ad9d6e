"""One host on a node of the cluster: an actor over `launch/local.py`. The relay calls it, and calls again what it does
not know to be done: every method may be called twice.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from groundfog.engine.channels import Interrupted, feed
from groundfog.engine.errors import EngineError
from groundfog.engine.launch import Host, Program
from groundfog.engine.launch.local import Local
from groundfog.engine.launch.ray import changes, parcels
from groundfog.engine.launch.ray.door import NodeDoor
from groundfog.engine.launch.ray.folders import claim
from groundfog.engine.launch.ray.interface import interface_of
from groundfog.engine.launch.ray.supplies import environments, fetch
from groundfog.engine.launch.ray.window import Window, is_open
from groundfog.engine.sandbox import Limits, Sandbox
from groundfog.opt_ml.layout import Layout

_GLANCE = 0.05
_WATCH = Path(__file__).with_name("watch.py")


@dataclass(frozen=True, kw_only=True)
class News:
    """What has happened on a host. `saved` is another text whenever what is kept of it is another; empty before it may
    have changed."""

    host: Host
    lines: bytes = b""
    usage: bytes = b""
    """What the program takes of the node, a line for each time it was measured."""
    failure: str = ""
    saved: str = ""
    port: int = 0
    """Where its model server is reached; 0: it has none, or not yet."""


class Node:
    def __init__(self, name: str) -> None:
        self._folder, self._held = claim(name)
        self._parcel = self._folder / "parcel.tar"
        self._lock = threading.Lock()
        self._local: Local | None = None
        self._directory: Path | None = None
        self._door: NodeDoor | None = None
        self._window: Window | None = None
        self._word = ""
        self._kept: Sequence[str] = ()
        self._taken: changes.Marks = {}
        self._watch: subprocess.Popen[bytes] | None = None
        self._begun = self._started = self._stopped = False
        self._not_to_be: News | None = None
        """What there is to say of a program that was not started."""

    def hello(self) -> str:
        """Which node this is: its address, and its name in the cluster."""
        import ray

        return f"{ray.util.get_node_ip_address()} {ray.get_runtime_context().get_node_id()}"

    def take(self, offset: int, piece: bytes) -> None:
        """The host's folders, a piece at a time."""
        parcels.put(self._parcel, offset, piece)

    def begin(self, order: dict[str, Any]) -> None:
        """Returns at once; what becomes of it is news."""
        with self._lock:
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._start, args=(order,), daemon=True).start()

    def has_begun(self) -> bool:
        return self._begun

    def stop(self) -> None:
        self._stopped = True
        if self._local is not None and self._directory is not None:
            self._local.stop(self._directory)

    def look(self, said: int, measured: int, began: bool, served: bool, patience: float) -> News:
        """What is new, as soon as there is something, or after so many seconds. So many bytes of the log and of the
        usage are known."""
        end = time.monotonic() + patience
        while True:
            news = self._news(said, measured)
            first = (news.host.phase == "running" and not began) or (news.port and not served)
            if first or news.lines or news.host.phase in ("exited", "lost") or time.monotonic() > end:
                return replace(news, saved=self._saved) if self._started else news
            time.sleep(_GLANCE)

    def wrap(self, folders: Sequence[str]) -> None:
        """Get these ready to be given back."""
        assert self._directory is not None
        parcels.wrap(self._directory, folders, self._parcel)

    def wrap_changes(self, folders: Sequence[str], known: changes.Marks | None) -> changes.Marks:
        """Of what is known, or else of what was taken, get ready what is another now. Returns what there is."""
        assert self._directory is not None
        return changes.wrap(self._directory, folders, self._taken if known is None else known, self._parcel)

    def give(self, offset: int) -> bytes:
        """Empty at the end."""
        return parcels.take(self._parcel, offset)

    def remove(self) -> None:
        self._stopped = True
        if self._local is not None:
            # One for the program, and one in which pip may work.
            for directory in (self._folder / "runs").iterdir():
                self._local.remove(directory)
        if self._watch is not None:
            self._watch.kill()
        for opening in (self._door, self._window):
            if opening is not None:
                opening.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _layout(self) -> Layout:
        assert self._directory is not None
        return Layout(self._directory / "opt_ml")

    @property
    def _saved(self) -> str:
        return changes.digest(self._layout.root.parent, self._kept)

    def _start(self, order: dict[str, Any]) -> None:
        try:
            self._word = order["word"]
            self._local = self._launcher(order)
            self._directory = directory = self._local.make()
            parcels.unwrap(self._parcel, directory, ())
            self._parcel.unlink()
            self._kept = changes.kept(order["program"])
            self._taken = changes.marks(directory, self._kept)
            self._keep_watch()
            fetch(directory, order["input"], order["store"], self._is_stopped)
            kept = environments(self._local, order["environments"], os.environ)
            program = _here(Program.read(order["program"]), tuple(order["addresses"]))
            program = kept.complete(program, directory, self._is_stopped)
            if self._stopped:
                self._local.stop(directory)
            if program.addresses:
                _name_interface(self._layout, program.addresses[program.hosts.index(program.host)])
            self._local.start(directory, program)
            self._started = True
        except Interrupted:
            self._not_to_be = News(host=_ended("stopped", 143))
        except EngineError as refused:
            self._not_to_be = News(host=_ended("input", 1), failure=str(refused))
        except Exception as failed:
            self._not_to_be = News(host=Host(phase="lost"), failure=f"{type(failed).__name__}: {failed}")

    def _launcher(self, order: dict[str, Any]) -> Local:
        if order["store"].get("url") and order["sandbox"] != "none":
            self._door = NodeDoor(order["store"]["url"], self._folder / "door")
        sandbox = Sandbox(
            order["sandbox"],
            modules=[Path(folder) for folder in order["modules"]],
            door=self._door.door if self._door else None,
            limits=Limits.read(order["limits"]),
        )
        return Local(self._folder / "runs", sandbox=sandbox)

    def _is_stopped(self) -> bool:
        return self._stopped

    def _keep_watch(self) -> None:
        """Somebody who is still there to end what runs when this process is killed."""
        self._watch = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCH), str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _news(self, said: int, measured: int) -> News:
        news = self._not_to_be or News(host=Host(phase="starting"))
        if self._local is None or self._directory is None:
            return news
        # While it is being started, an order without an agent is not a lost host.
        if self._started:
            host = self._local.poll(self._directory)
            news = News(host=host, failure=feed.failure(self._directory), port=self._port())
        # After its phase: what it says before its end is not missed.
        usage = _from(self._directory / "usage", measured)
        return replace(news, lines=_from(self._directory / "log", said), usage=usage)

    def _port(self) -> int:
        if self._window is None and is_open(self._layout.socket):
            self._window = Window(self._layout.socket, self._word)
        return self._window.port if self._window is not None else 0


def _ended(because: Literal["stopped", "input"], exit_code: int) -> Host:
    """Before it was started."""
    now = time.time()
    return Host(phase="exited", started=now, ended=now, exit_code=exit_code, because=because)


def _here(program: Program, addresses: tuple[str, ...]) -> Program:
    """With the GPUs that Ray has given it, and the job's other hosts elsewhere."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    more = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    return replace(program, environment={**more, **program.environment}, neighbour="", addresses=addresses)


def _name_interface(layout: Layout, address: str) -> None:
    """What `resourceconfig.json` says was written where this node was not known."""
    file = layout.config / "resourceconfig.json"
    if file.exists():
        file.write_text(json.dumps(json.loads(file.read_text()) | {"network_interface_name": interface_of(address)}))


def _from(file: Path, offset: int) -> bytes:
    """Whole lines."""
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            lines = opened.read(parcels.PIECE)
    except FileNotFoundError:
        return b""
    return lines[: lines.rfind(b"\n") + 1]


def to_json(host: Host) -> dict[str, Any]:
    """As the agent writes it."""
    return {name: value for name, value in asdict(host).items() if name != "phase"}
