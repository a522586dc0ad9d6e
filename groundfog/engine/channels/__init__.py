"""Channels: from objects to what a job reads.

channel.py     which objects, and how they are handed over
source.py      where their bytes come from
choosing.py    the objects of a prefix or a manifest
dealing.py     shuffled for each epoch, dealt to the hosts
filling.py     File and FastFile mode: into a folder
pouring.py     Pipe mode: one epoch, piece by piece, into a FIFO
feeder.py      the process that does so for all channels of a host
feed.py        what that process is told, and how it is started
"""

from groundfog.engine.channels.channel import Channel, Interrupted, Mode, Share
from groundfog.engine.channels.choosing import chosen, require_any
from groundfog.engine.channels.filling import fill

__all__ = ["Channel", "Interrupted", "Mode", "Share", "chosen", "fill", "require_any"]
