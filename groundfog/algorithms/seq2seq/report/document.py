"""A report: what there is to tell of a model, as a page and as the numbers behind it.

report.html     one file that loads nothing
report.json     the same, for programs
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hyperparameters import Hyperparameters
from .curves import Curves

if TYPE_CHECKING:
    from ..search.translation import Translator
    from .evaluation import Evaluation

PAGE, NUMBERS = "report.html", "report.json"


@dataclass(frozen=True)
class About:
    hyperparameters: dict[str, Any]
    models: int
    """More than one are an ensemble."""
    parameters: int
    source_tokens: int
    """In the vocabulary."""
    target_tokens: int

    @classmethod
    def of(cls, model: "Translator") -> "About":
        source, target = model.vocabularies
        models: Sequence[Any] = getattr(model, "models", (model,))
        parameters = sum(parameter.numel() for each in models for parameter in each.network.parameters())
        return cls(asdict(model.hyperparameters), len(models), parameters, len(source), len(target))

    @property
    def chosen(self) -> set[str]:
        """The hyperparameters that differ from their defaults."""
        defaults = {each.name: each.default for each in fields(Hyperparameters)}
        return {name for name, value in self.hyperparameters.items() if value != defaults.get(name)}


@dataclass(frozen=True)
class Report:
    about: About
    curves: Curves | None
    """None where the model came without them."""
    evaluation: "Evaluation | None"
    """None while the model is trained."""

    def document(self) -> dict[str, Any]:
        evaluation = None if self.evaluation is None else asdict(self.evaluation)
        if evaluation is not None:
            del evaluation["about"]
        return {
            "format": "groundfog-seq2seq-report 1",
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "about": asdict(self.about),
            "curves": None if self.curves is None else asdict(self.curves),
            "evaluation": evaluation,
        }

    def write(self, *folders: Path) -> None:
        """Each file is replaced in one step, so that whoever reads it while it changes reads a whole one."""
        from ..model import write_text
        from .page import page

        texts = {NUMBERS: json.dumps(_finite(self.document()), allow_nan=False) + "\n", PAGE: page(self)}
        for folder in folders:
            for name, text in texts.items():
                write_text(folder / name, text)


def curves_of(folder: Path) -> Curves | None:
    """Of the report that is in a folder."""
    try:
        document = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        return Curves.of(document["curves"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _finite(value: Any) -> Any:
    """JSON has no infinity: null stands for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, Iterable) and not isinstance(value, str) else value
