"""Start, watch and stop a program behind the treaty.

A *host* is one machine of a job or one instance of an endpoint, as the program inside sees it: a directory of its
own under `runs/`, whose `opt_ml/` the program finds as `/opt/ml`. It is kept alive by an agent, a process of its
own that outlives the server and writes down in the directory what happens, so that a restarted server need only
read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Phase = Literal["starting", "running", "exited", "lost"]
Network = Literal["none", "server", "open"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run: `python -m MODULE ARGUMENTS` with these variables on top of a clean environment."""

    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    max_seconds: float | None = None
    """SIGTERM after so long."""
    grace_seconds: float = 120.0
    """From SIGTERM to SIGKILL."""
    trusted: bool = False
    """Ours, not a user's: may run in a plain process where no sandbox can be had."""
    image: str = ""
    """Of a container, where this launcher runs any: the arguments are then those of the image, and `module` is none."""
    entrypoint: str = ""
    """What runs in the container instead of the image's own."""
    python: str = ""
    """The interpreter; empty: the server's own. Another one finds of ours `groundfog.opt_ml` alone."""
    readable: tuple[str, ...] = ()
    """Further folders that the program may read, where they are: an environment, for one."""
    network: Network = "server"
    """What is reached beside the other hosts of the job. `server`: this server, at the URL that the environment names;
    `none`: the same, but without a key pair to ask it anything; `open`: whatever this machine reaches."""
    scratch_channels: tuple[str, ...] = ()
    """Channels in whose folders it may write, and then beside `config` and `data` too; they must hold no links."""
    mirrored: tuple[str, ...] = ()
    """Folders of the host's directory that are wanted while it runs, beside `opt_ml/checkpoints`."""
    host: str = "algo-1"
    """Its name, one of `hosts`."""
    hosts: tuple[str, ...] = ("algo-1",)
    """All hosts of the job: they find each other by these names."""
    addresses: tuple[str, ...] = ()
    """Where each of `hosts` is, where they are on several machines; `network` is `open` then."""
    awaits: Mapping[str, Any] = field(default_factory=dict)
    """An environment that is made on the host's machine before it starts there: see `environments/recipe.py`."""
    neighbour: str = ""
    """The directory of the job's first host, which is started before this one; empty in the first. A host that starts
    again joins the others only if it is not the first: where the first was lost, all must start again."""
    cpus: int = 1
    gpus: int = 0
    """What it needs of a machine, where there are several to choose from."""
    identity: str = ""
    """In whose name it may ask the server: it gets a key pair of its own, which dies with its directory."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Program":
        """What `asdict` made of one, also by way of JSON, also before all these fields were there."""
        lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list | tuple)}
        return cls(**{**document, **lists})


@dataclass(frozen=True, kw_only=True)
class Host:
    """What is known of a host now. Times are seconds since the epoch."""

    phase: Phase
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    """As a shell says it: 128 + N for a program that signal N ended."""
    because: Literal["", "stopped", "time limit", "input", "memory", "disk"] = ""
    """Why it was asked to end, where it was; `input`: its channels could not be fed any more; `memory`, `disk`: it was
    killed because it took more than it may."""


class Passes(Protocol):
    """What programs need to ask the server. A holder is a host, by its directory's name."""

    def issue(self, holder: str, program: Program, *, apart: bool) -> Mapping[str, str]:
        """Variables for the program: where the server is, and a key pair of its own, where it is to have one.

        `apart`: it has a network of its own, where the server is on the loopback. What was issued to the holder before
        is good no longer.
        """
        ...

    def withdraw(self, holder: str) -> None:
        """What was issued to the holder is good no longer, nor what its key pair was used to get."""
        ...


class Launcher(Protocol):
    """Where hosts run. `local.py` is this machine; every launcher passes the same contract test."""

    @property
    def shields_input(self) -> bool:
        """Whether programs cannot write to `opt_ml/input`, so that files there may be links to what must not change."""
        ...

    @property
    def fetches_input(self) -> bool:
        """Whether hosts are on other machines and fetch their channels themselves, as `order_input` says."""
        ...

    def interface(self, program: Program) -> str:
        """The name of the network interface by which the hosts of the program's job find each other."""
        ...

    def describe(self) -> str:
        """One line for the one who starts the server: how well programs are kept apart."""
        ...

    def sweep(self, is_recorded: Callable[[Path], bool]) -> None:
        """Before anything is made: remove what a server that died had made, and neither recorded nor started."""
        ...

    def warm_up(self) -> None:
        """Get ready for programs to come. Returns at once."""
        ...

    def make(self, *, warm: bool = True) -> Path:
        """A new directory, to be filled and then started: an empty layout in `opt_ml/` and an empty `log`.

        `warm`: it may be one in which an interpreter waits that has loaded what most built-in algorithms need.
        The program's output will be in `log`, `<milliseconds>\\t<line>`.
        """
        ...

    def start(self, directory: Path, program: Program) -> None:
        """Start the program, or start again one that was lost; nothing if it runs or has ended (as when the server
        died in between). Where there is an order to feed channels (`channels/feed.py`), what feeds them is started
        beside it and outlives the server like it. Raises Unfit if it may not run here."""
        ...

    def poll(self, directory: Path) -> Host: ...

    def stop(self, directory: Path) -> None:
        """Ask for the end: SIGTERM now, SIGKILL after the program's grace. Returns at once."""
        ...

    def renew(self, directory: Path) -> None:
        """Make one that has ended or was lost ready to be started again, over what it has written."""
        ...

    def remove(self, directory: Path) -> None:
        """Kill what still runs there and delete the directory."""
        ...

    def close(self) -> None:
        """Let go. What was started runs on."""
        ...
