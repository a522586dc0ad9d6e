"""The course of a training, from the records that it tells: what its charts are drawn from.

The means of the training data in a record are since the last checkpoint; here each point is the mean of what came
since the point before, so that a curve does not sag and jump. The points are kept from one start of a job to the
next, and what a job that died had told beyond the update from which it goes on is forgotten.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..learning.progress import Checkpoint, Finished, Progress, Record, Started

_MOST_POINTS = 600
_HIGHEST_LOSS = 50.0
"""Nats a token; what is worse is drawn there."""


@dataclass(frozen=True)
class TrainingPoint:
    """Means over the training tokens since the point before."""

    updates: int
    tokens: int
    loss: float
    """Nats a token."""
    accuracy: float
    learning_rate: float

    def joined(self, later: "TrainingPoint") -> "TrainingPoint":
        tokens = self.tokens + later.tokens
        share = later.tokens / max(tokens, 1)
        return replace(
            later,
            tokens=tokens,
            loss=self.loss + (later.loss - self.loss) * share,
            accuracy=self.accuracy + (later.accuracy - self.accuracy) * share,
        )


@dataclass(frozen=True)
class CheckpointPoint:
    number: int
    updates: int
    epoch: int
    seconds: float
    """Of training, since the checkpoint before."""
    learning_rate: float
    improved: bool
    metrics: dict[str, float | None]
    """By the names of the metrics file; None where the number is none or infinite."""

    @property
    def loss(self) -> float | None:
        perplexity = self.metrics.get("perplexity-val")
        return None if perplexity is None else math.log(max(perplexity, 1.0))


@dataclass
class Curves:
    pairs: int = 0
    parameters: int = 0
    optimized_metric: str = "perplexity"
    training: list[TrainingPoint] = field(default_factory=list)
    checkpoints: list[CheckpointPoint] = field(default_factory=list)
    window: tuple[int, float, float] = (0, 0.0, 0.0)
    """Since the last checkpoint and in `training` already: tokens, their loss, the right ones."""
    ended: str | None = None
    """Why; None while it trains."""
    stopped: bool = False
    failed: bool = False

    def add(self, record: Record) -> None:
        match record:
            case Started():
                self.pairs, self.parameters = record.pairs, record.parameters
                self.optimized_metric = record.optimized_metric
                self.ended, self.stopped, self.failed = None, False, False
                self._forget_after(record.updates)
            case Progress():
                self._extend(record.updates, record.tokens, record.perplexity, record.accuracy, record.learning_rate)
            case Checkpoint():
                self._close(record)
            case Finished():
                self.ended, self.stopped = record.reason, record.stopped

    @property
    def best(self) -> CheckpointPoint | None:
        return next((point for point in reversed(self.checkpoints) if point.improved), None)

    @property
    def updates(self) -> int:
        return max([point[-1].updates for point in (self.training, self.checkpoints) if point], default=0)

    def _forget_after(self, updates: int) -> None:
        if self.updates > updates:
            self.training = [point for point in self.training if point.updates <= updates]
            self.checkpoints = [point for point in self.checkpoints if point.updates <= updates]
            self.window = (0, 0.0, 0.0)

    def _extend(self, updates: int, tokens: int, perplexity: float, accuracy: float, learning_rate: float) -> None:
        before, loss_before, right_before = self.window if self.window[0] <= tokens else (0, 0.0, 0.0)
        if tokens == before or not math.isfinite(accuracy):
            return
        loss = min(math.log(perplexity) if perplexity >= 1 else _HIGHEST_LOSS, _HIGHEST_LOSS) * tokens
        new, right = tokens - before, accuracy * tokens
        mean, share = max((loss - loss_before) / new, 0.0), min(max((right - right_before) / new, 0.0), 1.0)
        self.training.append(TrainingPoint(updates, new, mean, share, learning_rate))
        self.window = (tokens, loss, right)
        if len(self.training) > _MOST_POINTS:
            pairs = zip(self.training[::2], [*self.training[1::2], None], strict=False)
            self.training = [first.joined(second) if second else first for first, second in pairs]

    def _close(self, record: Checkpoint) -> None:
        told = record.metrics
        if "perplexity-train" in told and "accuracy-train" in told:
            self._extend(
                record.updates, record.tokens, told["perplexity-train"], told["accuracy-train"], record.learning_rate
            )
        self.window = (0, 0.0, 0.0)
        metrics = {name: value if math.isfinite(value) else None for name, value in told.items()}
        # A job that died right here comes to the same checkpoint again.
        self.checkpoints = [point for point in self.checkpoints if point.number < record.number]
        self.checkpoints.append(
            CheckpointPoint(
                record.number,
                record.updates,
                record.epoch,
                record.seconds,
                record.learning_rate,
                record.improved,
                metrics,
            )
        )

    def text(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def read(cls, file: Path) -> "Curves":
        """What `text` wrote there; empty where nothing is or what is there is of no use, for pictures stop no job."""
        try:
            return cls.of(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Curves":
        training = [TrainingPoint(**point) for point in document["training"]]
        checkpoints = [CheckpointPoint(**point) for point in document["checkpoints"]]
        tokens, loss, right = document["window"]
        return cls(**{**document, "training": training, "checkpoints": checkpoints, "window": (tokens, loss, right)})
