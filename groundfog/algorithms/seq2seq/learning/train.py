"""The training loop: epochs of batches, a checkpoint every so many of them, and the best parameters kept.

    run            what happens, from the first batch or from where a checkpoint left off
    _update        a batch, by one process or several (processes.py)
    _checkpoint    scores on the validation data, whether they are the best, what that does to the learning rate

All that decides how a training goes on stands in its `Position` and in the tensors beside it (checkpoint.py).
"""

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.batching import Batch, Corpus, epoch_batches
from ..data.vocabulary import Vocabulary
from ..data.windows import Windows
from ..errors import InputFault
from ..hyperparameters import Hyperparameters
from ..kernels.training import note_precision
from ..network.network import Network
from ..search.beam import search_all
from . import checkpoint
from .averaging import Average
from .checkpoint import Position
from .learner import States
from .optimizer import Schedule
from .processes import Team
from .progress import Checkpoint, Finished, Listener, Progress, Started
from .scores import Tally, bleu, chrf, loss_of

REPORT_EVERY = 50
"""Batches between two progress reports."""
_VALIDATION_BATCH = 128
_EXPLODED = 10_000
"""Nats per token from which no training comes back: guessing in a vocabulary of a million costs 14."""


@dataclass(frozen=True)
class Data:
    train: Windows
    validation: Corpus
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary


@dataclass(frozen=True)
class Surroundings:
    listener: Listener
    stop: threading.Event
    """Set from outside: write a checkpoint and return."""
    checkpoints: Path | None
    keep: Callable[[Network], None]
    """Called whenever the parameters are the best so far, and with what there is where none were measured."""


class Training:
    def __init__(self, network: Network, options: Hyperparameters, data: Data, around: Surroundings) -> None:
        self.network, self.options, self.data, self.around = network, options, data, around
        self._schedule = Schedule(options, self._last_update())
        self._average = Average(network, options.average_checkpoints)
        self._position = Position()
        self._best: dict[str, Tensor] = {}
        self._reported = (time.perf_counter(), 0)

    def run(self) -> Finished:
        """In the end the network has the best parameters, unless it was told to stop before any were measured."""
        tokens = len(self.data.source_vocabulary), len(self.data.target_vocabulary)
        with torch.random.fork_rng():
            torch.manual_seed(self.options.seed)
            states = self._resume()
            if self.options.precision == "bfloat16":
                note_precision(self.network.device)
            with Team(self.network, self.options, tokens) as team:
                team.restore(states)
                stopped = self._learn(team)
        return self._finish("Told to stop" if stopped else self._reason_to_end() or "", stopped=stopped)

    def _learn(self, team: Team) -> bool:
        """Whether it was told to stop, which it is at once: whoever stops a training does not wait for a validation."""
        self.around.listener(self._started())
        for corpus, numbers in self._batches():
            if self.around.stop.is_set():
                self._save(team)
                return True
            self._update(team, corpus, numbers)
            if self._position.updates % REPORT_EVERY == 0:
                self._report()
            if self._position.updates % self.options.checkpoint_frequency_num_batches == 0:
                self._checkpoint(team)
        if self._position.since.tokens:
            self._checkpoint(team)
        return False

    def _started(self) -> Started:
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return Started(self.data.train.pairs, parameters, self.options.optimized_metric, self._position.updates)

    def _batches(self) -> Iterator[tuple[Corpus, np.ndarray]]:
        """Numbers of pairs of a corpus, epoch after epoch, from where the position is.

        Who draws a batch counts it before drawing the next.
        """
        position = self._position
        while not self._reason_to_end():
            for window, corpus in enumerate(self.data.train.epoch()):
                if window < position.window:
                    continue
                for numbers in self._plan(corpus, position.epoch, window)[position.batch :]:
                    yield corpus, numbers
                    if self._reason_to_end():
                        return
                position.window, position.batch = window + 1, 0
            position.epoch, position.window = position.epoch + 1, 0

    def _plan(self, corpus: Corpus, epoch: int, window: int) -> list[np.ndarray]:
        options = self.options
        width = options.bucket_width if options.bucketing_enabled else None
        return epoch_batches(
            corpus, options.batch_size, bucket_width=width, seed=options.seed, epoch=epoch, window=window
        )

    def _last_update(self) -> int | None:
        """After how many updates the training ends at the latest, where the schedule has to know it."""
        options = self.options
        if options.lr_scheduler_type != "linear":
            return None
        limits = [options.max_num_batches] if options.max_num_batches > 0 else []
        if options.max_num_epochs is not None and self.data.train.whole:
            # Which pairs share a batch changes with the epoch, the number of batches does not.
            (corpus,) = self.data.train.epoch()
            limits.append(options.max_num_epochs * len(self._plan(corpus, 0, 0)))
        if not limits:
            raise InputFault(
                "lr_scheduler_type linear has to know when the training ends, and with more pairs than shuffle_window "
                f"({options.shuffle_window}) max_num_epochs does not say it: give max_num_batches"
            )
        return min(limits)

    def _reason_to_end(self) -> str | None:
        options, position = self.options, self._position
        if position.not_improved >= options.checkpoint_threshold and position.epoch >= options.min_num_epochs:
            return "Training stopped"
        if position.updates == options.max_num_batches or position.epoch == options.max_num_epochs:
            return f"Maximum # of updates ({options.max_num_batches}) or epochs ({options.max_num_epochs}) reached."
        return None

    def _update(self, team: Team, corpus: Corpus, numbers: np.ndarray) -> None:
        position, started = self._position, time.perf_counter()
        told = team.update(corpus, numbers, self._schedule.rate(position.updates), position.updates)
        position.batch += 1
        position.updates += 1
        position.samples += len(numbers)
        self._refuse_nonsense("loss", told)
        position.since.include(told)
        position.seconds += time.perf_counter() - started

    def _refuse_nonsense(self, name: str, told: Tally) -> None:
        if math.isfinite(told.loss) and told.loss < _EXPLODED * told.tokens:
            return
        updates, options = self._position.updates, self.options
        of_weights = f"lower weight_init_scale (now {options.weight_init_scale:g})"
        if name == "loss" and updates == 1:
            # No update was made yet: the weights are as they began.
            raise InputFault(f"The loss is {told.loss:g} at the first batch: {of_weights}")
        rate = self._schedule.rate(updates - 1)
        advice = of_weights if 0 <= options.clip_gradient <= 1 else "set clip_gradient to 1"
        raise InputFault(
            f"The {name} became {told.loss:g} at update {updates}: lower learning_rate (now {rate:g}) or {advice}"
        )

    def _report(self) -> None:
        now, position = time.perf_counter(), self._position
        then, samples = self._reported
        speed = (position.samples - samples) / max(now - then, 1e-9)
        self._reported = now, position.samples
        self.around.listener(
            Progress(
                position.epoch,
                position.updates,
                speed,
                position.since.perplexity,
                position.since.accuracy,
                self._schedule.rate(position.updates),
                self.options.training_metric,
                position.since.tokens,
            )
        )

    def _checkpoint(self, team: Team) -> None:
        started, position = time.perf_counter(), self._position
        # The gradients of the last batch need not be in memory beside what is done here.
        self.network.zero_grad()
        with self._average.of_checkpoint():
            metrics, outputs = self._validate()
            improved = self._judge(metrics)
        self._schedule.checkpoint(improved)
        position.seconds += time.perf_counter() - started
        metrics["time-elapsed"] = position.seconds
        self.around.listener(self._checkpoint_record(metrics, outputs, improved))
        position.since, position.seconds_at_checkpoint = Tally(), position.seconds
        self._save(team)
        # Validation is no training time: the speed is told without it.
        self._reported = (self._reported[0] + time.perf_counter() - started, self._reported[1])

    def _judge(self, metrics: dict[str, float]) -> bool:
        """Whether this checkpoint is the best so far; if so, its parameters are kept."""
        options, position = self.options, self._position
        position.checkpoint += 1
        value = metrics[f"{options.optimized_metric}-val"]
        improved = position.best is None or (
            value < position.best if options.optimized_metric == "perplexity" else value > position.best
        )
        if improved:
            position.best, position.best_checkpoint = value, position.checkpoint
            self._best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
            self.around.keep(self.network)
        position.not_improved = 0 if improved else position.not_improved + 1
        return improved

    def _checkpoint_record(self, metrics: dict[str, float], outputs: list[str] | None, improved: bool) -> Checkpoint:
        position = self._position
        return Checkpoint(
            number=position.checkpoint,
            epoch=position.epoch,
            updates=position.updates,
            samples=position.samples,
            seconds=position.seconds - position.seconds_at_checkpoint,
            metrics=metrics,
            optimized_metric=self.options.optimized_metric,
            improved=improved,
            best=position.best or 0.0,
            not_improved=position.not_improved,
            threshold=self.options.checkpoint_threshold,
            learning_rate=self._schedule.rate(position.updates),
            tokens=position.since.tokens,
            outputs=outputs,
        )

    def _validate(self) -> tuple[dict[str, float], list[str] | None]:
        """The metrics by their names in the metrics file; what the sampled sources became, where they are decoded."""
        since, options = self._position.since, self.options
        held = tally(self.network, self.data.validation)
        self._refuse_nonsense("validation loss", held)
        metrics = {
            "perplexity-train": since.perplexity,
            "accuracy-train": since.accuracy,
            "perplexity-val": held.perplexity,
            "accuracy-val": held.accuracy,
        }
        if self.network.device.type == "cuda":
            metrics["used-gpu-memory"] = torch.cuda.max_memory_allocated() / (1 << 20)
        sample = decoding_sample(self.data.validation, options)
        if sample is None:
            return metrics, None
        started = time.perf_counter()
        outputs = self._decode(sample)
        seconds = time.perf_counter() - started
        references = [self._text(self.data.validation.targets[number]) for number in sample]
        metrics["bleu-val"], metrics["chrf-val"] = bleu(outputs, references), chrf(outputs, references)
        metrics["avg-sec-per-sent-val"] = seconds / len(sample)
        return metrics, outputs

    def _decode(self, sample: list[int]) -> list[str]:
        sources = [self.data.validation.sources[number] for number in sample]
        self.network.eval()
        options = self.options
        found = search_all(
            self.network,
            sources,
            width=options.beam_size,
            longest=options.max_seq_len_target,
            alpha=options.length_penalty_alpha,
            threshold=options.beam_threshold or math.inf,
        )
        self.network.train()
        return [self._text(hypothesis.ids) for hypothesis in found]

    def _text(self, ids: list[int] | np.ndarray) -> str:
        return " ".join(self.data.target_vocabulary.decode(ids))

    def _finish(self, reason: str, *, stopped: bool) -> Finished:
        position = self._position
        if self._best:
            self.network.load_state_dict(self._best)
        else:
            self.around.keep(self.network)
        finished = Finished(
            reason=reason,
            optimized_metric=self.options.optimized_metric,
            updates=position.updates,
            best_checkpoint=position.best_checkpoint,
            best=position.best or 0.0,
            stopped=stopped,
        )
        self.around.listener(finished)
        return finished

    def _save(self, team: Team) -> None:
        if self.around.checkpoints is not None:
            self._position.rate_factor, self._position.rate_waited = self._schedule.factor, self._schedule.waited
            snapshot = checkpoint.take(self.network, self._best, self._average.recent, team.states(), self._position)
            checkpoint.write(self.around.checkpoints, snapshot, self.options, self.data.train.pairs)

    def _resume(self) -> States:
        """What the optimizer knew; nothing where the training begins."""
        self.network.train()
        if self.around.checkpoints is None:
            return {}
        snapshot = checkpoint.read(self.around.checkpoints, self.options, self.data.train.pairs)
        if snapshot is None:
            return {}
        self._position = snapshot.position
        self._schedule.factor, self._schedule.waited = snapshot.position.rate_factor, snapshot.position.rate_waited
        device = self.network.device
        self._average.recent.extend({name: each.to(device) for name, each in past.items()} for past in snapshot.recent)
        self._reported = time.perf_counter(), snapshot.position.samples
        if snapshot.best:
            self._best = {name: tensor.to(device) for name, tensor in snapshot.best.items()}
            self.network.load_state_dict(self._best)
            self.around.keep(self.network)
        checkpoint.restore(snapshot, self.network)
        return snapshot.optimizer


@torch.inference_mode()
def tally(network: Network, corpus: Corpus) -> Tally:
    """Perplexity and accuracy over a corpus, without dropout."""
    network.eval()
    counted = Tally()
    for numbers in epoch_batches(corpus, _VALIDATION_BATCH, bucket_width=10, seed=0, epoch=0):
        batch = Batch.of(corpus, numbers).to(network.device)
        scores = network(batch)
        counted.add(loss_of(scores, batch.outputs).item(), scores, batch.outputs)
    network.train()
    return counted


def decoding_sample(validation: Corpus, options: Hyperparameters) -> list[int] | None:
    """Which validation pairs are translated at each checkpoint; None where none are.

    They are if BLEU decides, or if bleu_sample_size asks for it; it is all of them if that is 0 or -1.
    """
    if options.optimized_metric != "bleu" and options.bleu_sample_size == 0:
        return None
    if options.bleu_sample_size <= 0 or options.bleu_sample_size >= len(validation):
        return list(range(len(validation)))
    return random.Random(42).sample(range(len(validation)), options.bleu_sample_size)
