"""What a host needs before it starts, got by its node itself: the channels, and an environment."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from groundfog.engine.channels import feed
from groundfog.engine.channels.filling import fill
from groundfog.engine.channels.remote import RemoteStore
from groundfog.engine.environments import Environments
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.launch.local import Local
from groundfog.opt_ml.layout import Layout

_AT_HOME = "~/.groundfog/environments"


def fetch(
    directory: Path, ordered: Mapping[str, Any] | None, store: Mapping[str, str], interrupted: Callable[[], bool]
) -> None:
    """The channels. Raises Interrupted, and Unfit with what the user can put right."""
    if ordered is None:
        return
    wanted, layout, source = feed.Feed.parse(ordered), Layout(directory / "opt_ml"), RemoteStore(store)
    for channel in wanted.channels:
        if channel.mode != "Pipe":
            fill(source, channel, channel.folder(layout), link=False, share=wanted.share, interrupted=interrupted)
    feed.order_feed(directory, wanted.channels, {"s3": store}, wanted.share)


def environments(launcher: Local, kept: Mapping[str, Any], around: Mapping[str, str]) -> Environments:
    """This machine's. `kept` says where and how many: even in a folder that all machines share, each has its own.
    `around` are the variables of this process, for pip."""
    folder = Path(kept["folder"] or _AT_HOME).expanduser()
    return Environments(
        folder.with_name(f"{folder.name}.{socket.gethostname()}"),
        launcher,
        profiles=Profiles(),
        room=kept["room"],
        index=Index.of_this_machine(around, folder.with_name("wheels")),
    )
