"""Which objects a channel is, and how they are handed to the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundfog.opt_ml.layout import Layout

Mode = Literal["File", "Pipe", "FastFile"]


class Interrupted(Exception):
    """Whoever wanted the channel does not want it any more."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """`if_empty` is what to say if there are no objects."""

    name: str
    bucket: str
    prefix: str
    is_manifest: bool = False
    attributes: tuple[str, ...] = ()
    """Of an augmented manifest, which then stands at `prefix`: what of each of its lines is sent, in this order."""
    is_gzipped: bool = False
    is_wrapped: bool = False
    """Each object becomes one RecordIO record."""
    mode: Mode = "File"
    seed: int | None = None
    """The order is another in each epoch, the same on all hosts; None: as it is found."""
    is_sharded: bool = False
    """Each host gets its share, not all."""
    hosts: tuple[int, ...] = ()
    """The numbers of those that get it at all; empty: every host does."""
    path: str = ""
    """Below `/opt/ml`, where its files lie, and the program may change them; empty: in `input/data`, by its name."""
    if_empty: str

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Channel":
        lists = {name: tuple(document.get(name, ())) for name in ("attributes", "hosts")}
        return cls(**{**document, **lists})

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def folder(self, layout: Layout) -> Path:
        return layout.root / self.path if self.path else layout.channel(self.name)


@dataclass(frozen=True)
class Share:
    """The part of host number `host`, from 0, of `hosts`."""

    host: int = 0
    hosts: int = 1

    def has(self, channel: Channel) -> bool:
        return not channel.hosts or self.host in channel.hosts

    def of(self, channel: Channel) -> "Share":
        """Among the hosts that get the channel, of which this is one."""
        return Share(channel.hosts.index(self.host), len(channel.hosts)) if channel.hosts else self
