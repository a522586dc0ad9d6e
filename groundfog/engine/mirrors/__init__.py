"""Folders of a host that are mirrored in objects while a program runs: checkpoints, and what TensorBoard reads.

folder.py    what lies in a folder whose owner is hostile and at work
mirror.py    Mirror, and how it is kept: fetched before the start, sent as files come and change
"""

from groundfog.engine.mirrors.mirror import Mirror, Mirroring, check

__all__ = ["Mirror", "Mirroring", "check"]
