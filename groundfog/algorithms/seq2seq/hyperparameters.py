"""The hyperparameters of SageMaker's seq2seq: names, types, ranges and defaults as documented.

https://docs.aws.amazon.com/sagemaker/latest/dg/seq-2-seq-hyperparameters.html

A hyperparameter is a field of `Hyperparameters`: its default, what it means, and in its rule which values it takes, as
text (a training job's hyperparameters are strings) or as Python values (the library's options). All faults are told
together.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import InputFault
from .rules import Rule, choice, flag, integer, real


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    # The data
    max_seq_len_source: int = integer(100, "tokens of a source that are read; the rest is cut off")
    max_seq_len_target: int = integer(100, "tokens of a target that are learnt, and that are said at most")
    bucketing_enabled: bool = flag(True, "whether sources of about the same length share a batch")
    bucket_width: int = integer(10, "how far the lengths of the sources in a batch may lie apart")
    batch_size: int = integer(64, "pairs in a batch, which makes one update")

    # The network
    encoder_type: str = choice("what reads the source", "rnn", "cnn", "transformer")
    decoder_type: str = choice("what says the target", "rnn", "cnn", "transformer")
    num_embed_source: int = integer(512, "width of the vector that stands for a source token")
    num_embed_target: int = integer(512, "width of the vector that stands for a target token")
    num_layers_encoder: int = integer(1, "layers of the encoder, of any type")
    num_layers_decoder: int = integer(1, "layers of the decoder, of any type")
    rnn_cell_type: str = choice("cell of recurrent layers", "lstm", "gru")
    rnn_num_hidden: int = integer(
        1024, "width of recurrent layers; of a layer that reads from both sides, half is for each", least=2, even=True
    )
    rnn_residual_connections: bool = flag(False, "whether what enters a recurrent layer is added to what leaves it")
    rnn_first_residual_layer: int = integer(2, "the first recurrent layer, from 1 on, of which that is true")
    rnn_attention_type: str = choice(
        "how a recurrent decoder scores the places of the source that it may look at", "mlp", "dot", "bilinear", "fixed"
    )
    rnn_attention_num_hidden: int | None = integer(None, "width of that attention; none: rnn_num_hidden")
    rnn_attention_in_upper_layers: bool = flag(
        True, "whether a recurrent decoder's layers above the first are told where it looks, too"
    )
    rnn_decoder_state_init: str = choice(
        "where a recurrent decoder begins: at the encoder's last state, at their mean, at zero", "last", "avg", "zero"
    )
    cnn_num_hidden: int = integer(512, "width of convolutional layers")
    cnn_activation_type: str = choice("what each convolution ends in", "glu", "relu", "softrelu", "sigmoid", "tanh")
    cnn_kernel_width_encoder: int = integer(3, "tokens that a convolution of the encoder sees at once")
    cnn_kernel_width_decoder: int = integer(5, "tokens that a convolution of the decoder sees at once")

    # Regularisation and initialisation
    embed_dropout_source: float = real(
        0.0, "share of the numbers in embedded source tokens that training drops", least=0, most=1
    )
    embed_dropout_target: float = real(
        0.0, "share of the numbers in embedded target tokens that training drops", least=0, most=1
    )
    rnn_decoder_hidden_dropout: float = real(
        0.0, "share that training drops of what a recurrent decoder concludes at each step", least=0, most=1
    )
    cnn_hidden_dropout: float = real(0.0, "share that training drops between convolutional layers", least=0, most=1)
    weight_decay: float = real(0.0, "how strongly weights are drawn to zero", least=0)
    weight_init_type: str = choice(
        "how wide the range is that weights are drawn from: by layer, or one for all", "xavier", "uniform"
    )
    weight_init_scale: float = real(
        2.34, "for xavier: the bound is the root of this over a layer's width; for uniform: it is this"
    )
    xavier_factor_type: str = choice(
        "for xavier: which width, of what enters a layer, of what leaves it, or their mean", "in", "out", "avg"
    )

    # Learning
    loss_type: str = choice("what training makes small", "cross-entropy")
    optimizer_type: str = choice("how an update follows from gradients", "adam", "sgd", "rmsprop")
    learning_rate: float = real(0.0003, "how far an update goes", least=0)
    momentum: float | None = real(
        None, "for sgd: share of the update before that is added to an update", least=0, most=1
    )
    clip_gradient: float = real(1.0, "no number of a gradient goes beyond this; a negative one clips nothing")
    lr_scheduler_type: str = choice(
        "how the learning rate falls: when nothing improves, with the updates, to 0 at the end",
        "plateau_reduce",
        "fixed_rate_inv_t",
        "fixed_rate_inv_sqrt_t",
        "linear",
    )
    plateau_reduce_lr_factor: float = real(
        0.5, "for plateau_reduce: what the learning rate is multiplied with", least=0, most=1
    )
    plateau_reduce_lr_threshold: int = integer(3, "for plateau_reduce: checkpoints without a better one until it is")
    fixed_rate_lr_half_life: int = integer(10, "for the fixed rates: checkpoints until the learning rate is half")

    # How long, and which parameters are the best
    min_num_epochs: int = integer(0, "goes through the data that there are, however little is gained", least=0)
    max_num_epochs: int | None = integer(None, "goes through the data after which training ends")
    max_num_batches: int = integer(-1, "updates after which training ends; -1: no limit", least=1, also=-1)
    checkpoint_frequency_num_batches: int = integer(
        1000, "updates from one checkpoint, where the model is validated and kept, to the next"
    )
    checkpoint_threshold: int = integer(3, "checkpoints without a better one after which training ends")
    optimized_metric: str = choice(
        "by what the best checkpoint is chosen, on the validation data", "perplexity", "accuracy", "bleu"
    )
    training_metric: str = choice("what the log tells first of the training data", "perplexity", "accuracy")
    bleu_sample_size: int = integer(
        0,
        "validation sources that are translated at each checkpoint; -1: all; 0: all if BLEU decides, else none",
        least=0,
        also=-1,
    )
    beam_size: int = integer(5, "targets that search follows side by side; 1 is greedy")

    # Ours, beyond AWS's table; so are the encoder and decoder type transformer and the scheduler linear
    seed: int = integer(1, "the same seed makes the same model", least=0)
    precision: str = choice(
        "what the factors of products are rounded to, where the processor has it", "float32", "bfloat16"
    )
    input_feeding: bool = flag(True, "whether a recurrent decoder is told at each step what it concluded before")
    rnn_bidirectional_layers: int = integer(1, "how many of the encoder's first layers read from both sides")
    rnn_encoder_hidden_dropout: float = real(
        0.0, "share that training drops after each recurrent layer of the encoder", least=0, most=1
    )
    transformer_model_size: int = integer(256, "width of transformer layers", least=2, even=True)
    transformer_attention_heads: int = integer(4, "heads of each attention of a transformer")
    transformer_feed_forward_num_hidden: int = integer(1024, "width of the layer inside each block of a transformer")
    transformer_dropout: float = real(
        0.0, "share that training drops after each part of a block of a transformer", least=0, most=1
    )
    weight_tying: str = choice(
        "which matrices are one: none, target embedding and output, both embeddings, all three",
        "none",
        "trg_softmax",
        "src_trg",
        "src_trg_softmax",
    )
    label_smoothing: float = real(
        0.0, "share of the right token's worth that is spread over the vocabulary", least=0, most=0.999
    )
    warmup_num_batches: int = integer(0, "updates over which the learning rate rises from 0", least=0)
    average_checkpoints: int = integer(1, "checkpoints whose mean is validated and kept")
    joint_ngram_order: int = integer(
        0, "pieces of source and target that joint n-grams look at, and have a say beside the network; 0: none", least=0
    )
    joint_ngram_weight: float | None = real(
        None, "how much say they have; none: as much as does best on the validation data", least=0, most=1
    )
    shuffle_window: int = integer(1_000_000, "training pairs in memory at a time")
    num_processes: int = integer(1, "processes that share every batch")
    length_penalty_alpha: float = real(
        1.0, "search divides a target's log probability by its length to this power", least=0
    )
    beam_threshold: float = real(
        4.0, "search gives up a target whose log probability is so much below the best one's; 0: none", least=0
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Hyperparameters":
        """From options or from a job's strings.

        :raises InputFault: naming each hyperparameter that is unknown, out of its range, or at odds with the others.
        """
        rules = {each.name: each.metadata["rule"] for each in fields(cls)}
        faults = [_unexpected(name, rules) for name in given if name not in rules]
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name in rules and value is not None:
                try:
                    values[name] = rules[name].read(_bare(value))
                except (ValueError, KeyError, OverflowError, TypeError):
                    faults.append(f"{name} has to be {rules[name]}, not {_shown(value)}")
        made = cls(**values)
        faults += made._conflicts()
        if faults:
            raise InputFault("; ".join(faults))
        return made

    def _conflicts(self) -> list[str]:
        faults = []
        if self.momentum is not None and self.optimizer_type != "sgd":
            faults.append(f"momentum is for the optimizer_type sgd only; leave it out with {self.optimizer_type}")
        if self.max_num_epochs is not None and self.max_num_epochs < self.min_num_epochs:
            faults.append(f"max_num_epochs ({self.max_num_epochs}) is below min_num_epochs ({self.min_num_epochs})")
        if self.lr_scheduler_type == "linear" and self.max_num_batches == -1 and self.max_num_epochs is None:
            faults.append("lr_scheduler_type linear ends at 0, so it needs max_num_batches or max_num_epochs")
        if self.joint_ngram_weight is not None and not self.joint_ngram_order:
            faults.append("joint_ngram_weight is for joint n-grams: give joint_ngram_order, too, or leave it out")
        faults += self._conflicts_of_shapes()
        if self.clip_gradient == 0:
            faults.append(
                "clip_gradient 0 leaves nothing of any gradient; give a number above 0, or -1 for no clipping"
            )
        if not self.weight_init_scale or (self.weight_init_type == "xavier" and self.weight_init_scale < 0):
            faults.append("weight_init_scale has to be a number above 0 (with weight_init_type uniform: other than 0)")
        return faults

    def _conflicts_of_shapes(self) -> list[str]:
        faults = []
        if self.encoder_type == "rnn" and self.rnn_bidirectional_layers > self.num_layers_encoder:
            faults.append(
                f"rnn_bidirectional_layers ({self.rnn_bidirectional_layers}) is above"
                f" num_layers_encoder ({self.num_layers_encoder})"
            )
        heads, size = self.transformer_attention_heads, self.transformer_model_size
        if "transformer" in (self.encoder_type, self.decoder_type) and size % heads:
            faults.append(
                f"transformer_model_size ({size}) has to be a multiple of transformer_attention_heads ({heads})"
            )
        name = {"rnn": "rnn_num_hidden", "cnn": "cnn_num_hidden"}.get(self.decoder_type, "transformer_model_size")
        width, embedded = getattr(self, name), self.num_embed_target
        if "softmax" in self.weight_tying and embedded != width:
            faults.append(
                f"weight_tying {self.weight_tying} needs num_embed_target ({embedded}) to be {name} ({width})"
            )
        if "src" in self.weight_tying and self.num_embed_source != embedded:
            faults.append(
                f"weight_tying {self.weight_tying} needs num_embed_source ({self.num_embed_source})"
                f" to be num_embed_target ({embedded})"
            )
        return faults

    @property
    def attention_width(self) -> int:
        return self.rnn_attention_num_hidden or self.rnn_num_hidden


def _bare(value: Any) -> Any:
    """SDK frameworks send hyperparameters as JSON: "\\"adam\\"" means adam."""
    if isinstance(value, str) and value.startswith('"'):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _shown(value: Any) -> str:
    return repr(value[:50] if isinstance(value, str) else value)[:60]


def _unexpected(name: str, rules: Mapping[str, Rule]) -> str:
    near = difflib.get_close_matches(name, rules, n=1)
    meant = f"; did you mean {near[0]}, {rules[near[0]]}?" if near else ""
    return f"Additional properties are not allowed ('{name[:100]}' was unexpected{meant})"
