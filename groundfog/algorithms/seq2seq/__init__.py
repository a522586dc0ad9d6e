"""Sequence to sequence: an encoder reads tokens, a decoder with attention says other tokens.

    from groundfog.algorithms.seq2seq import Seq2Seq

Importing this is light; torch comes with the first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import InputFault
    from .hyperparameters import Hyperparameters
    from .model import Seq2Seq, Translation
    from .progress import Checkpoint, Finished, Progress, Started
    from .vocabulary import Vocabulary

_HOMES = {
    "InputFault": "errors",
    "Hyperparameters": "hyperparameters",
    "Seq2Seq": "model",
    "Translation": "model",
    "Checkpoint": "progress",
    "Finished": "progress",
    "Progress": "progress",
    "Started": "progress",
    "Vocabulary": "vocabulary",
}

__all__ = [
    "Checkpoint",
    "Finished",
    "Hyperparameters",
    "InputFault",
    "Progress",
    "Seq2Seq",
    "Started",
    "Translation",
    "Vocabulary",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    return found
