"""Sequence to sequence: an encoder reads tokens, a decoder with attention says other tokens.

    from groundfog.algorithms.seq2seq import Seq2Seq

Importing this is light; torch comes with the first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .constraints import Lexicon
    from .ensemble import Ensemble, load
    from .errors import InputFault
    from .hyperparameters import Hyperparameters
    from .model import Seq2Seq
    from .progress import Checkpoint, Finished, Progress, Started
    from .report import Evaluation
    from .risk import differing, edit_distance
    from .translation import Translation
    from .vocabulary import Vocabulary

_HOMES = {
    "Lexicon": "constraints",
    "Ensemble": "ensemble",
    "load": "ensemble",
    "InputFault": "errors",
    "Hyperparameters": "hyperparameters",
    "Seq2Seq": "model",
    "Checkpoint": "progress",
    "Finished": "progress",
    "Progress": "progress",
    "Started": "progress",
    "Evaluation": "report",
    "differing": "risk",
    "edit_distance": "risk",
    "Translation": "translation",
    "Vocabulary": "vocabulary",
}

__all__ = [
    "Checkpoint",
    "Ensemble",
    "Evaluation",
    "Finished",
    "Hyperparameters",
    "InputFault",
    "Lexicon",
    "Progress",
    "Seq2Seq",
    "Started",
    "Translation",
    "Vocabulary",
    "differing",
    "edit_distance",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    return found
