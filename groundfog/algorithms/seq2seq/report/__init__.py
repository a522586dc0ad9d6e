"""Pictures of a model: how it learnt, where it looks, what it gets wrong; a page and the numbers behind it.

analysis     outputs against right ones, token by token
evaluation   a model's outputs on pairs it has not seen, analysed
curves       the course of a training, from its records
reporter     a listener of the training that keeps the report up to date
document     the report: report.html and report.json
page         report.html; its parts in findings, charts, heat, scales, marks and style.css
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evaluation import Evaluation, evaluate
    from .heat import heat_map
    from .reporter import Reporter

_HOMES = {"Evaluation": "evaluation", "evaluate": "evaluation", "heat_map": "heat", "Reporter": "reporter"}

__all__ = ["Evaluation", "Reporter", "evaluate", "heat_map"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    return found
