"""A listener of the training that keeps report.html and report.json up to date while it runs.

They are written when it starts, at checkpoints, every half a minute before the first one, and at the end, when the
model has been asked some of the validation sources. Pictures stop no training: what goes wrong is told as a warning.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.batching import Corpus
from ..learning.progress import Listener, Progress, Record
from .curves import Curves
from .document import About, Report
from .evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from ..model import Seq2Seq

_KEPT = "curves.json"
_EVERY = 30.0
"""Seconds between two reports where there are no checkpoints yet."""
_SOURCES, _SECONDS, _SECONDS_WHEN_STOPPED = 500, 20.0, 5.0
"""How many sources the model is asked in the end, and for how long."""


class Reporter:
    def __init__(
        self, model: "Seq2Seq", folders: Sequence[Path], checkpoints: Path | str | None, then: Listener
    ) -> None:
        """:param checkpoints: the curves are kept there for whoever goes on with the training.
        :param then: is told every record first."""
        self._model, self._folders, self._then = model, folders, then
        self._kept = None if checkpoints is None else Path(checkpoints) / _KEPT
        self._curves = Curves() if self._kept is None else Curves.read(self._kept)
        self._written = -_EVERY

    def __call__(self, record: Record) -> None:
        self._then(record)
        self._curves.add(record)
        soon = bool(self._curves.checkpoints) or time.monotonic() - self._written < _EVERY
        if not (isinstance(record, Progress) and soon):
            self._try(self._write)

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, fault: BaseException | None, trace: object) -> None:
        """The page of a training that fails says why."""
        if fault is not None:
            self._curves.ended, self._curves.failed = str(fault), True
            self._try(self._write)

    def finish(self, validation: Corpus) -> None:
        """With what the model, as it is kept, says to some of the validation sources."""
        self._try(lambda: self._write(self._evaluated(validation)))

    def _evaluated(self, validation: Corpus) -> Evaluation:
        source, target = self._model.vocabularies
        pairs = (
            (source.decode(validation.sources[number]), target.decode(validation.targets[number]))
            for number in range(len(validation))
        )
        seconds = _SECONDS_WHEN_STOPPED if self._curves.stopped else _SECONDS
        return evaluate(self._model, pairs, most=_SOURCES, seconds=seconds)

    def _write(self, evaluation: Evaluation | None = None) -> None:
        from ..model import write_text

        if self._kept is not None:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._kept, self._curves.text())
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
        Report(About.of(self._model), self._curves, evaluation).write(*self._folders)
        self._written = time.monotonic()

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:
            warnings.warn(f"There is no new report: {type(error).__name__}: {error}", stacklevel=3)
