"""What training tells as it goes: records, and the log lines of Sockeye, the origin of SageMaker's seq2seq."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Started:
    pairs: int
    parameters: int
    optimized_metric: str
    updates: int
    """Above 0 where training goes on from a checkpoint."""


@dataclass(frozen=True)
class Progress:
    """Every 50 batches."""

    epoch: int
    updates: int
    pairs_per_second: float
    perplexity: float
    """Of the training data since the last checkpoint, as is the accuracy."""
    accuracy: float
    learning_rate: float
    training_metric: str = "perplexity"
    tokens: int = 0
    """Of the training data since the last checkpoint, so that the means since then can be taken apart."""


@dataclass(frozen=True)
class Checkpoint:
    """Every checkpoint_frequency_num_batches batches, and at the end."""

    number: int
    epoch: int
    updates: int
    samples: int
    seconds: float
    """Since the checkpoint before."""
    metrics: dict[str, float]
    """By the names of the metrics file: perplexity-train, accuracy-val, bleu-val and so on."""
    optimized_metric: str
    improved: bool
    best: float
    not_improved: int
    """Checkpoints since the best one."""
    threshold: int
    learning_rate: float
    tokens: int = 0
    """Of the training data since the checkpoint before."""
    outputs: list[str] | None = field(default=None, repr=False)
    """What the sampled validation sources were translated to, where the metrics include BLEU."""

    @property
    def line(self) -> str:
        """Of the metrics file."""
        return f"{self.number}\t" + "\t".join(f"{name}={value:.6f}" for name, value in sorted(self.metrics.items()))


@dataclass(frozen=True)
class Finished:
    reason: str
    optimized_metric: str
    updates: int
    best_checkpoint: int
    """0 where there was none."""
    best: float
    stopped: bool = False
    """Told to stop; it can go on from its checkpoint."""


@dataclass(frozen=True)
class NgramsLearnt:
    """Before the network learns, if joint_ngram_order is not 0."""

    pairs: int
    """All; those that cannot be cut into pieces are among them."""
    left_out: int
    pieces: int
    ngrams: int
    seconds: float


@dataclass(frozen=True)
class NgramsWeighed:
    """After the network has learnt."""

    weight: float
    sources: int
    """Of the validation data, asked."""
    right: int
    """Those that network and n-grams together say right."""
    right_alone: int
    """Those that the network says right."""


Record = Started | Progress | Checkpoint | Finished | NgramsLearnt | NgramsWeighed
Listener = Callable[[Record], None]


def log_lines(record: Record) -> Iterator[str]:
    match record:
        case Started():
            yield "Training started." if not record.updates else f"Training goes on from update {record.updates}."
            yield f"Early stopping by optimizing '{record.optimized_metric}'"
        case Progress():
            first, second = sorted(("perplexity", "accuracy"), key=lambda name: name != record.training_metric)
            yield (
                f"Epoch[{record.epoch}] Batch [{record.updates}]\tSpeed: {record.pairs_per_second:.2f} samples/sec\t"
                f"{first}={getattr(record, first):f}\t{second}={getattr(record, second):f}"
            )
        case Checkpoint():
            yield from _checkpoint_lines(record)
        case NgramsLearnt() | NgramsWeighed():
            yield ngram_line(record)
        case Finished():
            yield record.reason
            if record.stopped:
                yield "Training stopped"
            elif record.best_checkpoint:
                yield (
                    f"Training finished. Best checkpoint: {record.best_checkpoint}. "
                    f"Best validation {record.optimized_metric}: {record.best:.6f}"
                )


def ngram_line(record: NgramsLearnt | NgramsWeighed) -> str:
    match record:
        case NgramsLearnt():
            left_out = f" ({record.left_out:,} of them cannot be cut)" if record.left_out else ""
            return (
                f"Joint n-grams: {record.ngrams:,}, made of {record.pieces:,} pieces, from {record.pairs:,} pairs"
                f"{left_out}, in {record.seconds:.1f} s"
            )
        case NgramsWeighed():
            return (
                f"Joint n-grams: a weight of {record.weight:g}; of {record.sources:,} validation sources"
                f" {record.right:,} are said entirely right, {record.right_alone:,} by the network alone"
            )


def _checkpoint_lines(record: Checkpoint) -> Iterator[str]:
    yield (
        f"Checkpoint [{record.number}]\tUpdates={record.updates} Epoch={record.epoch} Samples={record.samples} "
        f"Time-cost={record.seconds:.3f}"
    )
    for kind, title in (("train", "Train"), ("val", "Validation")):
        for name in ("perplexity", "accuracy", "bleu"):
            if f"{name}-{kind}" in record.metrics:
                yield f"Checkpoint [{record.number}]\t{title}-{name}={record.metrics[f'{name}-{kind}']:f}"
    decoded = {name: record.metrics[name] for name in _DECODER_METRICS if name in record.metrics}
    if decoded:
        yield f"Checkpoint [{record.number}]: Decoder finished ({decoded})"
    if record.improved:
        yield f"Validation-{record.optimized_metric} improved to {record.best:f}."
        return
    yield f"Validation-{record.optimized_metric} has not improved, best so far: {record.best:f}"
    yield f"Model has not improved for {record.not_improved} checkpoints"
    if record.not_improved >= record.threshold:
        yield f"Maximum number of not improved checkpoints ({record.threshold}) reached: {record.not_improved}"


_DECODER_METRICS = ("bleu-val", "chrf-val", "avg-sec-per-sent-val")
