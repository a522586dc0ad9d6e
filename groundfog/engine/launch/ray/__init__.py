"""Hosts on the machines of a Ray cluster: `pip install 'groundfog[ray]'` there and here.

    server              this machine, beside it              a node of the cluster
    Ray (here)  files   relay.py, a process of its own  Ray  node.py, an actor
    start, poll  ───►   runs/<host>/  ◄──────────────────►   a host as on one machine: launch/local.py

A host's directory on the server is a mirror: what is put there before the start goes to the node, and what the program
says, its checkpoints and what it leaves come back while it runs and when it has ended. Files mean what the agent says
they mean (`launch/agent`), so whoever reads a directory need not know where the host is. Channels and environments do
not come this way: the node asks the server's own S3 for the ones, and makes the others itself.

The relay outlives the server like an agent, and the actors outlive the relay: they have names, and whoever comes next
finds them again.

    here    mirror    a host's directory on the server
            desk      what server and relay tell each other besides
            relay     that process: which hosts there are to see to
            seeing    one host's way from its order to its end
            actors    found, made, dismissed; `group`: those of one job together
            tunnel    the socket of a model server, which leads to the node's `window`
    there   node      the actor; `folders`, `watch`: what is left of one that is gone
            supplies  what it gets for a host before the start
            door      the socket by which programs reach the server; `window`: the port by which they are reached
            interface the name of the network that leads to the other hosts
    between parcels   folders, a piece at a time; `changes`: only what is new in some, while a program writes there
"""

import importlib.util
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from groundfog.engine.channels import feed
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Host, Passes, Program
from groundfog.engine.launch.ray.desk import Desk
from groundfog.engine.launch.ray.mirror import Mirror
from groundfog.engine.launch.ray.window import WORD
from groundfog.engine.sandbox import Limits, prepare
from groundfog.engine.sandbox.network import interface

__all__ = ["Cluster", "Ray"]

PATIENCE = 60.0
"""Seconds without a sign of the cluster after which its hosts count as lost."""
_RETRY = 0.5
"""Seconds between two looks whether there is a relay."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where hosts are placed, and how each is kept there."""

    address: str
    """As `ray.init` takes it."""
    sandbox: str = "auto"
    limits: Limits = field(default_factory=Limits)
    """Shares are of the node's memory and disk."""
    environments: str = ""
    """Where a node keeps those that it makes: beside this folder, in one named after the node too; empty: at home."""
    environments_room: int = 20 * 10**9
    """Bytes of those that nobody uses."""
    modules: tuple[str, ...] = ()
    """Folders of Python modules that programs may import, at the same place on every node."""


class Ray:
    """Implements Launcher. `store` says how a host, named by its directory, gets at the server's S3: see
    `channels/remote.py`."""

    def __init__(
        self,
        runs: Path,
        cluster: Cluster,
        *,
        passes: Passes | None = None,
        store: Callable[[str], Mapping[str, str]] = lambda host: {},
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise Unfit("the launcher ray needs an extra: pip install 'groundfog[ray]'")
        self._runs, self._cluster, self._passes, self._store = runs, cluster, passes, store
        self._desk = Desk(runs.parent / f"{runs.name}.ray")
        self._relay: subprocess.Popen[bytes] | None = None
        self._since = time.time()
        self._keeper: threading.Thread | None = None
        self._closing = threading.Event()
        runs.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def shields_input(self) -> bool:
        return False

    @property
    def fetches_input(self) -> bool:
        return True

    def interface(self, program: Program) -> str:
        return interface("open" if self._cluster.sandbox == "none" else program.network)

    def describe(self) -> str:
        return f"jobs run on the nodes of the Ray cluster {self._cluster.address}, each behind its node's sandbox"

    def sweep(self, is_recorded: Callable[[Path], bool]) -> None:
        for directory in self._runs.iterdir():
            if not Mirror(directory).order and not is_recorded(directory):
                shutil.rmtree(directory)

    def warm_up(self) -> None:
        self._see_to_the_relay()

    def make(self, *, warm: bool = True) -> Path:
        directory = self._runs / secrets.token_hex(8)
        directory.mkdir(mode=0o700)
        prepare(directory)
        return directory

    def start(self, directory: Path, program: Program) -> None:
        mirror = Mirror(directory)
        if mirror.ended or (mirror.order and not mirror.lost):
            return
        if len(program.hosts) > 1 and program.network != "open":
            raise Unfit(
                "On a Ray cluster the hosts of a job find each other over the machines' own network, which jobs may "
                "use only where the server was started with --network open. Do that, or ask for one instance."
            )
        if self._passes is not None:
            apart = self._cluster.sandbox != "none" and program.network != "open"
            issued = self._passes.issue(directory.name, program, apart=apart)
            program = replace(program, environment={**issued, **program.environment})
        mirror.place_order(
            {
                "program": asdict(program),
                "input": feed.ordered_input(directory),
                "store": dict(self._store(f"{directory.name}-node")),
                "sandbox": self._cluster.sandbox,
                "limits": asdict(self._cluster.limits),
                "environments": {"folder": self._cluster.environments, "room": self._cluster.environments_room},
                "modules": self._cluster.modules,
                "word": secrets.token_hex(WORD // 2),
            }
        )
        self._see_to_the_relay()

    def poll(self, directory: Path) -> Host:
        mirror = Mirror(directory)
        if mirror.ended:
            return Host(phase="exited", **mirror.ended)
        if mirror.lost or (mirror.order and self._out_of_sight(mirror)):
            return Host(phase="lost", started=mirror.began)
        if not mirror.order:
            return Host(phase="starting")
        return Host(phase="starting" if mirror.began is None else "running", started=mirror.began)

    def stop(self, directory: Path) -> None:
        (directory / "stop").touch()

    def renew(self, directory: Path) -> None:
        self._withdraw(directory)
        Mirror(directory).forget()

    def remove(self, directory: Path) -> None:
        self._withdraw(directory)
        self._desk.dismiss(Mirror(directory).actors)
        shutil.rmtree(directory, ignore_errors=True)
        self._see_to_the_relay()

    def close(self) -> None:
        """The relay goes on for as long as there are hosts."""
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join()
        if self._relay is not None and self._relay.stdin is not None:
            self._relay.stdin.close()
            self._relay.returncode = self._relay.poll() or 0

    def _withdraw(self, directory: Path) -> None:
        if self._passes is not None:
            for holder in (directory.name, f"{directory.name}-node"):
                self._passes.withdraw(holder)

    def _out_of_sight(self, mirror: Mirror) -> bool:
        ordered: float = mirror.order["at"]
        return time.time() - max(self._desk.seen, ordered, self._since) > PATIENCE

    def _see_to_the_relay(self) -> None:
        """That there is one, from now on: where it cannot reach the cluster, it ends, and is started again."""
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep_a_relay, name="relay", daemon=True)
            self._keeper.start()

    def _keep_a_relay(self) -> None:
        while True:
            if self._relay is None or self._relay.poll() is not None:
                with self._desk.turn() as mine:
                    if mine is not None:
                        self._relay = _launch(mine, self._desk, self._runs, self._cluster.address)
            if self._closing.wait(_RETRY):
                return


def _launch(lock: int, desk: Desk, runs: Path, address: str) -> "subprocess.Popen[bytes]":
    with (desk.folder / "relay.log").open("ab") as complaints:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "groundfog.engine.launch.ray.relay", str(runs), str(desk.folder), address],
            stdin=subprocess.PIPE,
            stdout=complaints,
            stderr=complaints,
            start_new_session=True,
            pass_fds=(lock,),
        )
