"""Every kind of network against its formulas, written down here once more for one sentence and one place at a time."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from groundfog.algorithms.seq2seq.data.batching import Batch, Corpus
from groundfog.algorithms.seq2seq.data.vocabulary import BEGIN, END
from groundfog.algorithms.seq2seq.hyperparameters import Hyperparameters
from groundfog.algorithms.seq2seq.network.network import Network, initialise

Vector = np.ndarray
Weights = dict[str, np.ndarray]

SIZES = {
    "rnn_num_hidden": 8,
    "num_embed_source": 5,
    "num_embed_target": 6,
    "cnn_num_hidden": 7,
    "transformer_model_size": 12,
    "transformer_attention_heads": 3,
    "transformer_feed_forward_num_hidden": 9,
}
PAIRS = [([4, 5, 6], [7, 8]), ([6], [4, 4, 4, 9, 5]), ([5, 4, 4, 6, 5, 9], [8]), ([9, 9], [])]


def sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def softmax(x: Vector) -> Vector:
    return np.exp(x) / np.exp(x).sum()


def linear(w: Weights, name: str, x: Vector) -> Vector:
    return w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0)


# Recurrent


def encoder_cell(w: Weights, at: str, way: str, x: Vector, state: list[Vector]) -> list[Vector]:
    """A cell of torch's: input, forget, candidate, output; reset, update, candidate."""
    of_x = w[f"{at}.weight_ih_l0{way}"] @ x + w[f"{at}.bias_ih_l0{way}"]
    of_h = w[f"{at}.weight_hh_l0{way}"] @ state[0] + w[f"{at}.bias_hh_l0{way}"]
    if len(state) == 2:
        enter, forget, candidate, leave = np.split(of_x + of_h, 4)
        cell = sigmoid(forget) * state[1] + sigmoid(enter) * np.tanh(candidate)
        return [sigmoid(leave) * np.tanh(cell), cell]
    return gru(of_x, of_h, state[0])


def gru(of_x: Vector, of_h: Vector, before: Vector) -> list[Vector]:
    (reset, update, new), (reset_h, update_h, new_h) = np.split(of_x, 3), np.split(of_h, 3)
    candidate = np.tanh(new + sigmoid(reset + reset_h) * new_h)
    keep = sigmoid(update + update_h)
    return [keep * before + (1 - keep) * candidate]


def decoder_cell(w: Weights, at: str, x: Vector, fed: Vector, state: list[Vector]) -> list[Vector]:
    of_x = linear(w, f"{at}.from_input", x)
    if len(state) == 2:
        gates = of_x + w[f"{at}.from_step.weight"] @ np.concatenate([fed, state[0]])
        enter, forget, leave, candidate = np.split(gates, 4)
        cell = sigmoid(forget) * state[1] + sigmoid(enter) * np.tanh(candidate)
        return [sigmoid(leave) * np.tanh(cell), cell]
    if len(fed):
        of_x = of_x + linear(w, f"{at}.from_fed", fed)
    return gru(of_x, linear(w, f"{at}.from_hidden", state[0]), state[0])


def read_rnn(w: Weights, options: Hyperparameters, source: list[int]) -> tuple[list[Vector], list[Vector]]:
    """The states and the last one."""
    parts = 2 if options.rnn_cell_type == "lstm" else 1
    states, last = [w["encoder.embedding.weight"][token] for token in source], []
    for number in range(options.num_layers_encoder):
        ways = ["", "_reverse"] if number < options.rnn_bidirectional_layers else [""]
        width = options.rnn_num_hidden // len(ways)
        outputs, ends = [], []
        for way in ways:
            state, said = [np.zeros(width)] * parts, []
            for x in reversed(states) if way else states:
                state = encoder_cell(w, f"encoder.layers.{number}", way, x, state)
                said.append(state[0])
            outputs.append(said[::-1] if way else said)
            ends.append(state)
        before, states = states, [np.concatenate(together) for together in zip(*outputs, strict=True)]
        last = [np.concatenate([end[part] for end in ends]) for part in range(parts)]
        if options.rnn_residual_connections and number + 1 >= options.rnn_first_residual_layer:
            states = [x + y for x, y in zip(before, states, strict=True)]
    return states, last


def score(w: Weights, options: Hyperparameters, query: Vector, state: Vector) -> float:
    at = "decoder.attention"
    match options.rnn_attention_type:
        case "mlp":
            together = np.tanh(linear(w, f"{at}.of_query", query) + linear(w, f"{at}.of_key", state))
            return float(linear(w, f"{at}.direction", together)[0])
        case "dot":
            projected = [
                linear(w, f"{at}.{name}", x) if f"{at}.{name}.weight" in w else x
                for name, x in (("of_query", query), ("of_key", state))
            ]
            return float(projected[0] @ projected[1])
        case _:
            return float(query @ linear(w, f"{at}.of_key", state))


def say_rnn(
    w: Weights, options: Hyperparameters, states: list[Vector], last: list[Vector], inputs: list[int]
) -> list[Vector]:
    layers, hidden = options.num_layers_decoder, options.rnn_num_hidden
    parts = 2 if options.rnn_cell_type == "lstm" else 1
    begins = itertools.count()
    ends = {
        "last": [last[min(part, len(last) - 1)] for part in range(parts)],
        "avg": [sum(states) / len(states)] * parts,
    }
    now = [
        [
            np.zeros(hidden)
            if options.rnn_decoder_state_init == "zero"
            else np.tanh(linear(w, f"decoder.begin.{next(begins)}", ends[options.rnn_decoder_state_init][part]))
            for part in range(parts)
        ]
        for _ in range(layers)
    ]
    fed, scores, nothing = np.zeros(hidden), [], np.zeros(0)
    for token in inputs:
        x = w["decoder.embedding.weight"][token]
        context: Vector | None = None
        for number in range(layers):
            above = number > 0 and options.rnn_attention_in_upper_layers
            told = fed if number == 0 and options.input_feeding else nothing
            if above and context is not None:
                told = context
            now[number] = decoder_cell(w, f"decoder.cells.{number}", x, told, now[number])
            residual = options.rnn_residual_connections and 0 < number >= options.rnn_first_residual_layer - 1
            x = now[number][0] + x if residual else now[number][0]
            if number == 0 or not options.rnn_attention_in_upper_layers:
                weights = np.eye(len(states))[-1]
                if options.rnn_attention_type != "fixed":
                    weights = softmax(np.array([score(w, options, x, state) for state in states]))
                context = sum(weight * state for weight, state in zip(weights, states, strict=True))
        assert context is not None
        fed = np.tanh(linear(w, "decoder.combine_hidden", x) + linear(w, "decoder.combine_context", context))
        scores.append(linear(w, "decoder.output", fed))
    return scores


# Convolutional

ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {
    "glu": lambda x: np.split(x, 2)[0] * sigmoid(np.split(x, 2)[1]),
    "relu": lambda x: np.maximum(x, 0),
    "softrelu": lambda x: np.log(1 + np.exp(x)),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}


def enter_cnn(w: Weights, side: str, tokens: list[int]) -> list[Vector]:
    embedding, positions = w[f"{side}.embedding.weight"], w[f"{side}.entrance.positions.weight"]
    return [
        linear(w, f"{side}.entrance.channels", embedding[token] + positions[place])
        for place, token in enumerate(tokens)
    ]


def convolved(w: Weights, at: str, activation: str, states: list[Vector], before: int) -> list[Vector]:
    """Each place sees `before` places in front of it, and as many behind it as the kernel still has."""
    kernel, found = w[f"{at}.convolution.weight"], []
    for place in range(len(states)):
        total = w[f"{at}.convolution.bias"].copy()
        for tap in range(kernel.shape[2]):
            if 0 <= place - before + tap < len(states):
                total += kernel[:, :, tap] @ states[place - before + tap]
        found.append(ACTIVATIONS[activation](total))
    return found


def read_cnn(w: Weights, options: Hyperparameters, source: list[int]) -> tuple[list[Vector], list[Vector]]:
    states = enter_cnn(w, "encoder", source)
    for number in range(options.num_layers_encoder):
        before = (options.cnn_kernel_width_encoder - 1) // 2
        seen = convolved(w, f"encoder.layers.{number}", options.cnn_activation_type, states, before)
        states = [(x + y) / np.sqrt(2) for x, y in zip(states, seen, strict=True)]
    return states, [states[-1]]


def say_cnn(
    w: Weights, options: Hyperparameters, sources: list[Vector], last: list[Vector], inputs: list[int]
) -> list[Vector]:
    states = enter_cnn(w, "decoder", inputs)
    for number in range(options.num_layers_decoder):
        before = options.cnn_kernel_width_decoder - 1
        seen = convolved(w, f"decoder.layers.{number}", options.cnn_activation_type, states, before)
        found = [attended(w, f"decoder.attention.{number}", 1, y, sources) for y in seen]
        seen = [(y + context) / np.sqrt(2) for y, context in zip(seen, found, strict=True)]
        states = [(x + y) / np.sqrt(2) for x, y in zip(states, seen, strict=True)]
    return [linear(w, "decoder.output", state) for state in states]


def attended(w: Weights, at: str, heads: int, query: Vector, states: list[Vector]) -> Vector:
    keys = [linear(w, f"{at}.of_key", state) for state in states]
    values = [linear(w, f"{at}.of_value", state) for state in states]
    found = []
    for head, asked in enumerate(np.split(linear(w, f"{at}.of_query", query), heads)):
        weights = softmax(np.array([asked @ np.split(key, heads)[head] / np.sqrt(len(asked)) for key in keys]))
        found.append(sum(weight * np.split(value, heads)[head] for weight, value in zip(weights, values, strict=True)))
    return linear(w, f"{at}.combine", np.concatenate(found))


# Transformer


def enter_transformer(w: Weights, side: str, tokens: list[int], width: int) -> list[Vector]:
    entered = []
    for place, token in enumerate(tokens):
        x = w[f"{side}.embedding.weight"][token]
        if side == "encoder" and place == len(tokens) - 1:
            x = x + w[f"{side}.embedding.weight"][END]
        x = x * np.sqrt(len(x))
        x = linear(w, f"{side}.entrance.widen", x) if f"{side}.entrance.widen.weight" in w else x
        angles = [place / 10_000 ** (2 * i / width) for i in range(width // 2)]
        entered.append(x + np.concatenate([np.sin(angles), np.cos(angles)]))
    return entered


def normed(w: Weights, at: str, x: Vector) -> Vector:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{at}.weight"] + w[f"{at}.bias"]


def thought(w: Weights, at: str, x: Vector) -> Vector:
    return x + linear(w, f"{at}.leave", np.maximum(linear(w, f"{at}.enter", normed(w, f"{at}.norm", x)), 0))


def read_transformer(w: Weights, options: Hyperparameters, source: list[int]) -> tuple[list[Vector], list[Vector]]:
    heads = options.transformer_attention_heads
    states = enter_transformer(w, "encoder", source, options.transformer_model_size)
    for number in range(options.num_layers_encoder):
        at = f"encoder.layers.{number}"
        seen = [normed(w, f"{at}.norm", x) for x in states]
        states = [x + attended(w, f"{at}.among", heads, y, seen) for x, y in zip(states, seen, strict=True)]
        states = [thought(w, f"{at}.thought", x) for x in states]
    states = [normed(w, "encoder.norm", x) for x in states]
    return states, [states[-1]]


def say_transformer(
    w: Weights, options: Hyperparameters, sources: list[Vector], last: list[Vector], inputs: list[int]
) -> list[Vector]:
    heads = options.transformer_attention_heads
    states = enter_transformer(w, "decoder", inputs, options.transformer_model_size)
    for number in range(options.num_layers_decoder):
        at = f"decoder.layers.{number}"
        seen = [normed(w, f"{at}.norm_among", x) for x in states]
        states = [
            x + attended(w, f"{at}.among", heads, seen[place], seen[: place + 1]) for place, x in enumerate(states)
        ]
        states = [x + attended(w, f"{at}.source", heads, normed(w, f"{at}.norm_source", x), sources) for x in states]
        states = [thought(w, f"{at}.thought", x) for x in states]
    return [linear(w, "decoder.output", normed(w, "decoder.norm", x)) for x in states]


READ = {"rnn": read_rnn, "cnn": read_cnn, "transformer": read_transformer}
SAY = {"rnn": say_rnn, "cnn": say_cnn, "transformer": say_transformer}


def all_of(**choices: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]


RNN = all_of(rnn_cell_type=["lstm", "gru"], rnn_attention_type=["mlp", "dot", "bilinear", "fixed"])
DEEP_RNN = all_of(
    rnn_cell_type=["lstm", "gru"],
    num_layers_encoder=[3],
    num_layers_decoder=[3],
    rnn_bidirectional_layers=[2],
    rnn_residual_connections=[True],
    rnn_attention_in_upper_layers=[True, False],
    input_feeding=[True, False],
)
OTHERS: list[dict[str, Any]] = [
    {"rnn_attention_type": "dot", "rnn_attention_num_hidden": 3},
    {"rnn_attention_type": "mlp", "rnn_attention_num_hidden": 3, "input_feeding": False},
    *all_of(rnn_cell_type=["lstm", "gru"], rnn_decoder_state_init=["avg", "zero"]),
    {"rnn_residual_connections": True, "rnn_first_residual_layer": 1, "num_embed_source": 8},
]
CNN = [
    *all_of(cnn_activation_type=["glu", "relu", "softrelu", "sigmoid", "tanh"], num_layers_encoder=[2]),
    *all_of(cnn_kernel_width_encoder=[1, 2, 5], cnn_kernel_width_decoder=[1, 4], num_layers_decoder=[2]),
]
TRANSFORMER = all_of(num_layers_encoder=[1, 2], num_layers_decoder=[1, 2], num_embed_target=[6, 12])
KINDS = ("rnn", "cnn", "transformer")
VARIANTS = [
    *RNN,
    *DEEP_RNN,
    *OTHERS,
    *({"encoder_type": "cnn", "decoder_type": "cnn"} | given for given in CNN),
    *({"encoder_type": "transformer", "decoder_type": "transformer"} | given for given in TRANSFORMER),
    *(pair for pair in all_of(encoder_type=KINDS, decoder_type=KINDS) if pair["encoder_type"] != pair["decoder_type"]),
    *({"encoder_type": "cnn"} | given for given in RNN),
    {"encoder_type": "cnn", "num_layers_decoder": 2},
    {"weight_tying": "src_trg_softmax", "num_embed_source": 8, "num_embed_target": 8},
]


def network_of(given: dict[str, Any]) -> tuple[Network, Hyperparameters]:
    options = Hyperparameters.of(SIZES | given)
    network = Network(options, 10, 10).double().eval()
    initialise(network, options)
    with torch.no_grad():
        # Biases begin at zero and norms at one, where a forgotten one would not be seen.
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.add_(torch.linspace(-0.5, 0.6, len(weight)))
    return network, options


@pytest.mark.parametrize("given", VARIANTS, ids=lambda given: ",".join(f"{name}={it}" for name, it in given.items()))
def test_a_network_computes_what_its_formulas_say(given: dict[str, Any]) -> None:
    network, options = network_of(given)
    with torch.no_grad():
        together = network(Batch.of(Corpus.of(PAIRS, 100, 100), range(len(PAIRS)))).numpy()
    weights = {name: weight.detach().numpy() for name, weight in network.named_parameters(remove_duplicate=False)}
    for number, (source, target) in enumerate(PAIRS):
        states, last = READ[options.encoder_type](weights, options, source)
        scores = SAY[options.decoder_type](weights, options, states, last, [BEGIN, *target])
        # The sines of places are of 32 bits.
        within = 1e-5 if "transformer" in (options.encoder_type, options.decoder_type) else 1e-9
        np.testing.assert_allclose(together[: len(scores), number], scores, atol=within, rtol=within)
