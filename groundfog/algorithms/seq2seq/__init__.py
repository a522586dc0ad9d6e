"""Sequence to sequence: an encoder reads tokens, a decoder with attention says other tokens.

    from groundfog.algorithms.seq2seq import Seq2Seq

Importing this is light; torch comes with the first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.vocabulary import Vocabulary
    from .errors import InputFault
    from .hyperparameters import Hyperparameters
    from .learning.progress import Checkpoint, Finished, Progress, Started
    from .model import Seq2Seq
    from .report import Evaluation
    from .search.constraints import Lexicon
    from .search.ensemble import Ensemble, load
    from .search.risk import differing, edit_distance
    from .search.translation import Translation

_HOMES = {
    "Lexicon": "search.constraints",
    "Ensemble": "search.ensemble",
    "load": "search.ensemble",
    "InputFault": "errors",
    "Hyperparameters": "hyperparameters",
    "Seq2Seq": "model",
    "Checkpoint": "learning.progress",
    "Finished": "learning.progress",
    "Progress": "learning.progress",
    "Started": "learning.progress",
    "Evaluation": "report",
    "differing": "search.risk",
    "edit_distance": "search.risk",
    "Translation": "search.translation",
    "Vocabulary": "data.vocabulary",
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


EXTRA = ("torch", "numpy", "safetensors", "sacrebleu")
"""What the extra `seq2seq` of the package brings."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = importlib.import_module(f".{_HOMES[name]}", __name__)
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRA:
            raise
        said = f"{missing.name} is not installed: pip install 'groundfog[seq2seq]'"
        raise ModuleNotFoundError(said, name=missing.name) from None
    found = globals()[name] = getattr(home, name)
    return found
